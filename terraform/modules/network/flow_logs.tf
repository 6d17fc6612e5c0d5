locals {
  logs = toset(var.flow_logs ? ["rejects"] : [])
}

resource "aws_cloudwatch_log_group" "flow" {
  for_each = local.logs

  name              = "/infra/${var.cluster}/flow/${each.key}"
  retention_in_days = 30

  tags = merge(local.tags, {
    "Name"          = "${var.cluster}-flow-${each.key}"
    "infra:address" = "${var.address}.aws_cloudwatch_log_group.flow/${each.key}"
  })
}

data "aws_iam_policy_document" "flow_assume" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["vpc-flow-logs.amazonaws.com"]
    }
  }
}

data "aws_iam_policy_document" "flow" {
  for_each = local.logs

  statement {
    actions   = ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"]
    resources = ["${aws_cloudwatch_log_group.flow[each.key].arn}:*"]
  }
}

# IAM names are global: the region is a part of them.
resource "aws_iam_role" "flow" {
  for_each = local.logs

  name               = "${var.cluster}-${var.region}-flow-logs"
  description        = "Flow logs of the cluster ${var.cluster} in ${var.region}"
  assume_role_policy = data.aws_iam_policy_document.flow_assume.json

  tags = merge(local.tags, {
    "Name"          = "${var.cluster}-${var.region}-flow-logs"
    "infra:address" = "${var.address}.aws_iam_role.flow/${each.key}"
  })
}

resource "aws_iam_role_policy" "flow" {
  for_each = local.logs

  name   = "write"
  role   = aws_iam_role.flow[each.key].name
  policy = data.aws_iam_policy_document.flow[each.key].json
}

resource "aws_flow_log" "this" {
  for_each = local.logs

  vpc_id          = aws_vpc.this.id
  traffic_type    = "REJECT"
  log_destination = aws_cloudwatch_log_group.flow[each.key].arn
  iam_role_arn    = aws_iam_role.flow[each.key].arn

  tags = merge(local.tags, {
    "Name"          = "${var.cluster}-${each.key}"
    "infra:address" = "${var.address}.aws_flow_log.this/${each.key}"
  })
}
