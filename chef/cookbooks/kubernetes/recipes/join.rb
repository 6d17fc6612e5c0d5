# frozen_string_literal: true

# A machine becomes a node by itself at its start. Labels, taints and the cluster are told to it by its place; the token
# comes from SSM. A machine on the floor has no place: infra node bootstrap hands it what it needs.

%w[/etc/infra /usr/local/lib/infra /var/lib/infra].each do |path|
  directory path do
    mode '0755'
  end
end

# The scripts ask SSM, and read JSON.
package %w[curl jq]

%w[kube floor join kube-upgrade].each do |name|
  cookbook_file "/usr/local/lib/infra/#{name}" do
    source name
    mode %w[kube floor].include?(name) ? '0644' : '0755'
  end
end

systemd_unit 'infra-join.service' do
  content InfraKubernetes.boot_unit(
    'join', 'This machine becomes a node of its Kubernetes cluster', after: %w[nvidia-persistenced.service]
  )
  action %i[create enable]
end
