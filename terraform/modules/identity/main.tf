data "aws_partition" "current" {}

data "aws_caller_identity" "current" {}

locals {
  tags = {
    "infra:cluster"    = var.cluster
    "infra:managed-by" = "infra"
  }

  prefix    = "${var.cluster}-${var.region}"
  partition = data.aws_partition.current.partition
  account   = data.aws_caller_identity.current.account_id
  place     = "${var.region}:${local.account}"

  parameters = "arn:${local.partition}:ssm:${coalesce(var.home, var.region)}:${local.account}:parameter/infra/${var.cluster}"
}

data "aws_iam_policy_document" "assume" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["ec2.amazonaws.com"]
    }
  }
}

resource "aws_iam_role" "this" {
  for_each = var.kinds

  name               = "${local.prefix}-${each.key}"
  description        = "Machines (${each.key}) of the cluster ${var.cluster} in ${var.region}"
  assume_role_policy = data.aws_iam_policy_document.assume.json

  tags = merge(local.tags, {
    "Name"          = "${local.prefix}-${each.key}"
    "infra:address" = "${var.address}.aws_iam_role.this/${each.key}"
  })
}

resource "aws_iam_instance_profile" "this" {
  for_each = var.kinds

  name = "${local.prefix}-${each.key}"
  role = aws_iam_role.this[each.key].name

  tags = merge(local.tags, {
    "Name"          = "${local.prefix}-${each.key}"
    "infra:address" = "${var.address}.aws_iam_instance_profile.this/${each.key}"
  })
}

# Shell and port forwarding without an open port, patches and inventory.
resource "aws_iam_role_policy_attachment" "ssm" {
  for_each = var.kinds

  role       = aws_iam_role.this[each.key].name
  policy_arn = "arn:${local.partition}:iam::aws:policy/AmazonSSMManagedInstanceCore"
}

resource "aws_iam_role_policy" "this" {
  for_each = var.kinds

  name   = "cluster"
  role   = aws_iam_role.this[each.key].name
  policy = data.aws_iam_policy_document.kind[each.key].json
}
