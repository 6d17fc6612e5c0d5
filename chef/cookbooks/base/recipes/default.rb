# frozen_string_literal: true

# What every machine has. Packages come last to change: nothing upgrades by itself.

settings = node['infra']['base']

directory '/etc/infra' do
  mode '0755'
end

%w[/usr/local/lib/infra /var/lib/infra].each do |path|
  directory path do
    mode '0755'
  end
end

include_recipe 'base::upgrades'

package 'what every machine has' do
  package_name settings['packages'].to_a
end

cookbook_file '/usr/local/lib/infra/place' do
  source 'place'
  mode '0755'
end

include_recipe 'base::users'
include_recipe 'base::ssh'
include_recipe 'base::kernel'
include_recipe 'base::time'

infra_holds '/etc/infra/held' do
  packages settings['held'].select { |_, wanted| wanted }.keys.sort
end
