# frozen_string_literal: true

# Amazon's EFA software: kernel module, rdma-core, libfabric and Open MPI, by the version of its installer.
#
#   efa_installer '1.41.0' do
#     url 'https://efa-installer.amazonaws.com/aws-efa-installer-1.41.0.tar.gz'
#     sha256 '3506354c...'
#   end

provides :efa_installer
unified_mode true
default_action :install

property :version, String, name_property: true
property :url, String, required: true
property :sha256, String, required: true, regex: [/\A\h{64}\z/]

action_class do
  def archive
    "#{Chef::Config[:file_cache_path]}/aws-efa-installer-#{new_resource.version}.tar.gz"
  end

  def folder
    "#{Chef::Config[:file_cache_path]}/efa-#{new_resource.version}"
  end

  # The adapter's kernel module is built for kernels whose headers are there.
  def options
    return [] if ::File.directory?("/lib/modules/#{node['kernel']['release']}/build")

    Chef::Log.warn("efa: kernel module not built: no headers for the running kernel #{node['kernel']['release']}")
    ['--skip-kmod']
  end

  def run_installer(*words)
    shell_out!('./efa_installer.sh', '--yes', *words, cwd: "#{folder}/aws-efa-installer", timeout: 1800,
                                                      environment: { 'DEBIAN_FRONTEND' => 'noninteractive' })
  end
end

action :install do
  present = Infra::Efa.installed
  unless present == new_resource.version
    remote_file archive do
      source new_resource.url
      checksum new_resource.sha256
      mode '0600'
    end

    converge_by("EFA installer #{present || '(none)'} -> #{new_resource.version}") do
      ::FileUtils.mkdir_p(folder)
      shell_out!('tar', '-xzf', archive, '-C', folder)
      # It does not go back over newer packages.
      run_installer('--uninstall') if present && Infra::Efa.older?(new_resource.version, present)
      run_installer(*options)
      unless Infra::Efa.installed == new_resource.version
        raise "efa: the installer ended well, but #{Infra::Efa::RECORD} says #{Infra::Efa.installed.inspect}"
      end
    end

    directory folder do
      recursive true
      action :delete
    end

    file archive do
      action :delete
    end
  end
end
