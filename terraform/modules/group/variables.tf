variable "cluster" {
  description = "Name of the cluster: the first part of every name, and the tag infra:cluster"
  type        = string
}

variable "address" {
  description = "Address of this module call, such as module.security.module.nodes: the first part of the tag infra:address"
  type        = string
}

variable "name" {
  description = "Name of the group, without the cluster's"
  type        = string
}

variable "description" {
  description = "What the group is for"
  type        = string
}

variable "vpc_id" {
  description = "VPC in which the group is made"
  type        = string
}

variable "ingress" {
  description = "Who may come in, by name of the rule: a port of TCP or of the protocol named (none: everything), from a network or a group (none: from the group itself)"
  type = map(object({
    description = string
    port        = optional(number)
    protocol    = optional(string, "tcp")
    cidr        = optional(string)
    group       = optional(string)
  }))
  default = {}
}

variable "egress" {
  description = "Where its members may go, as ingress"
  type = map(object({
    description = string
    port        = optional(number)
    protocol    = optional(string, "tcp")
    cidr        = optional(string)
    group       = optional(string)
  }))
  default = {}
}
