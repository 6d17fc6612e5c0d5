# frozen_string_literal: true

# Storage is mounted when it is used. Nothing here waits for a server: not the converge, not the boot, not a login.

include_recipe 'base::tools'
include_recipe 'storage::nfs'
include_recipe 'storage::boot'
