# frozen_string_literal: true

# infra.kubernetes.version ('1.36') comes with the policy where the cluster has Kubernetes; without it this cookbook does
# nothing. The project has a repository for each minor version; %{minor} stands for it, so that a mirror is one line.
uri = 'https://pkgs.k8s.io/core:/stable:/v%{minor}/deb/'
default['infra']['repositories']['kubernetes']['uri'] = uri
default['infra']['repositories']['kubernetes']['distribution'] = '/'
default['infra']['repositories']['kubernetes']['components'] = []
default['infra']['repositories']['kubernetes']['key_url'] = "#{uri}Release.key"
default['infra']['repositories']['kubernetes']['trusted'] = false
# The image of a pod's sandbox; kubeadm warns when containerd's is another than its own.
default['infra']['containerd']['sandbox'] = 'registry.k8s.io/pause:3.10.1'
