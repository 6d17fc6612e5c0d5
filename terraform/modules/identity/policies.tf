data "aws_iam_policy_document" "kind" {
  for_each = var.kinds

  statement {
    sid       = "ReadParameters"
    actions   = ["ssm:GetParameter", "ssm:GetParameters", "ssm:GetParametersByPath"]
    resources = [local.parameters, "${local.parameters}/*"]
  }

  # What lies under control-plane (such as the authority's key) is for the control plane alone.
  dynamic "statement" {
    for_each = each.key == "control-plane" ? [] : [1]

    content {
      sid       = "NotTheControlPlanes"
      effect    = "Deny"
      actions   = ["ssm:GetParameter*"]
      resources = ["${local.parameters}/control-plane", "${local.parameters}/control-plane/*"]
    }
  }

  # People work on hosts, and a host is no node: what makes a machine one is not for it.
  dynamic "statement" {
    for_each = each.key == "host" ? [1] : []

    content {
      sid       = "NotTheTokenForNodes"
      effect    = "Deny"
      actions   = ["ssm:GetParameter*"]
      resources = ["${local.parameters}/join"]
    }
  }

  dynamic "statement" {
    for_each = each.key == "control-plane" ? [1] : []

    content {
      sid       = "WriteParameters"
      actions   = ["ssm:PutParameter", "ssm:DeleteParameter"]
      resources = ["${local.parameters}/*"]
    }
  }

  dynamic "statement" {
    for_each = length(var.buckets) > 0 ? [1] : []

    content {
      sid       = "ListBuckets"
      actions   = ["s3:ListBucket", "s3:ListBucketMultipartUploads", "s3:GetBucketLocation"]
      resources = [for bucket in var.buckets : "arn:${local.partition}:s3:::${bucket}"]
    }
  }

  dynamic "statement" {
    for_each = length(var.buckets) > 0 ? [1] : []

    content {
      sid = "UseObjects"
      actions = [
        "s3:GetObject",
        "s3:PutObject",
        "s3:DeleteObject",
        "s3:AbortMultipartUpload",
        "s3:ListMultipartUploadParts",
      ]
      resources = [for bucket in var.buckets : "arn:${local.partition}:s3:::${bucket}/*"]
    }
  }

  dynamic "statement" {
    for_each = length(var.archives) > 0 ? [1] : []

    content {
      sid       = "ReadArchives"
      actions   = ["s3:GetObject"]
      resources = [for archive in var.archives : "arn:${local.partition}:s3:::${archive}/*"]
    }
  }

  dynamic "statement" {
    for_each = length(var.reports) > 0 ? [1] : []

    content {
      sid       = "WriteReports"
      actions   = ["s3:PutObject"]
      resources = [for report in var.reports : "arn:${local.partition}:s3:::${report}/*"]
    }
  }

  # AWS knows no resource for the token.
  statement {
    sid       = "LogInToRegistry"
    actions   = ["ecr:GetAuthorizationToken"]
    resources = ["*"]
  }

  statement {
    sid       = "PullImages"
    actions   = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
    resources = ["arn:${local.partition}:ecr:${local.place}:repository/*"]
  }

  # AWS knows no resource for what only describes.
  dynamic "statement" {
    for_each = each.key == "control-plane" ? [1] : []

    content {
      sid = "SeeGroups"
      actions = [
        "autoscaling:DescribeAutoScalingGroups",
        "autoscaling:DescribeAutoScalingInstances",
        "autoscaling:DescribeScalingActivities",
        "autoscaling:DescribeTags",
        "ec2:DescribeImages",
        "ec2:DescribeInstances",
        "ec2:DescribeInstanceTypes",
        "ec2:DescribeLaunchTemplateVersions",
        "ec2:DescribeSpotInstanceRequests",
        "ec2:DescribeSubnets",
      ]
      resources = ["*"]
    }
  }

  dynamic "statement" {
    for_each = each.key == "control-plane" ? [1] : []

    content {
      sid       = "ScaleOwnGroups"
      actions   = ["autoscaling:SetDesiredCapacity", "autoscaling:TerminateInstanceInAutoScalingGroup"]
      resources = ["arn:${local.partition}:autoscaling:*:${local.account}:autoScalingGroup:*:autoScalingGroupName/*"]

      condition {
        test     = "StringEquals"
        variable = "autoscaling:ResourceTag/k8s.io/cluster-autoscaler/${var.cluster}"
        values   = ["owned"]
      }
    }
  }
}
