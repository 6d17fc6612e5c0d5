variable "cluster" {
  description = "Name of the cluster: the first part of every name, and the tag infra:cluster"
  type        = string
}

variable "address" {
  description = "Address of this module call, such as module.identity: the first part of the tag infra:address"
  type        = string
}

variable "region" {
  description = "AWS region of this root; IAM names are global, so it is a part of them"
  type        = string
}

variable "home" {
  description = "Region whose SSM has the parameters of the cluster; left out: this one"
  type        = string
  default     = null
}

variable "kinds" {
  description = "Kinds of machine that get a role: node (of a pool), host, control-plane"
  type        = set(string)

  validation {
    condition     = length(setsubtract(var.kinds, ["node", "host", "control-plane"])) == 0
    error_message = "A kind is node, host or control-plane."
  }
}

variable "buckets" {
  description = "S3 buckets of the cluster, by name: machines read and write them"
  type        = list(string)
  default     = []
}

variable "archives" {
  description = "Prefixes of S3 buckets that machines only read, as bucket/prefix: the policies and what is promoted"
  type        = list(string)
  default     = []
}

variable "reports" {
  description = "Prefixes of S3 buckets that machines only write, as bucket/prefix: their reports"
  type        = list(string)
  default     = []
}

variable "users" {
  description = "SSH public key of each user"
  type        = map(string)
  default     = {}
}
