# One builder, one image: upload the policy, converge, test, clean, and only then an AMI.

source "amazon-ebs" "image" {
  region          = var.region
  ami_name        = var.name
  ami_description = var.description
  source_ami      = var.source_ami
  instance_type   = var.instance_type
  subnet_id       = var.subnet

  # Ours, so that it has its tags from the first moment on.
  security_group_id = var.security_group

  associate_public_ip_address = true

#% if endpoint
  # Not AWS itself.
  custom_endpoint_ec2     = "<< endpoint >>"
  skip_region_validation  = true
  skip_metadata_api_check = true
#% if packer >= (1, 7)
  skip_credential_validation = true
#% endif
#% endif
#% if ssh_host
  # The embedded AWS: dummy credentials, and a builder that is a real machine elsewhere.
  access_key = "<< access_key >>"
  secret_key = "<< secret_key >>"
  ssh_host   = "<< ssh_host >>"
  ssh_port   = << ssh_port >>
#% endif

  communicator            = "ssh"
  ssh_username            = "ubuntu"
  ssh_private_key_file    = var.ssh_key
  ssh_timeout             = "<< ssh_timeout >>"
  ssh_keep_alive_interval = "5s"
  ssh_read_write_timeout  = "<< ssh_silence >>"
  user_data               = var.user_data

  # A builder that is switched off is a builder that is gone.
  shutdown_behavior = "terminate"
#% if packer >= (1, 7)
  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }
#% endif

  launch_block_device_mappings {
    device_name           = var.root_device
    volume_size           = var.disk
    volume_type           = "gp2"
    encrypted             = true
    delete_on_termination = true
  }

  tags            = var.tags
  snapshot_tags   = var.tags
  run_tags        = var.run_tags
  run_volume_tags = var.run_tags
}

build {
  sources = ["source.amazon-ebs.image"]

  provisioner "shell" {
    script           = "scripts/prepare.sh"
    execute_command  = "sudo -n env {{ .Vars }} sh {{ .Path }}"
    environment_vars = ["INFRA_ROOM=${var.room}"]
  }

  provisioner "file" {
    source      = "policy.tar"
    destination = "/tmp/infra-bake/policy.tar"
  }

  provisioner "file" {
    source      = "node.json"
    destination = "/tmp/infra-bake/node.json"
  }

#% if client_package
  provisioner "file" {
    source      = "client/${var.client_package}"
    destination = "/tmp/infra-bake/${var.client_package}"
  }

#% endif
  provisioner "shell" {
    script          = "scripts/unpack.sh"
    execute_command = "sudo -n env {{ .Vars }} sh {{ .Path }}"
    environment_vars = [
      "INFRA_DIGEST=${var.digest}",
      "INFRA_CLIENT_PACKAGE=${var.client_package}",
      "INFRA_CLIENT_SHA256=${var.client_sha256}",
    ]
  }

#% if rehearsal
  provisioner "shell" {
    script          = "scripts/rehearse.sh"
    execute_command = "sudo -n env {{ .Vars }} sh {{ .Path }}"
  }

#% else
  provisioner "shell" {
    script           = "scripts/converge.sh"
    execute_command  = "sudo -n env {{ .Vars }} sh {{ .Path }}"
    environment_vars = ["INFRA_CLIENT=${var.client}"]
    valid_exit_codes = [0, 35, 37]
  }

  provisioner "shell" {
    script          = "scripts/smoke.sh"
    execute_command = "sudo -n env {{ .Vars }} sh {{ .Path }}"
  }

#% endif
  provisioner "shell" {
    script          = "scripts/packages.sh"
    execute_command = "sudo -n env {{ .Vars }} sh {{ .Path }}"
  }

  provisioner "file" {
    direction   = "download"
    source      = "/tmp/infra-bake/packages.tsv"
    destination = "out/packages.tsv"
  }

  provisioner "file" {
    direction   = "download"
    source      = "/tmp/infra-bake/report.json"
    destination = "out/report.json"
  }

  provisioner "shell" {
    script           = "scripts/seal.sh"
    execute_command  = "sudo -n env {{ .Vars }} sh {{ .Path }}"
    environment_vars = ["INFRA_CLIENT=${var.client}"]
  }

  post-processor "manifest" {
    output = "out/manifest.json"
  }
}
