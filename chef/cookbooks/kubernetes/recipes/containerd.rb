# frozen_string_literal: true

# containerd for kubelet: cgroups by systemd, as kubelet has them, and NVIDIA's runtime where its toolkit is.

sandbox = node['infra']['containerd']['sandbox']

directory '/etc/containerd' do
  mode '0755'
end

# Version 2 is read by containerd 1.7 and by 2.x. Docker's package comes with the part for Kubernetes switched off.
plain = <<~TOML
  version = 2

  [plugins."io.containerd.grpc.v1.cri"]
    sandbox_image = "#{sandbox}"

  [plugins."io.containerd.grpc.v1.cri".containerd]
    default_runtime_name = "runc"

  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"

  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
    SystemdCgroup = true
TOML

file '/etc/containerd/infra.toml' do
  content plain
  mode '0644'
end

# nvidia-ctk adds its runtime to what it is given, and prints it: the file is compared by content, whoever changed it.
file '/etc/containerd/config.toml' do
  content(lazy do
    next plain unless ::File.executable?('/usr/bin/nvidia-ctk') && ::File.exist?('/etc/containerd/infra.toml')

    shell_out!('nvidia-ctk', 'runtime', 'configure', '--runtime=containerd', '--config=/etc/containerd/infra.toml',
               '--dry-run').stdout
  end)
  mode '0644'
  notifies :restart, 'service[containerd]', :delayed
end

service 'containerd' do
  action %i[enable start]
end
