locals {
  zones    = sort(keys(var.subnets))
  machines = { for place in range(var.machines) : "${var.name}-${place + 1}" => local.zones[place % length(local.zones)] }

  tags = {
    "infra:cluster"    = var.cluster
    "infra:managed-by" = "infra"
    "infra:host"       = var.name
    "infra:profile"    = var.profile
  }
}

# No termination protection: Terraform could not destroy what infra destroy lists and asks about.
resource "aws_instance" "this" {
  for_each = local.machines

  ami                         = var.image_id
  instance_type               = var.instance_type
  subnet_id                   = var.subnets[each.value]
  associate_public_ip_address = var.public
  vpc_security_group_ids      = var.security_groups
  iam_instance_profile        = var.instance_profile
  key_name                    = var.key_name
  user_data                   = "#cloud-config\n${yamlencode(var.cloud_config)}"
  ebs_optimized               = true
  monitoring                  = true

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

    tags = merge(local.tags, { "Name" = "${var.cluster}-${each.key}" })
  }

  tags = merge(local.tags, {
    "Name"          = "${var.cluster}-${each.key}"
    "infra:address" = "${var.address}.aws_instance.this/${each.key}"
  })

  # People work on these machines. A newer image or another key is no reason to throw one away: a running machine is
  # brought up to date where it stands, and replaced when somebody asks for it. A stopped machine has no public
  # address for as long as it is stopped; that is no reason either.
  lifecycle {
    ignore_changes = [ami, associate_public_ip_address, key_name, user_data]
  }
}
