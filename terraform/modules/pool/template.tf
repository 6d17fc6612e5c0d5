locals {
  tagged = concat(
    ["instance", "volume"],
    #% if provider_major >= 6
    ["network-interface"],
    #% endif
  )
}

resource "aws_launch_template" "this" {
  name        = local.name
  description = "Machines of the pool ${var.name}"

  # The group names a version by its number, so nothing depends on the default version: it is left alone. (Setting it on
  # a template that is adopted would make a second version behind the plan's back.)
  image_id      = var.image_id
  instance_type = var.instance_types[0]
  key_name      = var.key_name
  ebs_optimized = true
  user_data     = base64encode("#cloud-config\n${yamlencode(var.cloud_config)}")

  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = var.metadata_hops
  }

  block_device_mappings {
    device_name = "/dev/sda1"

    ebs {
      volume_size           = var.disk
      volume_type           = "gp3"
      encrypted             = true
      delete_on_termination = true
    }
  }

  iam_instance_profile {
    name = var.instance_profile
  }

  monitoring {
    enabled = true
  }

  # AWS refuses a public address on a machine with several interfaces.
  dynamic "network_interfaces" {
    for_each = var.interfaces

    content {
      device_index                = network_interfaces.value.device
      associate_public_ip_address = length(var.interfaces) == 1 ? var.public : null
      delete_on_termination       = true
      security_groups             = var.security_groups

      #% if provider_major >= 6
      interface_type     = network_interfaces.value.type
      network_card_index = network_interfaces.value.card
      #% endif
    }
  }

  dynamic "capacity_reservation_specification" {
    for_each = local.reserved ? [var.capacity.reservation] : []

    content {
      capacity_reservation_target {
        capacity_reservation_id = capacity_reservation_specification.value
      }
    }
  }

  #% if provider_major >= 6
  dynamic "instance_market_options" {
    for_each = var.capacity.kind == "block" ? ["capacity-block"] : []

    content {
      market_type = instance_market_options.value
    }
  }

  #% endif
  dynamic "tag_specifications" {
    for_each = toset(local.tagged)

    content {
      resource_type = tag_specifications.key
      tags          = local.machine_tags
    }
  }

  tags = merge(local.tags, {
    "Name"          = local.name
    "infra:address" = "${var.address}.aws_launch_template.this"
  })

  lifecycle {
    precondition {
      condition     = !local.reserved || length(var.instance_types) == 1
      error_message = "pools.${var.name}: a reservation is of one instance type, and ${length(var.instance_types)} are named."
    }

    precondition {
      condition     = length(var.subnets) > 0
      error_message = "pools.${var.name}: there is no such subnet; with subnets public, network.existing must name public ones."
    }

    precondition {
      condition     = var.zone == null || length(local.subnets) > 0
      error_message = "pools.${var.name}: there is no subnet in ${coalesce(var.zone, "its zone")}, only in: ${join(", ", local.zones)}."
    }
  }
}
