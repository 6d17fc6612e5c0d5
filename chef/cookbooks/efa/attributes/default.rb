# frozen_string_literal: true

# Amazon's installer and the sha256 of its archive. Another version needs its own sha256: nothing unknown is run as root.
default['infra']['efa']['version'] = '1.41.0'
default['infra']['efa']['sha256'] = '3506354cdfbe31ff552fe75f5d0d9bb7efd29cf79bd99457347d29c751c38f9f'
default['infra']['efa']['url'] = 'https://efa-installer.amazonaws.com/aws-efa-installer-%{version}.tar.gz'
