# The public half only; the private one never leaves the user's machine.
resource "aws_key_pair" "user" {
  for_each = var.users

  key_name   = "${var.cluster}-${each.key}"
  public_key = each.value

  tags = merge(local.tags, {
    "Name"          = "${var.cluster}-${each.key}"
    "infra:address" = "${var.address}.aws_key_pair.user/${each.key}"
  })
}
