locals {
  name = "${var.cluster}-${var.name}"

  tags = {
    "infra:cluster"    = var.cluster
    "infra:managed-by" = "infra"
  }
}

resource "aws_security_group" "this" {
  name        = local.name
  description = var.description
  vpc_id      = var.vpc_id

  #% if provider_major < 6
  ingress = [for rule in var.ingress : {
    description      = rule.description
    from_port        = coalesce(rule.port, 0)
    to_port          = coalesce(rule.port, 0)
    protocol         = rule.port == null ? "-1" : rule.protocol
    cidr_blocks      = rule.cidr == null ? [] : [rule.cidr]
    security_groups  = rule.group == null ? [] : [rule.group]
    self             = rule.cidr == null && rule.group == null
    ipv6_cidr_blocks = []
    prefix_list_ids  = []
  }]

  egress = [for rule in var.egress : {
    description      = rule.description
    from_port        = coalesce(rule.port, 0)
    to_port          = coalesce(rule.port, 0)
    protocol         = rule.port == null ? "-1" : rule.protocol
    cidr_blocks      = rule.cidr == null ? [] : [rule.cidr]
    security_groups  = rule.group == null ? [] : [rule.group]
    self             = rule.cidr == null && rule.group == null
    ipv6_cidr_blocks = []
    prefix_list_ids  = []
  }]

  #% endif
  tags = merge(local.tags, {
    "Name"          = local.name
    "infra:address" = "${var.address}.aws_security_group.this"
  })
}

#% if provider_major >= 6
resource "aws_vpc_security_group_ingress_rule" "this" {
  for_each = var.ingress

  security_group_id            = aws_security_group.this.id
  description                  = each.value.description
  ip_protocol                  = each.value.port == null ? "-1" : each.value.protocol
  from_port                    = each.value.port
  to_port                      = each.value.port
  cidr_ipv4                    = each.value.cidr
  referenced_security_group_id = each.value.cidr != null ? null : coalesce(each.value.group, aws_security_group.this.id)

  tags = merge(local.tags, {
    "Name"          = "${local.name}-${each.key}"
    "infra:address" = "${var.address}.aws_vpc_security_group_ingress_rule.this/${each.key}"
  })
}

resource "aws_vpc_security_group_egress_rule" "this" {
  for_each = var.egress

  security_group_id            = aws_security_group.this.id
  description                  = each.value.description
  ip_protocol                  = each.value.port == null ? "-1" : each.value.protocol
  from_port                    = each.value.port
  to_port                      = each.value.port
  cidr_ipv4                    = each.value.cidr
  referenced_security_group_id = each.value.cidr != null ? null : coalesce(each.value.group, aws_security_group.this.id)

  tags = merge(local.tags, {
    "Name"          = "${local.name}-${each.key}"
    "infra:address" = "${var.address}.aws_vpc_security_group_egress_rule.this/${each.key}"
  })
}
#% endif
