mock_provider "aws" {}

variables {
  cluster     = "lab"
  address     = "module.security.module.nodes"
  name        = "nodes"
  description = "Machines of the cluster lab"
  vpc_id      = "vpc-0123456789abcdef0"
}

run "closed_by_default" {
  assert {
    condition     = length(aws_security_group.this.ingress) + length(aws_security_group.this.egress) == 0
    error_message = "Nothing may come in or go out."
  }
}

run "three_kinds_of_rule" {
  variables {
    ingress = {
      self = { description = "among ourselves" }
      ssh  = { description = "SSH", port = 22, cidr = "203.0.113.0/24" }
      nfs  = { description = "NFS", port = 2049, group = "sg-00000001" }
    }
  }

  assert {
    condition = { for rule in aws_security_group.this.ingress : rule.description => [rule.protocol, rule.to_port, rule.self] } == {
      "among ourselves" = ["-1", 0, true]
      "SSH"             = ["tcp", 22, false]
      "NFS"             = ["tcp", 2049, false]
    }
    error_message = "A rule is for the group itself, a network or another group."
  }
}
