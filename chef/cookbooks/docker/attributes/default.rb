# frozen_string_literal: true

default['infra']['docker']['version'] = '28'
default['infra']['docker']['toolkit'] = '1' # NVIDIA's container toolkit, where the profile has an nvidia section
default['infra']['docker']['data_root'] = '/var/lib/docker'
default['infra']['docker']['users'] = [] # who may use Docker beside those with sudo: they are as good as root
default['infra']['docker']['daemon'] = {} # laid over what daemon.json has

codename = { '12' => 'bookworm', '13' => 'trixie', '22.04' => 'jammy', '24.04' => 'noble' }[node['platform_version'].to_s]

default['infra']['repositories']['docker'] = {
  'uri' => "https://download.docker.com/linux/#{node['platform']}",
  'distribution' => codename,
  'components' => ['stable'],
  'key_url' => "https://download.docker.com/linux/#{node['platform']}/gpg"
}

machine = node['kernel']['machine'] == 'aarch64' ? 'arm64' : 'amd64'

default['infra']['repositories']['nvidia-container-toolkit'] = {
  'uri' => "https://nvidia.github.io/libnvidia-container/stable/deb/#{machine}",
  'distribution' => '/',
  'components' => [],
  'key_url' => 'https://nvidia.github.io/libnvidia-container/gpgkey'
}
