# A small cluster for the tests of the embedded AWS: nothing in it makes the provider wait for a fixed time.
terraform {
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "3.39.0"
    }
  }
}

variable "url" {}

variable "boot" {
  default = "one"
}

provider "aws" {
  region                      = "us-west-2"
  max_retries                 = 3
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  s3_force_path_style         = true

  endpoints {
    autoscaling = var.url
    ec2         = var.url
    iam         = var.url
    s3          = var.url
    sts         = var.url
  }
}
# ---

data "aws_ami" "ubuntu" {
  owners      = ["099720109477"]
  most_recent = true

  filter {
    name   = "name"
    values = ["ubuntu/images/hvm-ssd*/ubuntu-jammy-22.04-amd64-server-*"]
  }
}

locals {
  tags  = { "infra:cluster" = "t" }
  zones = ["us-west-2a", "us-west-2b"]
}

resource "aws_vpc" "this" {
  cidr_block = "10.40.0.0/16"
  tags       = local.tags
}

resource "aws_subnet" "private" {
  for_each          = toset(local.zones)
  vpc_id            = aws_vpc.this.id
  availability_zone = each.key
  cidr_block        = cidrsubnet(aws_vpc.this.cidr_block, 4, index(local.zones, each.key))
  tags              = merge(local.tags, { "infra:address" = "aws_subnet.private[\"${each.key}\"]" })
}

resource "aws_security_group" "node" {
  name        = "t-node"
  description = "nodes"
  vpc_id      = aws_vpc.this.id
  tags        = local.tags

  ingress {
    description = "among nodes"
    protocol    = "-1"
    from_port   = 0
    to_port     = 0
    self        = true
  }
}

resource "aws_key_pair" "ada" {
  key_name   = "t-ada"
  public_key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFrORCiFghWA5IVhIrl+Sfz3oMUZ5NRhtPQ7MAB7L40P ada@laptop"
  tags       = local.tags
}

resource "aws_iam_role" "node" {
  name = "t-node"
  tags = local.tags

  assume_role_policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Action = "sts:AssumeRole", Principal = { Service = "ec2.amazonaws.com" } }]
  })
}

resource "aws_iam_role_policy_attachment" "ssm" {
  role       = aws_iam_role.node.name
  policy_arn = "arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore"
}

resource "aws_iam_instance_profile" "node" {
  name = "t-node"
  role = aws_iam_role.node.name
  tags = local.tags
}

resource "aws_placement_group" "pool" {
  name     = "t-pool"
  strategy = "cluster"
  tags     = local.tags
}

resource "aws_launch_template" "pool" {
  name                   = "t-pool"
  image_id               = data.aws_ami.ubuntu.id
  instance_type          = "p3.8xlarge"
  key_name               = aws_key_pair.ada.key_name
  update_default_version = true
  user_data              = base64encode("#cloud-config ${var.boot}")
  tags                   = local.tags

  iam_instance_profile {
    arn = aws_iam_instance_profile.node.arn
  }

  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 2
  }

  block_device_mappings {
    device_name = "/dev/sda1"

    ebs {
      volume_size           = 100
      volume_type           = "gp3"
      encrypted             = true
      delete_on_termination = true
    }
  }

  network_interfaces {
    device_index                = 0
    associate_public_ip_address = false
    security_groups             = [aws_security_group.node.id]
  }

  placement {
    group_name = aws_placement_group.pool.name
  }

  tag_specifications {
    resource_type = "instance"
    tags          = local.tags
  }
}

resource "aws_autoscaling_group" "pool" {
  name                = "t-pool"
  min_size            = 0
  max_size            = 4
  desired_capacity    = 2
  vpc_zone_identifier = [for subnet in aws_subnet.private : subnet.id]

  mixed_instances_policy {
    instances_distribution {
      on_demand_percentage_above_base_capacity = 0
      spot_allocation_strategy                 = "capacity-optimized"
    }

    launch_template {
      launch_template_specification {
        launch_template_id = aws_launch_template.pool.id
        version            = aws_launch_template.pool.latest_version
      }

      override {
        instance_type = "p3.8xlarge"
      }

      override {
        instance_type = "p3.16xlarge"
      }
    }
  }

  instance_refresh {
    strategy = "Rolling"

    preferences {
      min_healthy_percentage = 50
    }
  }

  tag {
    key                 = "infra:pool"
    value               = "pool"
    propagate_at_launch = true
  }
}

resource "aws_s3_bucket" "results" {
  bucket = "t-results"
  acl    = "private"
  tags   = local.tags

  versioning {
    enabled = true
  }

  server_side_encryption_configuration {
    rule {
      apply_server_side_encryption_by_default {
        sse_algorithm = "AES256"
      }
    }
  }
}
