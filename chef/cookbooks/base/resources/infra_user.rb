# frozen_string_literal: true

# A person's account. Keys lie outside the home, so that login needs no shared storage; a locked account keeps its files.
provides :infra_user
unified_mode true

KEYS = '/etc/ssh/authorized_keys.d'
EXPIRED = '1' # the day after 1970-01-01, as /etc/shadow has it

property :login, String, name_property: true
property :uid, Integer
property :keys, Array, default: []
property :shell, String, default: '/bin/bash'

action_class do
  def expiry
    shadow = ::File.readlines('/etc/shadow', chomp: true).map { |line| line.split(':', -1) }
    (shadow.find { |fields| fields[0] == new_resource.login } || [])[7]
  end
end

action :create do
  group new_resource.login do
    gid new_resource.uid
    not_if { InfraUid.known?(new_resource.login, '/etc/group') }
  end

  user new_resource.login do
    uid new_resource.uid
    gid new_resource.login
    shell new_resource.shell
    home "/home/#{new_resource.login}"
    manage_home true
    not_if { InfraUid.known?(new_resource.login, '/etc/passwd') } # an account that is there keeps its number
  end

  execute "open the account #{new_resource.login}" do
    command ['usermod', '--expiredate', '', new_resource.login]
    only_if { expiry == EXPIRED }
  end

  file "#{KEYS}/#{new_resource.login}" do
    content new_resource.keys.map { |key| "#{key}\n" }.join
    mode '0644'
  end
end

action :lock do
  execute "lock the account #{new_resource.login}" do
    command ['usermod', '--expiredate', '1', new_resource.login]
    not_if { expiry == EXPIRED }
    notifies :run, "execute[end the sessions of #{new_resource.login}]", :immediately
  end

  execute "end the sessions of #{new_resource.login}" do
    command ['loginctl', 'terminate-user', new_resource.login]
    returns [0, 1]
    action :nothing
  end

  file "#{KEYS}/#{new_resource.login}" do
    action :delete
  end
end
