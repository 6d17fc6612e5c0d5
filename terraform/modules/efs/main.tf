locals {
  name = "${var.cluster}-${var.name}"

  tags = {
    "infra:cluster"    = var.cluster
    "infra:managed-by" = "infra"
  }
}

# The token makes creation repeatable: an interrupted apply cannot make a second file system.
resource "aws_efs_file_system" "this" {
  creation_token = local.name
  encrypted      = true

  #% if provider_major >= 6
  throughput_mode = var.throughput
  #% endif

  tags = merge(local.tags, {
    "Name"          = local.name
    "infra:address" = "${var.address}.aws_efs_file_system.this"
  })
}

#% if provider_major >= 6
resource "aws_efs_backup_policy" "this" {
  file_system_id = aws_efs_file_system.this.id

  backup_policy {
    status = var.backup ? "ENABLED" : "DISABLED"
  }
}
#% endif

# Who reaches a mount target may use the file system, but only over TLS.
data "aws_iam_policy_document" "this" {
  statement {
    sid       = "MountedClients"
    actions   = ["elasticfilesystem:ClientMount", "elasticfilesystem:ClientWrite", "elasticfilesystem:ClientRootAccess"]
    resources = [aws_efs_file_system.this.arn]

    principals {
      type        = "AWS"
      identifiers = ["*"]
    }

    condition {
      test     = "Bool"
      variable = "elasticfilesystem:AccessedViaMountTarget"
      values   = ["true"]
    }
  }

  statement {
    sid       = "OnlyTLS"
    effect    = "Deny"
    actions   = ["*"]
    resources = [aws_efs_file_system.this.arn]

    principals {
      type        = "AWS"
      identifiers = ["*"]
    }

    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }
}

resource "aws_efs_file_system_policy" "this" {
  file_system_id = aws_efs_file_system.this.id
  policy         = data.aws_iam_policy_document.this.json
}

module "group" {
  source = "../group"

  cluster     = var.cluster
  address     = "${var.address}.module.group"
  name        = "efs-${var.name}"
  description = "Mount targets of ${local.name}"
  vpc_id      = var.vpc_id

  ingress = {
    "nfs" = { description = "NFS from the machines of the cluster", port = 2049, group = var.nodes }
  }
}

resource "aws_efs_mount_target" "this" {
  for_each = var.subnets

  file_system_id  = aws_efs_file_system.this.id
  subnet_id       = each.value
  security_groups = [module.group.id]
}
