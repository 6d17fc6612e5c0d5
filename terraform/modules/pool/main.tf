locals {
  name = "${var.cluster}-${var.name}"

  tags = {
    "infra:cluster"    = var.cluster
    "infra:managed-by" = "infra"
    "infra:pool"       = var.name
    "infra:profile"    = var.profile
  }

  # Machines neither enter nor leave a placement group: another placement is another group of machines, and another name.
  group = var.placement == null ? local.name : "${local.name}.${var.placement}"

  machine_tags = merge(local.tags, { "Name" = local.name })

  # One type bought one way needs no mixed-instances policy, and capacity blocks do not go with one.
  mixed    = var.capacity.kind == "spot" || length(var.instance_types) > 1 && var.capacity.kind == "on-demand"
  reserved = contains(["reservation", "block"], var.capacity.kind)

  # A reservation lies in one zone, which the pool names. So does a cluster placement group: the zone named, or the first
  # whose offer has the type.
  zones   = sort(keys(var.subnets))
  search  = var.placement == "cluster" && var.zone == null
  offered = [for zone in local.zones : zone if length(try(data.aws_ec2_instance_type_offerings.zone[zone].instance_types, ["any"])) > 0]
  first   = [for place, zone in concat(local.offered, local.zones) : zone if place == 0]
  used    = var.zone != null ? [for zone in local.zones : zone if zone == var.zone] : local.search ? local.first : local.zones
  subnets = [for zone in local.used : var.subnets[zone]]
}

data "aws_ec2_instance_type_offerings" "zone" {
  for_each = local.search ? toset(local.zones) : toset([])

  location_type = "availability-zone"

  filter {
    name   = "instance-type"
    values = [var.instance_types[0]]
  }

  filter {
    name   = "location"
    values = [each.key]
  }
}

resource "aws_placement_group" "this" {
  for_each = toset(var.placement == null ? [] : [var.placement])

  name     = local.group
  strategy = each.key

  tags = merge(local.tags, {
    "Name"          = local.group
    "infra:address" = "${var.address}.aws_placement_group.this/${each.key}"
  })
}
