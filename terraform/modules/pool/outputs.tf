output "groups" {
  description = "Names of the Auto Scaling groups: one, or one for each type and zone where an autoscaler chooses"
  value       = [for key in sort(keys(local.groups)) : aws_autoscaling_group.this[key].name]
}

output "launch_template" {
  description = "Id of the launch template"
  value       = aws_launch_template.this.id
}
