variable "cluster" {
  description = "Name of the cluster: the first part of every name, and the tag infra:cluster"
  type        = string
}

variable "address" {
  description = "Address of this module call, such as module.storage_datasets: the first part of the tag infra:address"
  type        = string
}

variable "name" {
  description = "Name of the storage"
  type        = string
}

variable "throughput" {
  description = "Throughput mode: elastic or bursting"
  type        = string
  default     = "elastic"

  validation {
    condition     = contains(["elastic", "bursting"], var.throughput)
    error_message = "The throughput is elastic or bursting."
  }
}

variable "backup" {
  description = "Daily backups by AWS Backup"
  type        = bool
  default     = true
}

variable "vpc_id" {
  description = "VPC of the mount targets"
  type        = string
}

variable "subnets" {
  description = "Subnet id by zone; each gets a mount target"
  type        = map(string)
}

variable "nodes" {
  description = "Id of the security group whose members may mount"
  type        = string
}
