# frozen_string_literal: true

# What every machine has.

include_recipe 'base::upgrades'
include_recipe 'base::tools'
include_recipe 'base::users'
include_recipe 'base::ssh'
include_recipe 'base::kernel'
include_recipe 'base::time'
include_recipe 'base::pull'

file '/etc/infra/ports' do
  content node['infra']['base']['ports'].map { |port| "#{port}\n" }.join
  mode '0644'
end

infra_holds '/etc/infra/held' do
  packages node['infra']['base']['held'].select { |_, wanted| wanted }.keys.sort
end
