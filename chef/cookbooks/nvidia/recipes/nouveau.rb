# frozen_string_literal: true

# The kernel's own driver takes the GPU at boot, before NVIDIA's can.

directory '/etc/modprobe.d' do
  mode '0755'
end

file '/etc/modprobe.d/infra-nouveau.conf' do
  content <<~CONF
    blacklist nouveau
    options nouveau modeset=0
  CONF
  mode '0644'
  notifies :run, 'execute[update-initramfs]', :delayed
end

execute 'update-initramfs' do
  command %w[update-initramfs -u]
  # In a container, and on a machine that boots without one, there is none to update.
  only_if { ::File.exist?('/usr/sbin/update-initramfs') && Dir.exist?('/boot/grub') }
  action :nothing
end
