# frozen_string_literal: true

# One image serves machines with and without NVSwitches, and is made on a machine that may have no GPU at all. So the
# units are enabled everywhere and ask the PCI bus at every start; here they are started only where the GPU answers.

directory '/usr/local/lib/infra' do
  mode '0755'
end

cookbook_file '/usr/local/lib/infra/nvidia-hardware' do
  source 'nvidia-hardware'
  mode '0755'
end

execute 'systemctl daemon-reload for nvidia' do
  command %w[systemctl daemon-reload]
  action :nothing
end

# A new machine needs no reboot, unless another driver is in the way.
execute 'load the driver' do
  command %w[modprobe nvidia]
  only_if '/usr/local/lib/infra/nvidia-hardware gpu && modinfo nvidia >/dev/null 2>&1'
  not_if 'test -e /proc/driver/nvidia/version || test -e /sys/module/nouveau'
end

units = { 'nvidia-persistenced' => 'gpu' }
units['nvidia-fabricmanager'] = 'nvswitch' if node['infra']['nvidia']['fabric_manager']

units.each do |unit, hardware|
  directory "/etc/systemd/system/#{unit}.service.d" do
    mode '0755'
  end

  file "/etc/systemd/system/#{unit}.service.d/infra.conf" do
    content "[Service]\nExecCondition=/usr/local/lib/infra/nvidia-hardware #{hardware}\n"
    mode '0644'
    notifies :run, 'execute[systemctl daemon-reload for nvidia]', :immediately
  end

  service unit do
    action :enable
  end

  service "#{unit} where its hardware is" do
    service_name unit
    action :start
    only_if "/usr/local/lib/infra/nvidia-hardware #{hardware} && test -e /proc/driver/nvidia/version"
  end
end

# Some of the units that come with the driver keep the daemon from doing the one thing that it is for.
file '/etc/systemd/system/nvidia-persistenced.service.d/infra-persistence.conf' do
  content <<~UNIT
    [Service]
    ExecStart=
    ExecStart=/usr/bin/nvidia-persistenced --user nvidia-persistenced --persistence-mode --verbose
  UNIT
  mode '0644'
  notifies :run, 'execute[systemctl daemon-reload for nvidia]', :immediately
  only_if { shell_out('getent', 'passwd', 'nvidia-persistenced').exitstatus.zero? }
end
