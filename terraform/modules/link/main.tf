# The way between the VPCs of two regions: one peering, and in every route table of both the network of the other.
locals {
  tags = {
    "infra:cluster"    = var.cluster
    "infra:managed-by" = "infra"
    "Name"             = "${var.cluster}-${var.near.region}-${var.far.region}"
  }
}

resource "aws_vpc_peering_connection" "this" {
  provider = aws.near

  vpc_id      = var.near.vpc
  peer_vpc_id = var.far.vpc
  peer_region = var.far.region

  tags = merge(local.tags, { "infra:address" = "${var.address}.aws_vpc_peering_connection.this" })
}

# AWS keeps tags for each side of a peering.
resource "aws_vpc_peering_connection_accepter" "this" {
  provider = aws.far

  vpc_peering_connection_id = aws_vpc_peering_connection.this.id
  auto_accept               = true

  tags = merge(local.tags, { "infra:address" = "${var.address}.aws_vpc_peering_connection_accepter.this" })
}

# A route to a peering that nobody accepted yet would lead nowhere.
resource "aws_route" "there" {
  for_each = var.near.tables
  provider = aws.near

  route_table_id            = each.value
  destination_cidr_block    = var.far.cidr
  vpc_peering_connection_id = aws_vpc_peering_connection.this.id

  depends_on = [aws_vpc_peering_connection_accepter.this]
}

resource "aws_route" "back" {
  for_each = var.far.tables
  provider = aws.far

  route_table_id            = each.value
  destination_cidr_block    = var.near.cidr
  vpc_peering_connection_id = aws_vpc_peering_connection.this.id

  depends_on = [aws_vpc_peering_connection_accepter.this]
}
