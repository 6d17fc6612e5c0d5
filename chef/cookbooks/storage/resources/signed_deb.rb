# frozen_string_literal: true

# A package that is in no repository: by version, from an address, known by its sha256 or by who signed it.
provides :signed_deb
unified_mode true

property :package, String, name_property: true
property :version, String, required: true
property :url, String, required: true
property :sha256, [String, nil]
property :signature_url, [String, nil]
property :keys_url, [String, nil]
property :fingerprint, [String, nil]

action_class do
  def installed
    InfraVersions.installed(shell_out('dpkg-query', '-W', '-f', '${db:Status-Abbrev}\t${Package}\t${Version}\n',
                                      new_resource.package).stdout)[new_resource.package]
  end

  def fetch(url, path)
    shell_out!('curl', '--fail', '--silent', '--show-error', '--location', '--max-time', '600', '--output', path, url,
               timeout: 660)
  end

  def check_digest(deb)
    found = Digest::SHA256.file(deb).hexdigest
    return if found == new_resource.sha256

    raise "#{new_resource.url} has the sha256 #{found}, not #{new_resource.sha256}: it was not installed"
  end

  def check_signature(deb, folder)
    raise "#{new_resource.package}: neither sha256 nor fingerprint is given: give one" unless new_resource.fingerprint

    fetch(new_resource.signature_url, "#{deb}.asc")
    fetch(new_resource.keys_url, "#{folder}/KEYS")
    gpg = ['gpg', '--batch', '--homedir', folder]
    shell_out!(*gpg, '--import', "#{folder}/KEYS")
    signers = shell_out!(*gpg, '--status-fd', '1', '--verify', "#{deb}.asc", deb).stdout[/VALIDSIG .*/].to_s.split
    return if signers.include?(new_resource.fingerprint)

    raise "#{new_resource.url} is not signed by #{new_resource.fingerprint}: it was not installed"
  end
end

action :install do
  unless InfraVersions.match?(installed, new_resource.version)
    converge_by("install #{new_resource.package} #{new_resource.version}") do
      ::Dir.mktmpdir do |folder|
        deb = "#{folder}/#{new_resource.package}.deb"
        fetch(new_resource.url, deb)
        new_resource.sha256 ? check_digest(deb) : check_signature(deb, folder)
        ::File.chmod(0o755, folder)
        shell_out!('apt-get', 'install', '--yes', '--no-install-recommends', '--allow-downgrades',
                   '--allow-change-held-packages', '-o', 'DPkg::Lock::Timeout=300', deb,
                   environment: { 'DEBIAN_FRONTEND' => 'noninteractive' }, timeout: 1800)
        shell_out!('apt-mark', 'hold', new_resource.package)
      end
    end
  end
end
