# frozen_string_literal: true

# Toolkits to have, as '12.9'; others are removed. The repository is infra.repositories.nvidia, of the cookbook nvidia.
default['infra']['cuda']['versions'] = []
# What /usr/local/cuda is; nothing for the newest of the versions.
default['infra']['cuda']['default'] = nil
