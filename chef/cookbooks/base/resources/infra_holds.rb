# frozen_string_literal: true

# Of these packages, those that are installed stay at their version. What was held by us and is listed no more is free.
provides :infra_holds
unified_mode true

property :file, String, name_property: true
property :packages, Array, required: true

action :hold do
  installed = InfraVersions.installed(shell_out('dpkg-query', '-W', '-f',
                                                '${db:Status-Abbrev}\t${Package}\t${Version}\n').stdout).keys
  held = shell_out!('apt-mark', 'showhold').stdout.split
  wanted = new_resource.packages & installed
  ours = ::File.exist?(new_resource.file) ? ::File.read(new_resource.file).split : []

  add = wanted - held
  converge_by("hold #{add.join(', ')}") { shell_out!('apt-mark', 'hold', *add) } unless add.empty?
  drop = (ours - new_resource.packages) & held
  converge_by("let go of #{drop.join(', ')}") { shell_out!('apt-mark', 'unhold', *drop) } unless drop.empty?

  file new_resource.file do
    content wanted.sort.map { |package| "#{package}\n" }.join
    mode '0644'
  end
end
