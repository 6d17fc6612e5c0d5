output "id" {
  description = "Id of the file system"
  value       = aws_efs_file_system.this.id
}

output "dns_name" {
  description = "Name under which machines of the VPC mount it"
  value       = aws_efs_file_system.this.dns_name
}
