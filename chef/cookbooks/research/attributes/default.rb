# frozen_string_literal: true

# What makes environments: one file. Another version needs its own sha256 (the release's page has it).
default['infra']['research']['micromamba']['version'] = '2.9.0-0'
default['infra']['research']['micromamba']['url'] = 'https://github.com/mamba-org/micromamba-releases/releases/download'
default['infra']['research']['micromamba']['sha256'] = {
  'aarch64' => '9f93b974adcb4d166996af969b6cd371287d1a3e52733704727884d9b74cb7a7',
  'x86_64' => '366cd9cd8be14df1ab8ed50352a82111082a36686b2d389fdb79a92c3fafb3e3'
}
default['infra']['research']['root'] = '/opt/conda'
default['infra']['research']['channels'] = ['conda-forge']

# Environments: each its own Python and versions ('2.19' is any 2.19.x). `false` in a profile takes one away, and the
# machines' copy goes with it. A profile's environment is merged over one of the same name.
default['infra']['research']['environments'] = {
  'vision' => { 'python' => '3.12', 'packages' => { 'opencv' => '4.11', 'numpy' => '2.2' } },
  'tensorflow' => { 'python' => '3.12', 'packages' => { 'tensorflow' => '2.18', 'keras' => '3.8', 'numpy' => '2.0' } },
  'pytorch' => { 'python' => '3.12', 'packages' => { 'pytorch' => '2.6', 'torchvision' => '0.21', 'numpy' => '2.2' } },
  'jax' => { 'python' => '3.12', 'packages' => { 'jax' => '0.5', 'numpy' => '2.2' } }
}

# Web tools, each a container and a systemd unit `infra-NAME`, reached through an ssh tunnel: ports are the machine's own.
default['infra']['research']['containers'] = {
  'tensorboard' => {
    'image' => 'tensorflow/tensorflow:2.18.0',
    'command' => 'tensorboard --logdir /logs --host 0.0.0.0 --port 6006',
    'ports' => { '6006' => '6006' },
    'volumes' => { '/var/lib/infra/tensorboard' => '/logs' },
    'gpus' => false
  },
  # NVIDIA's DIGITS is no longer maintained; its last image: {'image' => 'nvcr.io/nvidia/digits:21.09-tensorflow-py3',
  # 'ports' => {'5000' => '5000'}, 'volumes' => {'/var/lib/infra/digits' => '/workspace/jobs'}, 'gpus' => true}
  'digits' => false
}
