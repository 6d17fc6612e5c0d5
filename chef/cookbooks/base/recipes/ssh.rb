# frozen_string_literal: true

# A certificate of such a CA opens the account that it names among its principals, while it is valid, beside the keys of
# that account; one that names nobody opens nothing. No file of other principals counts, whatever a later file says. (Its
# sister AuthorizedPrincipalsCommand is left alone: sshd takes "none" there for a command that allows nobody.)
authorities = node['infra']['user_ca'].to_a
file '/etc/ssh/user_ca_keys' do
  content authorities.map { |key| "#{key}\n" }.join
  mode '0644'
  action :delete if authorities.empty?
end
trust = ['AuthorizedPrincipalsFile none', 'TrustedUserCAKeys /etc/ssh/user_ca_keys']

# First in the folder: of two values for one setting, sshd takes the first.
file '/etc/ssh/sshd_config.d/10-infra.conf' do
  content [
    'AuthorizedKeysFile /etc/ssh/authorized_keys.d/%u .ssh/authorized_keys',
    *(authorities.empty? ? [] : trust),
    *node['infra']['base']['ssh'].sort.map { |key, value| "#{key} #{value}" },
    ''
  ].join("\n")
  mode '0644'
  verify 'sshd -t -f %{path}'
  notifies :reload, 'service[ssh]', :delayed
end

# An image has no host keys: each machine makes its own. Ubuntu's images leave that to cloud-init, Debian's to nobody.
systemd_unit 'infra-host-keys.service' do
  content <<~UNIT
    [Unit]
    Description=Host keys of this machine, when it starts for the first time
    Before=ssh.service ssh.socket
    ConditionPathExistsGlob=!/etc/ssh/ssh_host_*_key

    [Service]
    Type=oneshot
    ExecStart=/usr/bin/ssh-keygen -A

    [Install]
    WantedBy=multi-user.target
  UNIT
  action %i[create enable]
end

service 'ssh' do
  action :nothing
end
