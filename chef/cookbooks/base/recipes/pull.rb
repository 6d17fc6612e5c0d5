# frozen_string_literal: true

# A machine that fetches its policy by itself, where cluster.yaml says so (converge.pull); elsewhere nothing of it stays.

pull = node['infra']['pull']
minutes = pull ? pull['interval'] : 0
settings = pull.to_h.compact

if pull
  file '/etc/infra/pull.conf' do
    content [
      "BUCKET='#{settings['bucket']}'",
      "REGION='#{settings['region']}'",
      "PREFIX='#{settings['prefix']}'",
      "ENDPOINT='#{settings['endpoint']}'",
      "PROFILE='#{node['infra']['profile']}'",
      "INTERVAL='#{minutes}'",
      "REBOOT='#{settings['reboot'] ? 1 : ''}'",
      ''
    ].join("\n")
    mode '0644'
  end

  # By way of sh: the program is that of the policy which this machine was last brought to.
  systemd_unit 'infra-pull.service' do
    content <<~UNIT
      [Unit]
      Description=Bring this machine to the promoted policy
      Documentation=file:/var/lib/infra/policy/current/bin/pull
      After=network-online.target
      Wants=network-online.target

      [Service]
      Type=oneshot
      ExecStart=/bin/sh /var/lib/infra/policy/current/bin/pull
      SuccessExitStatus=37 75
      TimeoutStartSec=4h
      TimeoutStopSec=10min
    UNIT
    action :create
  end

  # A fleet that starts at once must not ask at once: each run is put off by a part of the time that is new every time.
  systemd_unit 'infra-pull.timer' do
    content <<~UNIT
      [Unit]
      Description=Bring this machine to the promoted policy every #{minutes} minutes

      [Timer]
      OnActiveSec=5min
      OnUnitInactiveSec=#{minutes}min
      RandomizedDelaySec=#{minutes * 12}s
      AccuracySec=1s

      [Install]
      WantedBy=timers.target
    UNIT
    action %i[create enable start]
  end
else
  systemd_unit 'infra-pull.timer' do
    action %i[stop disable delete]
  end

  systemd_unit 'infra-pull.service' do
    action :delete
  end

  file '/etc/infra/pull.conf' do
    action :delete
  end
end
