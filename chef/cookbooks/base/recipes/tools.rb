# frozen_string_literal: true

# Our folders, and the programs that our own scripts on the machine need. Other cookbooks include this.

%w[/etc/infra /usr/local/lib/infra /var/lib/infra].each do |path|
  directory path do
    mode '0755'
  end
end

package 'what every machine has' do
  package_name node['infra']['base']['packages'].to_a
end

cookbook_file '/usr/local/lib/infra/place' do
  source 'place'
  mode '0755'
end
