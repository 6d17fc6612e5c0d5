# frozen_string_literal: true

name 'cuda'
maintainer 'infra'
license 'Apache-2.0'
description 'CUDA toolkits by version, several side by side'
version '1.0.0'
chef_version '>= 18.0'
supports 'ubuntu', '>= 22.04'
supports 'debian', '>= 12.0'
depends 'nvidia'
