# frozen_string_literal: true

# A machine changes when its policy does. Upgrades at night split a driver from its libraries.

file '/etc/apt/apt.conf.d/99infra' do
  content <<~CONF
    APT::Periodic::Enable "0";
    APT::Periodic::Update-Package-Lists "0";
    APT::Periodic::Unattended-Upgrade "0";
    DPkg::Lock::Timeout "300";
  CONF
  mode '0644'
end

%w[apt-daily.timer apt-daily-upgrade.timer apt-daily.service apt-daily-upgrade.service
   unattended-upgrades.service].each do |unit|
  systemd_unit unit do
    action %i[stop mask]
  end
end
