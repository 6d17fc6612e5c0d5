# frozen_string_literal: true

# Data Center GPU Manager: health and diagnostics. Its plug-ins are built for a major version of CUDA, the driver's own.

version = node['infra']['dcgm']['version']
branch = node['infra']['nvidia']['driver'].to_i
# DCGM 4 needs a driver of branch 525 or newer.
return if !version || branch < 525

cuda = branch >= 580 ? 13 : 12

infra_packages 'dcgm' do
  packages('datacenter-gpu-manager-4-core' => version, "datacenter-gpu-manager-4-cuda#{cuda}" => version)
  lockstep ['datacenter-gpu-manager-4-core', "datacenter-gpu-manager-4-cuda#{cuda}"]
end

infra_packages 'dcgm for another CUDA' do
  packages("datacenter-gpu-manager-4-cuda#{cuda == 13 ? 12 : 13}" => '')
  action :remove
end

directory '/etc/systemd/system/nvidia-dcgm.service.d' do
  mode '0755'
end

file '/etc/systemd/system/nvidia-dcgm.service.d/infra.conf' do
  content "[Service]\nExecCondition=/usr/local/lib/infra/nvidia-hardware gpu\n"
  mode '0644'
  notifies :run, 'execute[systemctl daemon-reload for nvidia]', :immediately
end

service 'nvidia-dcgm' do
  action :enable
end

service 'nvidia-dcgm where a GPU is' do
  service_name 'nvidia-dcgm'
  action :start
  only_if '/usr/local/lib/infra/nvidia-hardware gpu && test -e /proc/driver/nvidia/version'
end
