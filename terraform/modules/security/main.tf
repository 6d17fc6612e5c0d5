locals {
  tags = {
    "infra:cluster"    = var.cluster
    "infra:managed-by" = "infra"
  }

  # Who may reach the machines from outside the group, by name of the rule.
  ingress = {
    for cidr in var.ssh_from : "ssh-${cidr}" => {
      description = "SSH from ${cidr}"
      port        = 22
      cidr        = cidr
    }
  }
}

# All machines of the cluster. EFA wants all traffic allowed within the group, both ways and named as such.
resource "aws_security_group" "nodes" {
  name        = "${var.cluster}-nodes"
  description = "Machines of the cluster ${var.cluster}"
  vpc_id      = var.vpc_id

  #% if provider_major < 6
  ingress {
    description = "Everything among the machines of the cluster"
    from_port   = 0
    to_port     = 0
    protocol    = "-1"
    self        = true
  }

  dynamic "ingress" {
    for_each = local.ingress

    content {
      description = ingress.value.description
      from_port   = ingress.value.port
      to_port     = ingress.value.port
      protocol    = "tcp"
      cidr_blocks = [ingress.value.cidr]
    }
  }

  egress {
    description = "Everything among the machines of the cluster"
    from_port   = 0
    to_port     = 0
    protocol    = "-1"
    self        = true
  }

  egress {
    description = "Packages, images and the AWS API"
    from_port   = 0
    to_port     = 0
    protocol    = "-1"
    cidr_blocks = ["0.0.0.0/0"]
  }

  #% endif
  tags = merge(local.tags, {
    "Name"          = "${var.cluster}-nodes"
    "infra:address" = "${var.address}.aws_security_group.nodes"
  })
}

#% if provider_major >= 6
resource "aws_vpc_security_group_ingress_rule" "nodes_self" {
  security_group_id            = aws_security_group.nodes.id
  referenced_security_group_id = aws_security_group.nodes.id
  ip_protocol                  = "-1"
  description                  = "Everything among the machines of the cluster"

  tags = merge(local.tags, {
    "Name"          = "${var.cluster}-nodes-self"
    "infra:address" = "${var.address}.aws_vpc_security_group_ingress_rule.nodes_self"
  })
}

resource "aws_vpc_security_group_ingress_rule" "nodes" {
  for_each = local.ingress

  security_group_id = aws_security_group.nodes.id
  cidr_ipv4         = each.value.cidr
  from_port         = each.value.port
  to_port           = each.value.port
  ip_protocol       = "tcp"
  description       = each.value.description

  tags = merge(local.tags, {
    "Name"          = "${var.cluster}-nodes-${each.key}"
    "infra:address" = "${var.address}.aws_vpc_security_group_ingress_rule.nodes/${each.key}"
  })
}

resource "aws_vpc_security_group_egress_rule" "nodes_self" {
  security_group_id            = aws_security_group.nodes.id
  referenced_security_group_id = aws_security_group.nodes.id
  ip_protocol                  = "-1"
  description                  = "Everything among the machines of the cluster"

  tags = merge(local.tags, {
    "Name"          = "${var.cluster}-nodes-self"
    "infra:address" = "${var.address}.aws_vpc_security_group_egress_rule.nodes_self"
  })
}

resource "aws_vpc_security_group_egress_rule" "nodes" {
  security_group_id = aws_security_group.nodes.id
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "-1"
  description       = "Packages, images and the AWS API"

  tags = merge(local.tags, {
    "Name"          = "${var.cluster}-nodes-out"
    "infra:address" = "${var.address}.aws_vpc_security_group_egress_rule.nodes"
  })
}
#% endif
