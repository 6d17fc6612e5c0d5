# frozen_string_literal: true

# Packages by version, held. A version is a beginning: '28' is satisfied by 28.1.1, and '27' moves it, up or down.
# What is as wanted is left alone, however new the repository is: no converge moves a package that nobody asked to move.
provides :infra_packages
unified_mode true

property :set, String, name_property: true
property :packages, Hash, required: true
property :lockstep, Array, default: []
property :hold, [true, false], default: true

action_class do
  def now
    listing = shell_out('dpkg-query', '-W', '-f', '${db:Status-Abbrev}\t${Package}\t${Version}\n',
                        *new_resource.packages.keys).stdout
    InfraVersions.installed(listing)
  end

  def offers(package)
    InfraVersions.available(shell_out!('apt-cache', 'madison', package).stdout)
  end

  def wanted_changes
    InfraVersions.changes(new_resource.packages, now, new_resource.lockstep) { |package| offers(package) }
  end

  def explain(package)
    there = offers(package)
    "no version of #{package} fits #{new_resource.packages[package].inspect}: " +
      (there.empty? ? 'no repository has this package' : "the repositories have #{there.first(8).join(', ')}")
  end

  def changes
    found = wanted_changes
    return found unless found.value?(nil)
    # Nothing is changed, and a repository that this run would add is not known to apt: what is wanted is all there is.
    return found.to_h { |package, version| [package, version || new_resource.packages[package]] } if Chef::Config[:why_run]

    shell_out!('apt-get', 'update', timeout: 600)
    found = wanted_changes
    missing = found.select { |_, version| version.nil? }.keys
    raise missing.map { |package| explain(package) }.join("\n") unless missing.empty?

    found
  end

  def apt_install(found)
    shell_out!('apt-get', 'install', '--yes', '--no-install-recommends', '--allow-downgrades',
               '--allow-change-held-packages', '-o', 'Dpkg::Options::=--force-confold', '-o', 'DPkg::Lock::Timeout=300',
               *found.map { |package, version| "#{package}=#{version}" },
               environment: { 'DEBIAN_FRONTEND' => 'noninteractive' }, timeout: 3600)
  end
end

action :install do
  found = changes
  unless found.empty?
    converge_by("install #{found.map { |package, version| "#{package} #{version}" }.join(', ')}") { apt_install(found) }
  end

  if new_resource.hold
    free = new_resource.packages.keys - shell_out!('apt-mark', 'showhold').stdout.split
    converge_by("hold #{free.join(', ')}") { shell_out!('apt-mark', 'hold', *free) } unless free.empty?
  end
end

action :remove do
  there = now.keys
  unless there.empty?
    converge_by("remove #{there.join(', ')}") do
      shell_out!('apt-get', 'purge', '--yes', '--allow-change-held-packages', '-o', 'DPkg::Lock::Timeout=300', *there,
                 environment: { 'DEBIAN_FRONTEND' => 'noninteractive' }, timeout: 3600)
    end
  end
end
