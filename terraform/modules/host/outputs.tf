output "machines" {
  description = "Id and addresses of each machine by name"
  value = {
    for name, machine in aws_instance.this : name => {
      id          = machine.id
      private_ip  = machine.private_ip
      private_dns = machine.private_dns
      public_ip   = machine.public_ip
      public_dns  = machine.public_dns
    }
  }
}
