# frozen_string_literal: true

default['infra']['users'] = {}

default['infra']['base']['packages'] = %w[ca-certificates chrony curl gnupg jq kmod openssh-server pciutils sudo tzdata]
default['infra']['base']['timezone'] = 'Etc/UTC'
default['infra']['base']['locale'] = 'C.UTF-8'
default['infra']['base']['time_servers'] = ['169.254.169.123'] # Amazon's, inside EC2; elsewhere the pools serve

# TCP ports that others may reach beside ssh (and Kubernetes'): the smoke test fails when somebody listens on another.
default['infra']['base']['ports'] = []

# The kernel is changed by a new policy, never by a passing upgrade: drivers are built for it. Set one to false to free it.
%w[
  linux-aws linux-generic linux-headers-amd64 linux-headers-aws linux-headers-generic linux-image-amd64 linux-image-aws
  linux-image-generic linux-modules-extra-aws
].each { |package| default['infra']['base']['held'][package] = true }

default['infra']['base']['ssh'] = {
  'AllowTcpForwarding' => 'yes',
  'ClientAliveCountMax' => '10',
  'ClientAliveInterval' => '60',
  'KbdInteractiveAuthentication' => 'no',
  'LoginGraceTime' => '30',
  'MaxAuthTries' => '6',
  'MaxStartups' => '100:30:200', # a whole team, and a converge, at once
  'PasswordAuthentication' => 'no',
  'PermitEmptyPasswords' => 'no',
  'PermitRootLogin' => 'no',
  'UsePAM' => 'yes',
  'X11Forwarding' => 'no'
}

default['infra']['base']['sysctl'] = {
  'fs.inotify.max_user_instances' => '8192',
  'fs.inotify.max_user_watches' => '1048576',
  'kernel.numa_balancing' => '0', # migrating pages under a training job costs more than it gains
  'kernel.pid_max' => '4194304',
  'net.core.netdev_max_backlog' => '250000',
  'net.core.rmem_max' => '134217728',
  'net.core.somaxconn' => '4096',
  'net.core.wmem_max' => '134217728',
  'net.ipv4.tcp_mtu_probing' => '1',
  'net.ipv4.tcp_rmem' => '4096 131072 134217728',
  'net.ipv4.tcp_wmem' => '4096 65536 134217728',
  'vm.max_map_count' => '1048576', # one mapping for each file of a data set
  'vm.swappiness' => '10'
}

default['infra']['base']['limits'] = {
  'memlock' => 'unlimited', # GPUs and network cards pin what they read
  'nofile' => '1048576',
  'stack' => 'unlimited'
}
