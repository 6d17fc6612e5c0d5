# frozen_string_literal: true

name 'efa'
maintainer 'infra'
license 'Apache-2.0'
description 'AWS Elastic Fabric Adapter software by version'
version '1.0.0'
chef_version '>= 18.0'
supports 'ubuntu', '>= 22.04'
supports 'debian', '>= 12.0'
