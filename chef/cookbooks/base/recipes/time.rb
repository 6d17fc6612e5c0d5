# frozen_string_literal: true

settings = node['infra']['base']
container = node.dig('virtualization', 'systems', 'docker') == 'guest' || File.exist?('/run/systemd/container')

file '/etc/chrony/sources.d/infra.sources' do
  content settings['time_servers'].map { |server| "server #{server} prefer iburst minpoll 4 maxpoll 4\n" }.join
  mode '0644'
  notifies :restart, 'service[chrony]', :delayed unless container
end

if container
  log 'The clock is the host\'s: chrony is installed but not started here'
else
  service 'chrony' do
    action %i[enable start]
  end
end

link '/etc/localtime' do
  to "/usr/share/zoneinfo/#{settings['timezone']}"
end

file '/etc/timezone' do
  content "#{settings['timezone']}\n"
  mode '0644'
end

unless settings['locale'].start_with?('C.')
  package 'locales'

  execute "localedef for #{settings['locale']}" do
    command ['localedef', '-i', settings['locale'].split('.').first, '-f', 'UTF-8', settings['locale']]
    not_if { shell_out('locale', '-a').stdout.downcase.delete('-').split.include?(settings['locale'].downcase.delete('-')) }
  end
end

file '/etc/default/locale' do
  content "LANG=#{settings['locale']}\n"
  mode '0644'
end
