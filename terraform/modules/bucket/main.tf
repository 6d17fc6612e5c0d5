data "aws_partition" "current" {}

locals {
  tags = {
    "infra:cluster"    = var.cluster
    "infra:managed-by" = "infra"
  }

  # Put together here, so that a plan shows the policy even while the bucket changes.
  arn = "arn:${data.aws_partition.current.partition}:s3:::${var.bucket}"

  kept_days = 30 # of a replaced or deleted object
  part_days = 7  # of an upload that was never completed
}

# Never emptied by Terraform: a destroy of a bucket with objects fails, and says so.
resource "aws_s3_bucket" "this" {
  bucket        = var.bucket
  force_destroy = false

  #% if provider_major < 6
  acl = "private"

  versioning {
    enabled = var.versioned
  }

  server_side_encryption_configuration {
    rule {
      bucket_key_enabled = true

      apply_server_side_encryption_by_default {
        sse_algorithm = "aws:kms"
      }
    }
  }

  lifecycle_rule {
    id                                     = "tidy"
    enabled                                = true
    abort_incomplete_multipart_upload_days = local.part_days

    noncurrent_version_expiration {
      days = local.kept_days
    }

    dynamic "expiration" {
      for_each = var.expire_days == null ? [] : [var.expire_days]

      content {
        days = expiration.value
      }
    }
  }

  #% endif
  tags = merge(local.tags, {
    "Name"          = var.bucket
    "infra:address" = "${var.address}.aws_s3_bucket.this"
  })
}

#% if provider_major >= 6
resource "aws_s3_bucket_versioning" "this" {
  bucket = aws_s3_bucket.this.id

  versioning_configuration {
    status = var.versioned ? "Enabled" : "Suspended"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "this" {
  bucket = aws_s3_bucket.this.id

  rule {
    bucket_key_enabled = true

    apply_server_side_encryption_by_default {
      sse_algorithm = "aws:kms"
    }
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "this" {
  bucket = aws_s3_bucket.this.id

  rule {
    id     = "tidy"
    status = "Enabled"

    filter {}

    abort_incomplete_multipart_upload {
      days_after_initiation = local.part_days
    }

    noncurrent_version_expiration {
      noncurrent_days = local.kept_days
    }

    dynamic "expiration" {
      for_each = var.expire_days == null ? [] : [var.expire_days]

      content {
        days = expiration.value
      }
    }
  }

  depends_on = [aws_s3_bucket_versioning.this]
}
#% endif

resource "aws_s3_bucket_public_access_block" "this" {
  bucket = aws_s3_bucket.this.id

  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

data "aws_iam_policy_document" "this" {
  statement {
    sid       = "OnlyTLS"
    effect    = "Deny"
    actions   = ["s3:*"]
    resources = [local.arn, "${local.arn}/*"]

    principals {
      type        = "*"
      identifiers = ["*"]
    }

    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }
}

# S3 refuses two changes of access at once.
resource "aws_s3_bucket_policy" "this" {
  bucket = aws_s3_bucket.this.id
  policy = data.aws_iam_policy_document.this.json

  depends_on = [aws_s3_bucket_public_access_block.this]
}
