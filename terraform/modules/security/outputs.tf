output "nodes" {
  description = "Id of the security group of all machines"
  value       = module.nodes.id
}
