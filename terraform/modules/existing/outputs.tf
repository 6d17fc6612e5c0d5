output "vpc_id" {
  description = "Id of the VPC"
  value       = data.aws_vpc.this.id
}

output "cidr" {
  description = "Network of the VPC"
  value       = data.aws_vpc.this.cidr_block
}

output "private_subnets" {
  description = "Subnet id by zone, private"
  value       = { for subnet in data.aws_subnet.private : subnet.availability_zone => subnet.id }

  precondition {
    condition     = length(data.aws_subnet.private) > 0
    error_message = "network.existing: ${data.aws_vpc.this.id} has no such private subnet."
  }

  precondition {
    condition     = length(distinct([for subnet in data.aws_subnet.private : subnet.availability_zone])) == length(data.aws_subnet.private)
    error_message = "network.existing: two of the private subnets lie in one zone; name one of each zone by its id."
  }
}

output "public_subnets" {
  description = "Subnet id by zone, public"
  value       = { for subnet in data.aws_subnet.public : subnet.availability_zone => subnet.id }

  precondition {
    condition     = length(distinct([for subnet in data.aws_subnet.public : subnet.availability_zone])) == length(data.aws_subnet.public)
    error_message = "network.existing: two of the public subnets lie in one zone; name one of each zone by its id."
  }
}
