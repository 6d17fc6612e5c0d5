variable "vpc" {
  description = "The lab's VPC: its id, or tags that only it has"
  type = object({
    id   = optional(string)
    tags = optional(map(string), {})
  })
}

variable "private" {
  description = "Subnets without public addresses: their ids, or tags; one per zone"
  type = object({
    ids  = optional(list(string), [])
    tags = optional(map(string), {})
  })
}

variable "public" {
  description = "Subnets with public addresses: their ids, or tags; one per zone; null for none"
  type = object({
    ids  = optional(list(string), [])
    tags = optional(map(string), {})
  })
  default = null
}
