output "profiles" {
  description = "Name of the instance profile by kind of machine"
  value       = { for kind, profile in aws_iam_instance_profile.this : kind => profile.name }
}

output "roles" {
  description = "ARN of the role by kind of machine"
  value       = { for kind, role in aws_iam_role.this : kind => role.arn }
}

output "keys" {
  description = "Name of the key pair by user"
  value       = { for user, pair in aws_key_pair.user : user => pair.key_name }
}
