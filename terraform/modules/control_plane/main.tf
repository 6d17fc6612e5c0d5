locals {
  zones    = sort(keys(var.subnets))
  machines = { for place in range(var.machines) : "control-plane-${place + 1}" => local.zones[place % length(local.zones)] }

  tags = {
    "infra:cluster"    = var.cluster
    "infra:managed-by" = "infra"
  }

  machine_tags = merge(local.tags, { "infra:control-plane" = "true" })
}

module "group" {
  source = "../group"

  cluster     = var.cluster
  address     = "${var.address}.module.group"
  name        = "control-plane"
  description = "Kubernetes API of the cluster ${var.cluster}"
  vpc_id      = var.vpc_id

  ingress = {
    for cidr in concat([var.cidr], var.api_from) : "api-${cidr}" => {
      description = "Kubernetes API from ${cidr}"
      port        = 6443
      cidr        = cidr
    }
  }
}

resource "aws_instance" "this" {
  for_each = local.machines

  ami                    = var.image_id
  instance_type          = var.instance_type
  subnet_id              = var.subnets[each.value]
  vpc_security_group_ids = concat(var.security_groups, [module.group.id])
  iam_instance_profile   = var.instance_profile
  key_name               = var.key_name
  user_data              = "#cloud-config\n${yamlencode(var.cloud_config)}"
  ebs_optimized          = true
  monitoring             = true

  # Two hops, so that a container on the machine can still ask for its identity.
  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 2
  }

  root_block_device {
    volume_size = var.disk
    volume_type = "gp3"
    encrypted   = true

    tags = merge(local.machine_tags, { "Name" = "${var.cluster}-${each.key}" })
  }

  tags = merge(local.machine_tags, {
    "Name"          = "${var.cluster}-${each.key}"
    "infra:address" = "${var.address}.aws_instance.this/${each.key}"
  })

  # The store of the whole cluster lies on these disks: a newer image, another key or one zone more replaces none.
  lifecycle {
    ignore_changes = [ami, key_name, subnet_id, user_data]
  }
}
