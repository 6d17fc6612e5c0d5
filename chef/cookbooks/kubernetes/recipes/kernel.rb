# frozen_string_literal: true

# Modules and settings that pods' networks need, and no swap: kubelet refuses to start with it.

contained = ::File.exist?('/run/systemd/container')

file '/etc/modules-load.d/infra-kubernetes.conf' do
  content "br_netfilter\noverlay\n"
  mode '0644'
  notifies :run, 'execute[load modules for pods]', :immediately
end

execute 'load modules for pods' do
  command %w[modprobe --all br_netfilter overlay]
  action :nothing
  not_if { contained } # the kernel is its host's
end

file '/etc/sysctl.d/90-infra-kubernetes.conf' do
  content <<~CONF
    net.bridge.bridge-nf-call-ip6tables = 1
    net.bridge.bridge-nf-call-iptables = 1
    net.ipv4.ip_forward = 1
  CONF
  mode '0644'
  notifies :run, 'execute[settings for pods]', :immediately
end

execute 'settings for pods' do
  command %w[sysctl --load=/etc/sysctl.d/90-infra-kubernetes.conf]
  action :nothing
  not_if { contained }
end

execute 'swapoff --all' do
  not_if { contained || ::File.readlines('/proc/swaps').length < 2 }
end

# Entries are commented out, so that who put them there can find them.
file '/etc/fstab' do
  content(lazy { ::File.read('/etc/fstab').gsub(/^(?=[^#\s]\S*\s+\S+\s+swap\s)/, '# no swap under Kubernetes: ') })
  only_if { ::File.exist?('/etc/fstab') }
end
