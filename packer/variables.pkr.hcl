# What a bake decides. `packer build -var-file=values.pkrvars.json .` in the rendered folder does the same by hand.

variable "name" {
  type        = string
  description = "of the AMI"
}

variable "description" {
  type = string
}

variable "region" {
  type = string
}

variable "source_ami" {
  type        = string
  description = "the image to bake on: Canonical's, or our own with the same lower layers"
}

variable "root_device" {
  type        = string
  description = "the source image's root device"
}

variable "instance_type" {
  type = string
}

variable "subnet" {
  type        = string
  description = "where the builder runs; it needs a public address that SSH reaches"
}

variable "security_group" {
  type        = string
  description = "lets SSH in from where the bake is run"
}

variable "ssh_key" {
  type        = string
  description = "private key file, made for this bake alone"
}

variable "user_data" {
  type        = string
  description = "cloud-config with the public half of it"
}

variable "disk" {
  type        = number
  description = "root disk in GB"
}

variable "room" {
  type        = number
  description = "MB that must be free on the builder to begin with"
}

variable "digest" {
  type        = string
  description = "sha256 of policy.tar"
}

variable "client" {
  type        = string
  description = "cinc, chef, or rehearsal (nothing is converged)"
}

variable "client_package" {
  type        = string
  description = "file name of the client's package in client/; empty: it is on the machine already"
}

variable "client_sha256" {
  type = string
}

variable "tags" {
  type        = map(string)
  description = "of the AMI and its snapshots"
}

variable "run_tags" {
  type        = map(string)
  description = "of everything that the bake needs for a while: a sweep finds it by them"
}
