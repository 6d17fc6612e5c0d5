output "nodes" {
  description = "Id of the security group of all machines"
  value       = aws_security_group.nodes.id
}
