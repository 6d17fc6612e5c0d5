# frozen_string_literal: true

name 'nvidia'
maintainer 'infra'
license 'Apache-2.0'
description 'NVIDIA driver by branch, the kernel module that fits the GPU, fabric manager, persistence mode, DCGM'
version '1.0.0'
chef_version '>= 18.0'
supports 'ubuntu', '>= 22.04'
supports 'debian', '>= 12.0'
