# frozen_string_literal: true

# A machine of the control plane: the first makes the cluster, the others join it. Instances do so at their start; physical
# machines when infra node bootstrap says so, and others of their profile have all of this and do not use it.

unless node['infra']['kubernetes'] && node['infra']['kubernetes']['version']
  Chef::Log.info('kubernetes: the policy names no version: nothing to do')
  return
end

kubernetes = node['infra']['kubernetes']

include_recipe 'kubernetes::default'

# The hash of the authority's key.
package 'openssl'

# What kubeadm is told of the cluster; what only the machine knows (its version, the name of the API) is added at its start.
# Keys of elliptic curves keep a kubeconfig below the 4 kB of a parameter in SSM.
settings = {
  'cluster' => {
    'apiVersion' => 'kubeadm.k8s.io/v1beta4',
    'kind' => 'ClusterConfiguration',
    'clusterName' => node['infra']['cluster'],
    'encryptionAlgorithm' => 'ECDSA-P256',
    'networking' => {
      'dnsDomain' => 'cluster.local',
      'podSubnet' => kubernetes['pod_cidr'],
      'serviceSubnet' => kubernetes['service_cidr']
    },
    'apiServer' => { 'certSANs' => %w[127.0.0.1 localhost] },
    'etcd' => { 'local' => { 'dataDir' => '/var/lib/etcd' } }
  },
  'kubelet' => {
    'apiVersion' => 'kubelet.config.k8s.io/v1beta1',
    'kind' => 'KubeletConfiguration',
    'cgroupDriver' => 'systemd',
    'shutdownGracePeriod' => '60s',
    'shutdownGracePeriodCriticalPods' => '20s'
  }
}

file '/etc/infra/kubeadm.json' do
  content "#{JSON.pretty_generate(settings)}\n"
  mode '0644'
end

include_recipe 'kubernetes::address' if kubernetes['control_plane']

cookbook_file '/usr/local/lib/infra/control-plane' do
  source 'control-plane'
  mode '0755'
end

systemd_unit 'infra-control-plane.service' do
  content InfraKubernetes.boot_unit('control-plane', 'This machine becomes one of the Kubernetes control plane')
  action %i[create enable]
end

systemd_unit 'infra-kube-renew.service' do
  content <<~UNIT
    [Unit]
    Description=A token that is good now for machines that join the cluster
    Documentation=file:/usr/local/lib/infra/control-plane
    After=network-online.target
    Wants=network-online.target
    ConditionPathExists=/var/lib/infra/kube/done
    ConditionPathExists=/etc/infra/place.json

    [Service]
    Type=oneshot
    ExecStart=/usr/local/lib/infra/control-plane --renew
    SuccessExitStatus=75
    TimeoutStartSec=10min
  UNIT
  action :create
end

# Every machine of the control plane looks; whoever finds the token too old renews it.
systemd_unit 'infra-kube-renew.timer' do
  content <<~UNIT
    [Unit]
    Description=A token that is good now for machines that join the cluster, every 15 minutes

    [Timer]
    OnBootSec=5min
    OnUnitInactiveSec=15min
    RandomizedDelaySec=3min

    [Install]
    WantedBy=timers.target
  UNIT
  action %i[create enable]
end
