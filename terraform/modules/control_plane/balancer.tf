# Internal: from outside, the API is reached through a host, a VPN or SSM.
resource "aws_lb" "api" {
  name                             = "${var.cluster}-api"
  internal                         = true
  load_balancer_type               = "network"
  subnets                          = values(var.subnets)
  enable_cross_zone_load_balancing = true

  tags = merge(local.tags, {
    "Name"          = "${var.cluster}-api"
    "infra:address" = "${var.address}.aws_lb.api"
  })
}

# Members by address, not by instance: with an instance as member, a control plane could not reach itself through
# the balancer.
resource "aws_lb_target_group" "api" {
  name        = "${var.cluster}-api"
  port        = 6443
  protocol    = "TCP"
  target_type = "ip"
  vpc_id      = var.vpc_id

  health_check {
    protocol = "TCP"
    interval = 10
  }

  tags = merge(local.tags, {
    "Name"          = "${var.cluster}-api"
    "infra:address" = "${var.address}.aws_lb_target_group.api"
  })
}

resource "aws_lb_target_group_attachment" "api" {
  for_each = aws_instance.this

  target_group_arn = aws_lb_target_group.api.arn
  target_id        = each.value.private_ip
  port             = 6443
}

resource "aws_lb_listener" "api" {
  load_balancer_arn = aws_lb.api.arn
  port              = 6443
  protocol          = "TCP"

  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.api.arn
  }

  #% if provider_major >= 6
  tags = merge(local.tags, {
    "Name"          = "${var.cluster}-api"
    "infra:address" = "${var.address}.aws_lb_listener.api"
  })
  #% endif
}
