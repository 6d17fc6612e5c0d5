variable "cluster" {
  description = "Name of the cluster: the tag infra:cluster"
  type        = string
}

variable "address" {
  description = "Address of this module call, such as module.storage_results: the first part of the tag infra:address"
  type        = string
}

variable "bucket" {
  description = "Name of the bucket"
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", var.bucket))
    error_message = "S3 wants 3 to 63 lower-case letters, digits, dots and dashes."
  }
}

variable "versioned" {
  description = "Keep replaced and deleted objects for 30 days"
  type        = bool
  default     = true
}

variable "expire_days" {
  description = "Objects are deleted after so many days; null: never"
  type        = number
  default     = null
}
