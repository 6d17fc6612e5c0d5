# frozen_string_literal: true

settings = node['infra']['research'].to_h
tool = settings['micromamba']
machine = node['kernel']['machine']
wanted = settings['environments'].select { |_, environment| environment }
root = settings['root']

remote_file '/usr/local/bin/micromamba' do
  source "#{tool['url']}/#{tool['version']}/micromamba-linux-#{machine == 'aarch64' ? 'aarch64' : '64'}"
  checksum tool['sha256'][machine]
  mode '0755'
end

["#{root}/envs", "#{root}/pkgs"].each do |path|
  directory path do
    recursive true
    mode '0755'
  end
end

wanted.sort.each do |name, environment|
  conda_environment name do
    python environment['python'].to_s
    packages environment['packages'].to_h
    pip environment['pip'].to_a
    channels environment['channels'] || settings['channels']
    root root
    cuda node['infra']['nvidia'] ? node['infra']['cuda']['versions'].last : nil
  end
end

# What somebody made by hand in our folder, and what is listed no more.
(Dir.exist?("#{root}/envs") ? Dir.children("#{root}/envs") - wanted.keys : []).sort.each do |name|
  conda_environment name do
    python ''
    channels []
    root root
    action :remove
  end
end

file '/etc/profile.d/infra-conda.sh' do
  content <<~SH
    # `micromamba activate NAME`: the environments are in #{root}/envs
    export MAMBA_ROOT_PREFIX=#{root}
    if [ -n "${BASH_VERSION:-}" ] && [ -x /usr/local/bin/micromamba ]; then
      eval "$(/usr/local/bin/micromamba shell hook --shell bash 2>/dev/null)"
    fi
  SH
  mode '0644'
end
