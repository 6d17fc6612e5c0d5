mock_provider "aws" {
  mock_data "aws_vpc" {
    defaults = {
      id         = "vpc-0123456789abcdef0"
      cidr_block = "172.16.0.0/16"
    }
  }
}

variables {
  vpc     = { tags = { "Name" = "lab" } }
  private = { ids = ["subnet-a", "subnet-b"] }
}

run "subnets_by_id" {
  override_data {
    target = data.aws_subnet.private["subnet-a"]
    values = { id = "subnet-a", availability_zone = "us-west-2a" }
  }

  override_data {
    target = data.aws_subnet.private["subnet-b"]
    values = { id = "subnet-b", availability_zone = "us-west-2b" }
  }

  assert {
    condition     = output.private_subnets == { "us-west-2a" = "subnet-a", "us-west-2b" = "subnet-b" }
    error_message = "Subnets are known by their zones."
  }

  assert {
    condition     = output.public_subnets == {} && output.cidr == "172.16.0.0/16"
    error_message = "There is no public one."
  }
}

run "two_in_one_zone" {
  command = plan

  override_data {
    target = data.aws_subnet.private["subnet-a"]
    values = { id = "subnet-a", availability_zone = "us-west-2a" }
  }

  override_data {
    target = data.aws_subnet.private["subnet-b"]
    values = { id = "subnet-b", availability_zone = "us-west-2a" }
  }

  expect_failures = [output.private_subnets]
}
