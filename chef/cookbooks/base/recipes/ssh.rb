# frozen_string_literal: true

# First in the folder: of two values for one setting, sshd takes the first.
file '/etc/ssh/sshd_config.d/10-infra.conf' do
  content [
    'AuthorizedKeysFile /etc/ssh/authorized_keys.d/%u .ssh/authorized_keys',
    *node['infra']['base']['ssh'].sort.map { |key, value| "#{key} #{value}" },
    ''
  ].join("\n")
  mode '0644'
  verify 'sshd -t -f %{path}'
  notifies :reload, 'service[ssh]', :delayed
end

service 'ssh' do
  action :nothing
end
