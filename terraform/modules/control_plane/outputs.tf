output "endpoint" {
  description = "Where the Kubernetes API is, within the VPC"
  value       = "${aws_lb.api.dns_name}:6443"
}

output "machines" {
  description = "Id and addresses of each machine by name"
  value = {
    for name, machine in aws_instance.this : name => {
      id          = machine.id
      private_ip  = machine.private_ip
      private_dns = machine.private_dns
    }
  }
}
