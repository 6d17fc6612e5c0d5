# frozen_string_literal: true

# Labels and taints are the pool's, not the image's: at boot they are read from where the machine is told its place.

directory '/usr/local/lib/infra' do
  mode '0755'
end

# It reads JSON.
package 'jq'

cookbook_file '/usr/local/lib/infra/kubelet-arguments' do
  source 'kubelet-arguments'
  mode '0755'
end

systemd_unit 'infra-kubelet-arguments.service' do
  content <<~UNIT
    [Unit]
    Description=Labels and taints of this machine for kubelet
    After=cloud-init.service
    Before=kubelet.service

    [Service]
    Type=oneshot
    ExecStart=/usr/local/lib/infra/kubelet-arguments

    [Install]
    WantedBy=kubelet.service
  UNIT
  action %i[create enable]
end

# cloud-init writes the place at the first start, perhaps late: kubelet reads it when kubeadm starts it.
systemd_unit 'infra-kubelet-arguments.path' do
  content <<~UNIT
    [Unit]
    Description=The place of this machine becomes known

    [Path]
    PathChanged=/etc/infra/place.json
    Unit=infra-kubelet-arguments.service

    [Install]
    WantedBy=multi-user.target
  UNIT
  action %i[create enable start]
end
