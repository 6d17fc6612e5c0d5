resource "aws_internet_gateway" "this" {
  vpc_id = aws_vpc.this.id

  tags = merge(local.tags, {
    "Name"          = var.cluster
    "infra:address" = "${var.address}.aws_internet_gateway.this"
  })
}

resource "aws_eip" "nat" {
  for_each = toset(local.nat_zones)

  tags = merge(local.tags, {
    "Name"          = "${var.cluster}-nat-${each.key}"
    "infra:address" = "${var.address}.aws_eip.nat/${each.key}"
  })

  depends_on = [aws_internet_gateway.this]
}

resource "aws_nat_gateway" "this" {
  for_each = toset(local.nat_zones)

  allocation_id = aws_eip.nat[each.key].id
  subnet_id     = aws_subnet.public[each.key].id

  tags = merge(local.tags, {
    "Name"          = "${var.cluster}-${each.key}"
    "infra:address" = "${var.address}.aws_nat_gateway.this/${each.key}"
  })
}

# Routes are resources of their own: those to the networks of other regions are made when these are there, by the
# project between the regions. What anybody else adds is drift all the same.
resource "aws_route_table" "public" {
  vpc_id = aws_vpc.this.id

  tags = merge(local.tags, {
    "Name"          = "${var.cluster}-public"
    "infra:address" = "${var.address}.aws_route_table.public"
  })
}

resource "aws_route" "public" {
  route_table_id         = aws_route_table.public.id
  destination_cidr_block = "0.0.0.0/0"
  gateway_id             = aws_internet_gateway.this.id
}

resource "aws_route_table" "private" {
  for_each = local.zones

  vpc_id = aws_vpc.this.id

  tags = merge(local.tags, {
    "Name"          = "${var.cluster}-private-${each.key}"
    "infra:address" = "${var.address}.aws_route_table.private/${each.key}"
  })
}

resource "aws_route" "private" {
  for_each = { for zone in keys(local.zones) : zone => var.nat == "one" ? local.nat_zones[0] : zone if var.nat != "none" }

  route_table_id         = aws_route_table.private[each.key].id
  destination_cidr_block = "0.0.0.0/0"
  nat_gateway_id         = aws_nat_gateway.this[each.value].id
}

resource "aws_route_table_association" "public" {
  for_each = local.zones

  subnet_id      = aws_subnet.public[each.key].id
  route_table_id = aws_route_table.public.id
}

resource "aws_route_table_association" "private" {
  for_each = local.zones

  subnet_id      = aws_subnet.private[each.key].id
  route_table_id = aws_route_table.private[each.key].id
}

# Data sets in S3 do not pass, and are not billed by, the NAT gateway.
resource "aws_vpc_endpoint" "s3" {
  vpc_id            = aws_vpc.this.id
  service_name      = "com.amazonaws.${var.region}.s3"
  vpc_endpoint_type = "Gateway"
  route_table_ids   = concat([aws_route_table.public.id], [for table in aws_route_table.private : table.id])

  tags = merge(local.tags, {
    "Name"          = "${var.cluster}-s3"
    "infra:address" = "${var.address}.aws_vpc_endpoint.s3"
  })
}
