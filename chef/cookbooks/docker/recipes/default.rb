# frozen_string_literal: true

settings = node['infra']['docker'].to_h
gpus = !node['infra']['nvidia'].nil?
toolkit_packages = %w[nvidia-container-toolkit nvidia-container-toolkit-base libnvidia-container-tools libnvidia-container1]

%w[docker nvidia-container-toolkit].each do |name|
  place = node['infra']['repositories'][name]

  infra_repository name do
    uri place['uri']
    distribution place['distribution']
    components place['components'].to_a
    key_url place['key_url']
    key place['key']
    trusted place['trusted']
    action(name == 'docker' || gpus ? :add : :remove)
  end
end

# Before the packages: the daemon's first start is then with these settings.
directory '/etc/docker' do
  mode '0755'
end

infra_packages 'nvidia-container-toolkit' do
  packages(toolkit_packages.to_h { |package| [package, settings['toolkit']] })
  lockstep toolkit_packages
  action(gpus ? :install : :remove)
end

file '/etc/docker/daemon.json' do
  content InfraDocker.daemon(settings, nvidia: gpus)
  mode '0644'
  notifies :restart, 'service[docker]', :delayed
end

infra_packages 'docker' do
  packages('docker-ce' => settings['version'], 'docker-ce-cli' => settings['version'], 'containerd.io' => '')
  lockstep %w[docker-ce docker-ce-cli]
end

group 'docker' do
  members (node['infra']['users'].select { |_, user| user['sudo'] }.keys | settings['users'].to_a).sort
  system true
end

service 'docker' do
  action %i[enable start]
end
