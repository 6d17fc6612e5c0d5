mock_provider "aws" {
  mock_resource "aws_instance" {
    defaults = {
      private_ip = "10.40.0.10"
    }
  }

  mock_resource "aws_lb" {
    defaults = {
      arn      = "arn:aws:elasticloadbalancing:us-west-2:123456789012:loadbalancer/net/lab-api/0123456789abcdef"
      dns_name = "lab-api.elb.us-west-2.amazonaws.com"
    }
  }

  mock_resource "aws_lb_target_group" {
    defaults = {
      arn = "arn:aws:elasticloadbalancing:us-west-2:123456789012:targetgroup/lab-api/0123456789abcdef"
    }
  }
}

variables {
  cluster          = "lab"
  address          = "module.control_plane"
  machines         = 3
  image_id         = "ami-0123456789abcdef0"
  instance_type    = "m5.large"
  disk             = 100
  vpc_id           = "vpc-0123456789abcdef0"
  cidr             = "10.40.0.0/16"
  subnets          = { "us-west-2b" = "subnet-b", "us-west-2a" = "subnet-a", "us-west-2c" = "subnet-c" }
  api_from         = ["203.0.113.0/24"]
  overlay_from     = ["10.41.0.0/16"]
  nodes            = "sg-00000001"
  place            = { "role" = "control-plane", "cluster" = "lab" }
  security_groups  = []
  instance_profile = "lab-us-west-2-control-plane"
}

run "three_machines_in_three_zones" {
  assert {
    condition     = length(distinct([for machine in aws_instance.this : machine.subnet_id])) == 3
    error_message = "A zone that fails takes one machine."
  }

  assert {
    condition     = aws_lb.api.internal && length(aws_lb_target_group_attachment.api) == 3
    error_message = "The API is internal, and all machines serve it."
  }

  assert {
    condition     = output.endpoint == "lab-api.elb.us-west-2.amazonaws.com:6443"
    error_message = "The endpoint is the balancer's."
  }

  assert {
    condition = alltrue([for machine in aws_instance.this : strcontains(machine.user_data, "/etc/infra/place.json")]) && jsondecode(local.place) == {
      "role"    = "control-plane"
      "cluster" = "lab"
      "api"     = "lab-api.elb.us-west-2.amazonaws.com:6443"
    }
    error_message = "Each machine is told where the API is."
  }

  assert {
    condition     = alltrue([for machine in aws_instance.this : !contains(machine.vpc_security_group_ids, var.nodes)])
    error_message = "Whoever is in the group of the nodes would be let in to etcd."
  }

  assert {
    condition     = alltrue([for machine in aws_instance.this : machine.metadata_options[0].http_put_response_hop_limit == 1])
    error_message = "A pod with this role would be the cluster's administrator."
  }
}

run "two_machines" {
  command = plan

  variables {
    machines = 2
  }

  expect_failures = [var.machines]
}
