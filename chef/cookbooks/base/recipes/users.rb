# frozen_string_literal: true

users = node['infra']['users'].to_h
numbers = InfraUid.all(users)
gone = InfraUid.members('infra-users') - users.keys # ours, and listed no more

directory '/etc/ssh/authorized_keys.d' do
  mode '0755'
end

users.sort.each do |name, user|
  infra_user name do
    uid numbers[name]
    keys user['keys'].to_a
  end
end

gone.sort.each do |name|
  infra_user name do
    action :lock
  end
end

# The mark by which we know them again.
group 'infra-users' do
  gid 19_998
  members (users.keys + gone).sort
end

group 'infra-sudo' do
  gid 19_999
  members users.select { |_, user| user['sudo'] }.keys.sort
end

file '/etc/sudoers.d/infra' do
  content "%infra-sudo ALL=(ALL:ALL) NOPASSWD: ALL\n"
  mode '0440'
  verify 'visudo --check --file=%{path}'
end
