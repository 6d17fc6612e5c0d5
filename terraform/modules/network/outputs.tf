output "vpc_id" {
  description = "Id of the VPC"
  value       = aws_vpc.this.id
}

output "cidr" {
  description = "Network of the VPC"
  value       = aws_vpc.this.cidr_block
}

output "private_subnets" {
  description = "Subnet id by zone, private"
  value       = { for zone, subnet in aws_subnet.private : zone => subnet.id }
}

output "public_subnets" {
  description = "Subnet id by zone, public"
  value       = { for zone, subnet in aws_subnet.public : zone => subnet.id }
}
