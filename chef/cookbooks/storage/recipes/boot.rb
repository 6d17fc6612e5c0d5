# frozen_string_literal: true

# EFS and S3: which file system it is depends on the region, so the machine itself finds out when it starts.

settings = node['infra']['mounting'].to_h
storage = node['infra']['storage'].to_h
efs = InfraStorage.of_kind(storage, 'efs')
s3 = InfraStorage.of_kind(storage, 's3')
helper = settings['efs_utils']
mountpoint = settings['mountpoint']

package 'nfs-common' unless efs.empty?

unless efs.empty? || helper.empty?
  signed_deb 'amazon-efs-utils' do
    version helper['version']
    url helper['url']
    sha256 helper['sha256']
  end
end

unless s3.empty?
  machine = node['kernel']['machine'] == 'aarch64' ? 'arm64' : 'x86_64'
  deb = "#{mountpoint['url']}/#{mountpoint['version']}/#{machine}/mount-s3-#{mountpoint['version']}-#{machine}.deb"

  signed_deb 'mount-s3' do
    version mountpoint['version']
    url deb
    sha256 mountpoint['sha256']
    signature_url "#{deb}.asc"
    keys_url "#{mountpoint['url']}/public_keys/KEYS"
    fingerprint mountpoint['fingerprint']
  end
end

[*efs.values, *s3.values].each do |item|
  directory item['mount'] do
    recursive true
    not_if { Dir.exist?(item['mount']) }
  end
end

cookbook_file '/usr/local/lib/infra/storage' do
  source 'storage'
  mode '0755'
  notifies :restart, 'service[infra-storage]', :delayed
end

file '/etc/infra/mounting.conf' do
  content "EFS_OPTIONS='#{settings['efs_options']}'\nS3_OPTIONS='#{settings['s3_options']}'\n"
  mode '0644'
  notifies :restart, 'service[infra-storage]', :delayed
end

file '/etc/infra/storage.conf' do
  content InfraStorage.boot(storage).map { |line| "#{line}\n" }.join
  mode '0644'
  notifies :restart, 'service[infra-storage]', :delayed
end

systemd_unit 'infra-storage.service' do
  content <<~UNIT
    [Unit]
    Description=Mounts of shared storage that depend on the place of this machine
    After=network.target
    StartLimitIntervalSec=0

    [Service]
    Type=oneshot
    ExecStart=/usr/local/lib/infra/storage
    RemainAfterExit=yes
    TimeoutStartSec=60

    [Install]
    WantedBy=multi-user.target
  UNIT
  action %i[create enable]
end

systemd_unit 'infra-storage-again.service' do
  content <<~UNIT
    [Unit]
    Description=Mounts of shared storage, now that the place of this machine is known

    [Service]
    Type=oneshot
    ExecStart=/bin/systemctl restart infra-storage.service
  UNIT
  action :create
end

# cloud-init writes place.json at the first start, perhaps after us.
systemd_unit 'infra-storage.path' do
  content <<~UNIT
    [Unit]
    Description=The place of this machine becomes known

    [Path]
    PathChanged=/etc/infra/place.json
    Unit=infra-storage-again.service

    [Install]
    WantedBy=multi-user.target
  UNIT
  action %i[create enable start]
end

service 'infra-storage' do
  action :start
end
