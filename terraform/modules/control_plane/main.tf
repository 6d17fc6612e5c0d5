locals {
  zones    = sort(keys(var.subnets))
  machines = { for place in range(var.machines) : "control-plane-${place + 1}" => local.zones[place % length(local.zones)] }

  tags = {
    "infra:cluster"    = var.cluster
    "infra:managed-by" = "infra"
  }

  machine_tags = merge(local.tags, { "infra:control-plane" = "true" })

  # What the machines cannot find out by themselves: the name of the API.
  place = jsonencode(merge(var.place, { "api" = "${aws_lb.api.dns_name}:6443" }))

  cloud_config = merge(var.cloud_config, {
    "write_files" = [{ "path" = "/etc/infra/place.json", "permissions" = "0644", "content" = local.place }]
  })
}

module "group" {
  source = "../group"

  cluster     = var.cluster
  address     = "${var.address}.module.group"
  name        = "control-plane"
  description = "Kubernetes API of the cluster ${var.cluster}"
  vpc_id      = var.vpc_id

  # No machine of a pool is in this group, so etcd (2379, 2380) is open to the control plane alone.
  ingress = merge(
    { "self" = { description = "Everything among the machines of the control plane" } },
    { for cidr in concat([var.cidr], var.api_from) : "api-${cidr}" => { description = "Kubernetes API from ${cidr}", port = 6443, cidr = cidr } },
    { for cidr in var.overlay_from : "overlay-${cidr}" => { description = "Network of the pods, from ${cidr}", port = 8472, protocol = "udp", cidr = cidr } },
    {
      "kubelet" = { description = "kubelet, from the machines of the cluster", port = 10250, group = var.nodes }
      "overlay" = { description = "Network of the pods", port = 8472, protocol = "udp", group = var.nodes }
      "metrics" = { description = "Metrics of the autoscaler", port = 8085, group = var.nodes }
      "ssh"     = { description = "SSH from the machines of the cluster", port = 22, group = var.nodes }
    },
  )

  egress = {
    "all" = { description = "Machines, packages, images and the AWS API", cidr = "0.0.0.0/0" }
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
  user_data              = "#cloud-config\n${yamlencode(local.cloud_config)}"
  ebs_optimized          = true
  monitoring             = true

  # The machine alone, and pods on its own network: with this role one is the cluster's administrator.
  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
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
