output "group" {
  description = "Name of the Auto Scaling group"
  value       = aws_autoscaling_group.this.name
}

output "launch_template" {
  description = "Id of the launch template"
  value       = aws_launch_template.this.id
}
