# frozen_string_literal: true

# CUDA toolkits. The driver is the cookbook nvidia's: a toolkit never brings one.

versions = node['infra']['cuda']['versions'].map(&:to_s)
chosen = node['infra']['cuda']['default'] || Infra::Toolkits.newest(versions)

if versions.any?
  repository = node['infra']['repositories']['nvidia']
  infra_repository 'nvidia' do
    uri repository['uri']
    distribution repository['distribution']
    components repository['components'].to_a
    key_url repository['key_url']
    key repository['key']
    trusted repository['trusted']
  end
end

cuda_toolkits 'all that are listed' do
  versions versions
end

# Each toolkit's package is a choice for /usr/local/cuda; which one it is, is said here, whatever the order of installs.
execute "/usr/local/cuda is #{chosen}" do
  command ['update-alternatives', '--set', 'cuda', "/usr/local/cuda-#{chosen}"]
  only_if { chosen && ::File.directory?("/usr/local/cuda-#{chosen}") }
  not_if { Infra::Toolkits.current == "/usr/local/cuda-#{chosen}" }
end

file '/etc/profile.d/infra-cuda.sh' do
  content <<~SH
    # CUDA's compilers and tools; /usr/local/cuda-X.Y has the others.
    if [ -d /usr/local/cuda/bin ]; then
      PATH=/usr/local/cuda/bin:$PATH
      export CUDA_HOME=/usr/local/cuda
    fi
  SH
  mode '0644'
  action versions.any? ? :create : :delete
end
