# frozen_string_literal: true

# name => {'kind' => 'nfs' | 'efs' | 's3', 'mount' => path, ...}: cluster.yaml's `storage:`
default['infra']['storage'] = {}

# `retry=0`: a server that is not there is an error at once, not two minutes of waiting.
default['infra']['mounting']['nfs_options'] = 'rw,hard,noatime,timeo=600,retrans=2,retry=0,_netdev'
default['infra']['mounting']['nfs_wait'] = 15 # seconds that a mount may take before whoever asked gets an error
default['infra']['mounting']['efs_options'] =
  'nfsvers=4.1,rsize=1048576,wsize=1048576,hard,timeo=600,retrans=2,noresvport,noatime'
default['infra']['mounting']['s3_options'] =
  '--allow-other --allow-delete --allow-overwrite --dir-mode 0775 --file-mode 0664'

# With Amazon's mount helper EFS goes through TLS; without it, plain NFS 4.1 inside the VPC. The helper is in no
# distribution: build its .deb once, then name it here: {'version' => '2.3', 'url' => ..., 'sha256' => ...}
default['infra']['mounting']['efs_utils'] = {}

default['infra']['mounting']['mountpoint']['version'] = '1.21.0'
default['infra']['mounting']['mountpoint']['url'] = 'https://s3.amazonaws.com/mountpoint-s3-release'
default['infra']['mounting']['mountpoint']['sha256'] = nil # instead of the signature
default['infra']['mounting']['mountpoint']['fingerprint'] = '673FE4061506BB469A0EF857BE397A52B086DA5A'
