variable "cluster" {
  description = "Name of the cluster: the first part of every name, and the tag infra:cluster"
  type        = string
}

variable "address" {
  description = "Address of this module call, such as module.pool_gpu: the first part of the tag infra:address"
  type        = string
}

variable "name" {
  description = "Name of the pool"
  type        = string
}

variable "profile" {
  description = "Name of the profile: what the machines are"
  type        = string
}

variable "image_id" {
  description = "AMI of the machines"
  type        = string
}

variable "instance_types" {
  description = "Instance types in order of preference"
  type        = list(string)

  validation {
    condition     = length(var.instance_types) >= 1
    error_message = "A pool needs at least one instance type."
  }
}

variable "size" {
  description = "Number of machines; desired is null when a controller sets it"
  type = object({
    min     = number
    desired = number
    max     = number
  })

  validation {
    condition     = var.size.min <= var.size.max
    error_message = "The size of a pool needs min <= max."
  }
}

variable "autoscaled" {
  description = "A controller sets the number of machines, and drains those it removes"
  type        = bool
  default     = false
}

variable "capacity" {
  description = "How machines are bought: on-demand, spot, reservation or block; the reservation's id; with spot, how many on demand first"
  type = object({
    kind           = string
    reservation    = string
    on_demand_base = number
  })

  validation {
    condition     = contains(["on-demand", "spot", "reservation", "block"], var.capacity.kind)
    error_message = "Capacity is on-demand, spot, reservation or block."
  }
}

variable "placement" {
  description = "Strategy of the placement group (cluster, spread, partition), or null for none"
  type        = string
  default     = null
}

variable "zone" {
  description = "The only availability zone of the machines, or null for all that have a subnet"
  type        = string
  default     = null
}

variable "disk" {
  description = "Size of the root disk in GB"
  type        = number
}

variable "subnets" {
  description = "Subnet id by zone"
  type        = map(string)
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

variable "interfaces" {
  description = "Network interfaces: card, place on it, and type (efa, efa-only; left out: an ordinary one)"
  type = list(object({
    card   = optional(number, 0)
    device = optional(number, 0)
    type   = optional(string)
  }))
  default = [{}]
}

variable "instance_profile" {
  description = "Name of the instance profile"
  type        = string
}

variable "metadata_hops" {
  description = "Hops that the machine's credentials go: 1 for the machine alone, 2 for containers on it, too"
  type        = number
  default     = 2
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

variable "labels" {
  description = "Labels of the machines, for a scheduler that must know them while there is none"
  type        = map(string)
  default     = {}
}

variable "taints" {
  description = "Taints of the machines, by key, as value:effect"
  type        = map(string)
  default     = {}
}

variable "resources" {
  description = "What a machine of each type offers (such as nvidia.com/gpu), for a scheduler that must know it while there is none"
  type        = map(map(string))
  default     = {}
}
