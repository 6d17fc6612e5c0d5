# frozen_string_literal: true

# A machine becomes a node by itself at its start. Labels, taints and the cluster are told to it by its place; the token
# comes from SSM. A machine on the floor has no place: infra node bootstrap hands it what it needs.

%w[/etc/infra /usr/local/lib/infra /var/lib/infra].each do |path|
  directory path do
    mode '0755'
  end
end

# The scripts ask SSM, and read JSON.
package %w[curl jq]

%w[kube floor join kube-upgrade].each do |name|
  cookbook_file "/usr/local/lib/infra/#{name}" do
    source name
    mode %w[kube floor].include?(name) ? '0644' : '0755'
  end
end

systemd_unit 'infra-join.service' do
  content <<~UNIT
    [Unit]
    Description=This machine becomes a node of its Kubernetes cluster
    Documentation=file:/usr/local/lib/infra/join
    After=cloud-init.service network-online.target containerd.service nvidia-persistenced.service
    Wants=network-online.target
    ConditionPathExists=/etc/infra/place.json
    StartLimitIntervalSec=0

    [Service]
    ExecStart=/usr/local/lib/infra/join
    Restart=on-failure
    RestartSec=30

    [Install]
    WantedBy=multi-user.target
  UNIT
  action %i[create enable]
end
