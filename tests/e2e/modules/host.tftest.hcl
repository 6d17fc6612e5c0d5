mock_provider "aws" {}

variables {
  cluster          = "lab"
  address          = "module.host_dev"
  name             = "dev"
  machines         = 3
  profile          = "gpu"
  image_id         = "ami-0123456789abcdef0"
  instance_type    = "g4dn.xlarge"
  disk             = 100
  subnets          = { "us-west-2b" = "subnet-b", "us-west-2a" = "subnet-a" }
  security_groups  = ["sg-00000001"]
  instance_profile = "lab-us-west-2-host"
}

run "spread_over_zones" {
  assert {
    condition = { for name, machine in aws_instance.this : name => machine.subnet_id } == {
      "dev-1" = "subnet-a"
      "dev-2" = "subnet-b"
      "dev-3" = "subnet-a"
    }
    error_message = "Machines take the zones in turn."
  }

  assert {
    condition = alltrue([
      for machine in aws_instance.this :
      machine.metadata_options[0].http_tokens == "required" && machine.root_block_device[0].encrypted
    ])
    error_message = "IMDSv2 is required and disks are encrypted."
  }
}

run "a_newer_image_and_key_replace_nothing" {
  command = plan

  variables {
    image_id     = "ami-0fedcba9876543210"
    cloud_config = { users = ["default"] }
  }

  assert {
    condition     = aws_instance.this["dev-1"].ami == "ami-0123456789abcdef0"
    error_message = "A running machine keeps its image."
  }
}

run "no_public_subnet" {
  command = plan

  variables {
    subnets = {}
  }

  expect_failures = [var.subnets]
}
