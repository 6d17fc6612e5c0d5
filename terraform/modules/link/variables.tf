variable "cluster" {
  description = "Name of the cluster: the first part of every name, and the tag infra:cluster"
  type        = string
}

variable "address" {
  description = "Address of this module call: the first part of the tag infra:address"
  type        = string
}

variable "near" {
  description = "The region that asks for the peering: its name, its VPC and the network of that, its route tables by name"
  type = object({
    region = string
    vpc    = string
    cidr   = string
    tables = map(string)
  })
}

variable "far" {
  description = "The region that accepts it, as near"
  type = object({
    region = string
    vpc    = string
    cidr   = string
    tables = map(string)
  })
}
