# frozen_string_literal: true

# The adapter itself is attached by the pool (efa: true); a machine without one has the software and no use for it.

settings = node['infra']['efa']

efa_installer settings['version'] do
  url settings['url'].gsub('%{version}', settings['version'])
  sha256 settings['sha256']
end
