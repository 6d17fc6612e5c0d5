# The lab's own network, read and never changed. The outputs are those of the module network.

data "aws_vpc" "this" {
  id   = var.vpc.id
  tags = var.vpc.id == null ? var.vpc.tags : null
}

locals {
  asked   = merge({ private = var.private }, var.public == null ? {} : { public = var.public })
  by_tags = { for kind, asked in local.asked : kind => asked.tags if length(asked.ids) == 0 }
  ids     = { for kind, asked in local.asked : kind => toset(try(local.found[kind], asked.ids)) }
}

#% if provider_major >= 6
data "aws_subnets" "tagged" {
  for_each = local.by_tags

  tags = each.value

  filter {
    name   = "vpc-id"
    values = [data.aws_vpc.this.id]
  }
}

locals {
  found = { for kind, subnets in data.aws_subnets.tagged : kind => subnets.ids }
}
#% else
data "aws_subnet_ids" "tagged" {
  for_each = local.by_tags

  vpc_id = data.aws_vpc.this.id
  tags   = each.value
}

locals {
  found = { for kind, subnets in data.aws_subnet_ids.tagged : kind => subnets.ids }
}
#% endif

data "aws_subnet" "private" {
  for_each = local.ids["private"]

  id     = each.key
  vpc_id = data.aws_vpc.this.id
}

data "aws_subnet" "public" {
  for_each = try(local.ids["public"], toset([]))

  id     = each.key
  vpc_id = data.aws_vpc.this.id
}
