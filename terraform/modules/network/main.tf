# Zones are not filtered by state: a zone in trouble must not move the subnets of the others.
data "aws_availability_zones" "all" {
  filter {
    name   = "opt-in-status"
    values = ["opt-in-not-required"]
  }

  lifecycle {
    postcondition {
      condition     = length(self.names) >= length(var.private_cidrs)
      error_message = "${var.region} has ${length(self.names)} zones, network.zones asks for ${length(var.private_cidrs)}."
    }
  }
}

locals {
  tags = {
    "infra:cluster"    = var.cluster
    "infra:managed-by" = "infra"
  }

  names = sort(data.aws_availability_zones.all.names)
  count = min(length(local.names), length(var.private_cidrs))
  zones = { for place, zone in slice(local.names, 0, local.count) : zone => place }

  nat_zones = {
    "one"      = slice(local.names, 0, 1)
    "per-zone" = keys(local.zones)
    "none"     = []
  }[var.nat]
}

resource "aws_vpc" "this" {
  cidr_block           = var.cidr
  enable_dns_hostnames = true
  enable_dns_support   = true

  tags = merge(local.tags, {
    "Name"          = var.cluster
    "infra:address" = "${var.address}.aws_vpc.this"
  })
}

# Closed: whatever names no security group of its own can neither be reached nor reach out.
resource "aws_default_security_group" "closed" {
  vpc_id  = aws_vpc.this.id
  ingress = []
  egress  = []

  tags = merge(local.tags, {
    "Name"          = "${var.cluster}-default-closed"
    "infra:address" = "${var.address}.aws_default_security_group.closed"
  })
}

resource "aws_subnet" "private" {
  for_each = local.zones

  vpc_id            = aws_vpc.this.id
  availability_zone = each.key
  cidr_block        = var.private_cidrs[each.value]

  tags = merge(local.tags, {
    "Name"          = "${var.cluster}-private-${each.key}"
    "infra:address" = "${var.address}.aws_subnet.private/${each.key}"
    "infra:subnet"  = "private"
  })
}

# Public addresses are given by the launch template or host that asks, never by the subnet.
resource "aws_subnet" "public" {
  for_each = local.zones

  vpc_id            = aws_vpc.this.id
  availability_zone = each.key
  cidr_block        = var.public_cidrs[each.value]

  tags = merge(local.tags, {
    "Name"          = "${var.cluster}-public-${each.key}"
    "infra:address" = "${var.address}.aws_subnet.public/${each.key}"
    "infra:subnet"  = "public"
  })
}
