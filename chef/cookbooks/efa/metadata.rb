name 'efa'
maintainer 'The infra authors'
license 'Apache-2.0'
description "Amazon's software for the Elastic Fabric Adapter, by version"
version '1.0.0'
chef_version '>= 18.0'
supports 'debian', '>= 12.0'
supports 'ubuntu', '>= 22.04'
