# frozen_string_literal: true

limits = node['infra']['base']['limits'].sort

infra_sysctl '/etc/sysctl.d/60-infra.conf' do
  settings node['infra']['base']['sysctl'].to_h
end

file '/etc/security/limits.d/60-infra.conf' do
  content limits.flat_map { |key, value| ["* - #{key} #{value}\n", "root - #{key} #{value}\n"] }.join
  mode '0644'
end

directory '/etc/systemd/system.conf.d' do
  mode '0755'
end

# Services (sshd, Docker, kubelet) do not pass through PAM's limits.
file '/etc/systemd/system.conf.d/60-infra.conf' do
  lines = limits.map { |key, value| "DefaultLimit#{key.upcase}=#{value == 'unlimited' ? 'infinity' : value}" }
  content ['[Manager]', *lines, ''].join("\n")
  mode '0644'
  notifies :run, 'execute[systemctl daemon-reexec]', :delayed
end

execute 'systemctl daemon-reexec' do
  action :nothing
end
