# frozen_string_literal: true

# CUDA toolkits side by side: these versions and no others.
#
#   cuda_toolkits 'all' do
#     versions %w(12.8 12.9)
#   end

provides :cuda_toolkits
unified_mode true
default_action :install

property :versions, Array, required: true

action_class do
  def installed
    listing = shell_out!('dpkg-query', '-W', '-f', '${db:Status-Abbrev}\t${Package}\t${Version}\n').stdout
    InfraVersions.installed(listing).keys
  end

  def purge(names)
    shell_out!('apt-get', 'purge', '--yes', '--allow-change-held-packages', '-o', 'DPkg::Lock::Timeout=300', *names,
               environment: { 'DEBIAN_FRONTEND' => 'noninteractive' }, timeout: 3600)
  end
end

action :install do
  if new_resource.versions.any?
    infra_packages 'cuda toolkits' do
      packages(new_resource.versions.to_h { |version| [Infra::Toolkits.package(version), version] })
    end
  end

  # What an unlisted toolkit brought carries its version in its name, and goes with it.
  left = Infra::Toolkits.unwanted(installed, new_resource.versions)
  converge_by("remove #{left.join(', ')}") { purge(left) } if left.any?
end
