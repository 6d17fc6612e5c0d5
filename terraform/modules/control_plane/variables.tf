variable "cluster" {
  description = "Name of the cluster: the first part of every name, and the tag infra:cluster"
  type        = string
}

variable "address" {
  description = "Address of this module call, such as module.control_plane: the first part of the tag infra:address"
  type        = string
}

variable "machines" {
  description = "Number of machines: 1, or 3 for one that may be lost"
  type        = number
  default     = 1

  validation {
    condition     = contains([1, 3], var.machines)
    error_message = "A control plane is of 1 or 3 machines."
  }
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

variable "vpc_id" {
  description = "VPC of the machines"
  type        = string
}

variable "cidr" {
  description = "Network of the VPC: the load balancer and the machines reach the API from it"
  type        = string
}

variable "subnets" {
  description = "Subnet id by zone; machines are spread over them"
  type        = map(string)
}

variable "api_from" {
  description = "Networks outside the VPC that may reach the API"
  type        = list(string)
  default     = []
}

variable "overlay_from" {
  description = "Networks outside the VPC whose machines are in the same Kubernetes cluster"
  type        = list(string)
  default     = []
}

variable "nodes" {
  description = "Id of the security group of the machines that are no control plane"
  type        = string
}

variable "place" {
  description = "What the machines are told of where they are"
  type        = any
}

variable "security_groups" {
  description = "Ids of security groups, beside the one for the API"
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
