# frozen_string_literal: true

settings = node['infra']['mounting']
storage = node['infra']['storage'].to_h
wanted = InfraStorage.of_kind(storage, 'nfs')
lines = InfraStorage.automounts(storage, node['infra']['users'].keys, settings['nfs_options'])

package %w[autofs nfs-common] unless wanted.empty?

wanted.each_value do |item|
  directory item['mount'] do
    recursive true
    not_if { Dir.exist?(item['mount']) }
  end
end

unless wanted.empty?
  file '/etc/autofs.conf' do
    content <<~CONF
      [ autofs ]
      timeout = 600
      negative_timeout = 30
      mount_wait = #{settings['nfs_wait']}
      browse_mode = no
    CONF
    mode '0644'
    notifies :restart, 'service[autofs]', :delayed
  end
end

directory '/etc/auto.master.d' do
  mode '0755'
end

file '/etc/auto.master.d/infra.autofs' do
  content "/- /etc/auto.infra\n"
  mode '0644'
  action wanted.empty? ? :delete : :create
  notifies :restart, 'service[autofs]', :delayed
end

file '/etc/auto.infra' do
  content lines.map { |line| "#{line}\n" }.join
  mode '0644'
  action wanted.empty? ? :delete : :create
  notifies :reload, 'service[autofs]', :delayed
end

service 'autofs' do
  action wanted.empty? ? :nothing : %i[enable start]
  only_if { File.exist?('/usr/sbin/automount') }
end
