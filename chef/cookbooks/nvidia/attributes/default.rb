# frozen_string_literal: true

# infra.nvidia.driver ('580', or '580.95.05'), .module ('open' or 'proprietary') and .fabric_manager come with the policy;
# without them this cookbook does nothing.

# NVIDIA's repository has one folder for each release of each system: ubuntu2204, debian12.
release = node['platform'] == 'ubuntu' ? node['platform_version'].delete('.') : node['platform_version'].to_i
machine = node['kernel']['machine'] == 'aarch64' ? 'sbsa' : 'x86_64'
uri = "https://developer.download.nvidia.com/compute/cuda/repos/#{node['platform']}#{release}/#{machine}"
default['infra']['repositories']['nvidia']['uri'] = "#{uri}/"
default['infra']['repositories']['nvidia']['distribution'] = '/'
default['infra']['repositories']['nvidia']['components'] = []
default['infra']['repositories']['nvidia']['key_url'] = "#{uri}/3bf863cc.pub"
default['infra']['repositories']['nvidia']['trusted'] = false

# Data Center GPU Manager: '4' is the newest 4.x, false leaves it out. It has no support for Kepler's driver (470) from 4 on.
default['infra']['dcgm']['version'] = '4'
