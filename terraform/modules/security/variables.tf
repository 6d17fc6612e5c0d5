variable "cluster" {
  description = "Name of the cluster: the first part of every name, and the tag infra:cluster"
  type        = string
}

variable "address" {
  description = "Address of this module call, such as module.security: the first part of the tag infra:address"
  type        = string
}

variable "vpc_id" {
  description = "VPC in which the groups are made"
  type        = string
}

variable "ssh_from" {
  description = "Networks that may reach port 22 of the machines; none: through SSM only"
  type        = list(string)
  default     = []
}

variable "overlay_from" {
  description = "Networks whose machines are in the same Kubernetes cluster and not in this group: the control plane's, metal's, other regions'"
  type        = list(string)
  default     = []
}
