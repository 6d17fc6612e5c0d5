# frozen_string_literal: true

# What the recipes share. Plain Ruby: no Chef in here.
module InfraKubernetes
  module_function

  # The version of a node moves one minor at a time, drained, the control plane first: infra kube upgrade does that, and
  # no converge.

  # Whether a machine that is a node has another minor version than the policy wants.
  def elsewhere?(joined, installed, wanted)
    here = minor(installed)
    joined && !here.nil? && here != minor(wanted)
  end

  def minor(version)
    version.to_s[/\A(?:\d+:)?(\d+\.\d+)/, 1]
  end

  # The unit of a program of ours that a machine with a place runs at its start, again and again until it has done it.
  def boot_unit(program, description, after: [])
    <<~UNIT
      [Unit]
      Description=#{description}
      Documentation=file:/usr/local/lib/infra/#{program}
      After=#{['cloud-init.service', 'network-online.target', 'containerd.service', *after].join(' ')}
      Wants=network-online.target
      ConditionPathExists=/etc/infra/place.json
      StartLimitIntervalSec=0

      [Service]
      ExecStart=/usr/local/lib/infra/#{program}
      Restart=on-failure
      RestartSec=30

      [Install]
      WantedBy=multi-user.target
    UNIT
  end
end
