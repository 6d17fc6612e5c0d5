variable "cluster" {
  description = "Name of the cluster: the first part of every name, and the tag infra:cluster"
  type        = string
}

variable "address" {
  description = "Address of this module call, such as module.network: the first part of the tag infra:address"
  type        = string
}

variable "region" {
  description = "AWS region of this root"
  type        = string
}

variable "cidr" {
  description = "Network of the VPC"
  type        = string

  validation {
    condition     = can(cidrnetmask(var.cidr))
    error_message = "The VPC needs an IPv4 network, such as 10.40.0.0/16."
  }
}

variable "private_cidrs" {
  description = "Network of the private subnet in each zone; its length is the number of zones"
  type        = list(string)

  validation {
    condition     = length(var.private_cidrs) >= 1
    error_message = "At least one zone is needed."
  }
}

variable "public_cidrs" {
  description = "Network of the public subnet in each zone"
  type        = list(string)
}

variable "nat" {
  description = "How private subnets reach the internet: one gateway, one per zone, or not at all"
  type        = string
  default     = "one"

  validation {
    condition     = contains(["one", "per-zone", "none"], var.nat)
    error_message = "NAT is one, per-zone or none."
  }
}

variable "flow_logs" {
  description = "Keep rejected traffic for 30 days in CloudWatch Logs"
  type        = bool
  default     = true
}
