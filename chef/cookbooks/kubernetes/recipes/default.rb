# frozen_string_literal: true

# What a machine needs to be a node. It joins at boot; nothing of a certain cluster is baked.

unless node['infra']['kubernetes'] && node['infra']['kubernetes']['version']
  Chef::Log.info('kubernetes: the policy names no version: nothing to do')
  return
end

minor = node['infra']['kubernetes']['version'].to_s[/\A\d+\.\d+/]
repository = node['infra']['repositories']['kubernetes']

# A node stays at its minor version until it is upgraded as a part of its cluster.
elsewhere = lambda do
  installed = shell_out('dpkg-query', '-W', '-f', '${Version}', 'kubelet').stdout
  InfraKubernetes.elsewhere?(::File.exist?('/etc/kubernetes/kubelet.conf'), installed, minor)
end

include_recipe 'docker' # containerd is of the same repository
include_recipe 'kubernetes::kernel'
include_recipe 'kubernetes::containerd'

infra_repository 'kubernetes' do
  uri repository['uri'].gsub('%{minor}', minor)
  distribution repository['distribution']
  components repository['components'].to_a
  key_url repository['key_url']&.gsub('%{minor}', minor)
  key repository['key']
  trusted repository['trusted']
  not_if(&elsewhere)
end

infra_packages 'kubernetes' do
  packages(%w[kubelet kubeadm kubectl].to_h { |name| [name, node['infra']['kubernetes']['version'].to_s] })
  lockstep %w[kubelet kubeadm kubectl]
  not_if(&elsewhere)
end

include_recipe 'kubernetes::join'
# Physical machines of the control plane may be of a worker's profile, and run pods too.
include_recipe 'kubernetes::control_plane' if node['infra']['kubernetes']['control_plane']

# It runs once kubeadm has made the machine a node; until then it would start and fail.
service 'kubelet' do
  action :enable
end
