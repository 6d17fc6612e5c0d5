locals {
  # What the machines would be, for an autoscaler that must choose a pool with none running.
  node_template = merge(
    { for key, value in var.labels : "k8s.io/cluster-autoscaler/node-template/label/${key}" => value },
    { for key, value in var.taints : "k8s.io/cluster-autoscaler/node-template/taint/${key}" => value },
  )

  found_by = var.autoscaled ? {
    "k8s.io/cluster-autoscaler/enabled"        = "true"
    "k8s.io/cluster-autoscaler/${var.cluster}" = "owned"
  } : {}

  # An autoscaler chooses type and zone, so each pair is a group of its own, and it keeps them within the pool's maximum
  # together. Otherwise AWS chooses within one group.
  pairs = [for pair in setproduct(var.instance_types, local.used) : { type = pair[0], zone = pair[1] }]
  groups = var.autoscaled ? {
    for place, pair in local.pairs : "${pair.type}.${pair.zone}" => {
      name    = "${local.group}.${pair.type}.${pair.zone}"
      types   = [pair.type]
      subnets = [var.subnets[pair.zone]]
      min     = place == 0 ? var.size.min : 0
      base    = place == 0 ? var.capacity.on_demand_base : 0
      tags = merge(
        {
          for key, value in lookup(var.resources, pair.type, {}) :
          "k8s.io/cluster-autoscaler/node-template/resources/${key}" => value
        },
        { "infra:pool-max" = tostring(var.size.max) },
      )
    }
    } : {
    all = {
      name    = local.group
      types   = var.instance_types
      subnets = local.subnets
      min     = var.size.min
      base    = var.capacity.on_demand_base
      tags    = {}
    }
  }
}

resource "aws_autoscaling_group" "this" {
  for_each = local.groups

  name                = each.value.name
  vpc_zone_identifier = each.value.subnets
  placement_group     = var.placement == null ? null : aws_placement_group.this[var.placement].name

  # Without desired_capacity Terraform leaves the number to whoever sets it.
  min_size         = each.value.min
  max_size         = var.size.max
  desired_capacity = var.autoscaled ? null : coalesce(var.size.desired, var.size.min)

  health_check_type         = "EC2"
  health_check_grace_period = 300
  default_cooldown          = 60

  # Capacity may come late or never; an apply does not wait for it, infra status shows it.
  wait_for_capacity_timeout = "0"

  # An autoscaler drains a machine and names it; the group must not choose one by itself.
  protect_from_scale_in = var.autoscaled
  suspended_processes   = var.autoscaled ? ["AZRebalance"] : []
  capacity_rebalance    = var.capacity.kind == "spot"

  #% if provider_major < 6
  # Later providers lift the protection before they destroy a group; this one would wait for ever.
  force_delete = true
  #% endif

  enabled_metrics = [
    "GroupDesiredCapacity",
    "GroupInServiceInstances",
    "GroupMaxSize",
    "GroupMinSize",
    "GroupPendingInstances",
    "GroupTerminatingInstances",
    "GroupTotalInstances",
  ]

  # The version is a number, so that a new template is a change that a plan shows.
  dynamic "launch_template" {
    for_each = local.mixed ? [] : [1]

    content {
      id      = aws_launch_template.this.id
      version = tostring(aws_launch_template.this.latest_version)
    }
  }

  dynamic "mixed_instances_policy" {
    for_each = local.mixed ? [1] : []

    content {
      instances_distribution {
        on_demand_allocation_strategy            = "prioritized"
        on_demand_base_capacity                  = each.value.base
        on_demand_percentage_above_base_capacity = var.capacity.kind == "spot" ? 0 : 100
        spot_allocation_strategy                 = "price-capacity-optimized"
      }

      launch_template {
        launch_template_specification {
          launch_template_id = aws_launch_template.this.id
          version            = tostring(aws_launch_template.this.latest_version)
        }

        dynamic "override" {
          for_each = each.value.types

          content {
            instance_type = override.value
          }
        }
      }
    }
  }

  # Runs when the template changes. Machines protected from scale-in are waited for until they are drained.
  instance_refresh {
    strategy = "Rolling"

    preferences {
      min_healthy_percentage = 90
    }
  }

  dynamic "tag" {
    for_each = local.machine_tags

    content {
      key                 = tag.key
      value               = tag.value
      propagate_at_launch = true
    }
  }

  dynamic "tag" {
    for_each = merge(local.node_template, local.found_by, each.value.tags, {
      "infra:address" = "${var.address}.aws_autoscaling_group.this/${each.key}"
    })

    content {
      key                 = tag.key
      value               = tag.value
      propagate_at_launch = false
    }
  }
}
