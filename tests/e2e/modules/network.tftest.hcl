mock_provider "aws" {
  mock_data "aws_availability_zones" {
    defaults = {
      names = ["us-west-2c", "us-west-2a", "us-west-2d", "us-west-2b"]
    }
  }

  mock_resource "aws_cloudwatch_log_group" {
    defaults = {
      arn = "arn:aws:logs:us-west-2:123456789012:log-group:/infra/lab/flow/rejects"
    }
  }

  mock_resource "aws_iam_role" {
    defaults = {
      arn = "arn:aws:iam::123456789012:role/lab-us-west-2-flow-logs"
    }
  }

  mock_data "aws_iam_policy_document" {
    defaults = {
      json = "{}"
    }
  }
}

variables {
  cluster       = "lab"
  address       = "module.network"
  region        = "us-west-2"
  cidr          = "10.40.0.0/16"
  private_cidrs = ["10.40.0.0/19", "10.40.32.0/19", "10.40.64.0/19"]
  public_cidrs  = ["10.40.128.0/20", "10.40.144.0/20", "10.40.160.0/20"]
}

run "zones_in_order" {
  assert {
    condition = { for zone, subnet in aws_subnet.private : zone => subnet.cidr_block } == {
      "us-west-2a" = "10.40.0.0/19"
      "us-west-2b" = "10.40.32.0/19"
      "us-west-2c" = "10.40.64.0/19"
    }
    error_message = "Networks go to zones in alphabetical order, whatever order AWS tells."
  }

  assert {
    condition     = keys(aws_nat_gateway.this) == ["us-west-2a"]
    error_message = "One NAT gateway by default."
  }

  assert {
    condition     = alltrue([for subnet in aws_subnet.public : !coalesce(subnet.map_public_ip_on_launch, false)])
    error_message = "No subnet gives public addresses by itself."
  }

  assert {
    condition     = length(aws_default_security_group.closed.ingress) == 0
    error_message = "The default security group is closed."
  }

  assert {
    condition     = aws_flow_log.this["rejects"].traffic_type == "REJECT"
    error_message = "Rejected traffic is kept."
  }
}

run "nat_per_zone" {
  variables {
    nat = "per-zone"
  }

  assert {
    condition     = length(aws_nat_gateway.this) == 3
    error_message = "A NAT gateway in each zone."
  }

  assert {
    condition = alltrue([
      for zone, table in aws_route_table.private :
      aws_route.private[zone].nat_gateway_id == aws_nat_gateway.this[zone].id
      && aws_route.private[zone].route_table_id == table.id
      && aws_route_table_association.private[zone].route_table_id == table.id
    ])
    error_message = "Each zone goes through its own."
  }
}

run "no_nat_no_logs" {
  variables {
    nat       = "none"
    flow_logs = false
  }

  assert {
    condition     = length(aws_nat_gateway.this) + length(aws_eip.nat) + length(aws_flow_log.this) == 0
    error_message = "What was not asked for is not made."
  }

  assert {
    condition     = length(aws_route_table.private) == 3 && length(aws_route.private) == 0
    error_message = "Private subnets have no way out."
  }
}

run "too_few_zones" {
  command = plan

  override_data {
    target = data.aws_availability_zones.all
    values = { names = ["us-west-1a", "us-west-1c"] }
  }

  expect_failures = [data.aws_availability_zones.all]
}
