variable "cluster" {
  description = "Name of the cluster: the first part of every name, and the tag infra:cluster"
  type        = string
}

variable "address" {
  description = "Address of this module call, such as module.host_dev: the first part of the tag infra:address"
  type        = string
}

variable "name" {
  description = "Name of the host; its machines are called <name>-1, <name>-2 and so on"
  type        = string
}

variable "machines" {
  description = "Number of machines"
  type        = number
  default     = 1

  validation {
    condition     = var.machines >= 0
    error_message = "A number of machines is not negative."
  }
}

variable "profile" {
  description = "Name of the profile: what the machines are"
  type        = string
}

variable "image_id" {
  description = "AMI that new machines start from"
  type        = string
}

variable "instance_type" {
  description = "Instance type"
  type        = string
}

variable "disk" {
  description = "Size of the root disk in GB"
  type        = number
}

variable "subnets" {
  description = "Subnet id by zone; machines are spread over them"
  type        = map(string)

  validation {
    condition     = length(var.subnets) > 0
    error_message = "There is no such subnet: a host with subnets public needs network.existing to name public ones."
  }
}

variable "public" {
  description = "Give machines a public address"
  type        = bool
  default     = false
}

variable "security_groups" {
  description = "Ids of security groups"
  type        = list(string)
}

variable "instance_profile" {
  description = "Name of the instance profile"
  type        = string
}

variable "key_name" {
  description = "Name of the key pair, or null"
  type        = string
  default     = null
}

variable "cloud_config" {
  description = "What cloud-init does at the first boot"
  type        = any
  default     = {}
}
