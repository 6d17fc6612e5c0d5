# All machines of the cluster. EFA wants all traffic allowed within the group, named as such in both directions.
module "nodes" {
  source = "../group"

  cluster     = var.cluster
  address     = "${var.address}.module.nodes"
  name        = "nodes"
  description = "Machines of the cluster ${var.cluster}"
  vpc_id      = var.vpc_id

  ingress = merge(
    { "self" = { description = "Everything among the machines of the cluster" } },
    { for cidr in var.ssh_from : "ssh-${cidr}" => { description = "SSH from ${cidr}", port = 22, cidr = cidr } },
    { for cidr in var.overlay_from : "kubelet-${cidr}" => { description = "kubelet, from ${cidr}", port = 10250, cidr = cidr } },
    { for cidr in var.overlay_from : "overlay-${cidr}" => { description = "Network of the pods, from ${cidr}", port = 8472, protocol = "udp", cidr = cidr } },
  )

  egress = {
    "self" = { description = "Everything among the machines of the cluster" }
    "all"  = { description = "Packages, images and the AWS API", cidr = "0.0.0.0/0" }
  }
}
