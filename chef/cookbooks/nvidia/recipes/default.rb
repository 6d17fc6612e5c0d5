# frozen_string_literal: true

# The driver and what must match it. Without infra.nvidia in the policy there is nothing to do.

wanted = node['infra']['nvidia']
if wanted.nil? || wanted['driver'].to_s.empty?
  Chef::Log.info('nvidia: the policy names no driver: nothing to do')
  return
end

hardware = Infra::Gpus.detect(node['infra']['hardware'])
problems = Infra::Gpus.problems(hardware, wanted['driver'].to_s, wanted['module'])
# Before anything is changed: with the wrong module the machine would come back without a GPU.
raise "nvidia: #{problems.join('; ')}" if problems.any?

Chef::Log.info("nvidia: GPUs #{hardware.gpus.join(' ')}") if hardware.gpus.any?

repository = node['infra']['repositories']['nvidia']
infra_repository 'nvidia' do
  uri repository['uri']
  distribution repository['distribution']
  components repository['components'].to_a
  key_url repository['key_url']
  key repository['key']
  trusted repository['trusted']
end

include_recipe 'nvidia::nouveau'

nvidia_driver wanted['driver'].to_s do
  flavour wanted['module']
  fabric_manager wanted['fabric_manager'] ? true : false
  source repository['uri']
end

include_recipe 'nvidia::services'
include_recipe 'nvidia::dcgm'
