# frozen_string_literal: true

# The API of a control plane on physical machines: who they are, and the address that goes from one to another, where it
# has one. keepalived holds it on the machine where an API server answers. All machines of the profile have the unit; it
# runs on those that infra node bootstrap has made ones of the control plane.

plane = node['infra']['kubernetes']['control_plane']
moves = !plane['address'].to_s.empty?

file '/etc/infra/control-plane.json' do
  content "#{JSON.pretty_generate('machines' => plane['machines'].to_a, 'address' => plane['address'].to_s)}\n"
  mode '0644'
  notifies :try_restart, 'systemd_unit[infra-kube-address.service]', :delayed if moves
end

package 'keepalived' if moves

cookbook_file '/usr/local/lib/infra/kube-address' do
  source 'kube-address'
  mode '0755'
end

# The package's own unit starts only with a configuration in /etc/keepalived, which is somebody else's.
systemd_unit 'infra-kube-address.service' do
  content <<~UNIT
    [Unit]
    Description=The address of the Kubernetes API is here while an API server answers here
    Documentation=file:/usr/local/lib/infra/kube-address
    After=network-online.target
    Wants=network-online.target
    ConditionPathExists=/var/lib/infra/kube/plane
    StartLimitIntervalSec=0

    [Service]
    ExecStartPre=/usr/local/lib/infra/kube-address config
    ExecStart=/usr/sbin/keepalived --dont-fork --log-console --vrrp --use-file=/run/infra/keepalived.conf --pid=/run/infra/keepalived.pid --vrrp_pid=/run/infra/keepalived-vrrp.pid
    Restart=always
    RestartSec=5

    [Install]
    WantedBy=multi-user.target
  UNIT
  action(moves ? %i[create enable] : %i[stop disable delete])
end
