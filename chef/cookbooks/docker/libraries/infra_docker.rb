# frozen_string_literal: true

require 'json'

# What /etc/docker/daemon.json says. Plain Ruby.
module InfraDocker
  DEFAULTS = {
    'default-ulimits' => { 'memlock' => { 'Name' => 'memlock', 'Hard' => -1, 'Soft' => -1 } },
    'exec-opts' => ['native.cgroupdriver=systemd'],
    'live-restore' => true, # a restart of the daemon ends no training job
    'log-driver' => 'json-file',
    'log-opts' => { 'max-file' => '5', 'max-size' => '50m' }
  }.freeze
  # As `nvidia-ctk runtime configure --runtime=docker` writes it.
  NVIDIA = { 'nvidia' => { 'args' => [], 'path' => 'nvidia-container-runtime' } }.freeze

  module_function

  def daemon(settings, nvidia:)
    base = DEFAULTS.merge('data-root' => settings['data_root'])
    base = base.merge('runtimes' => NVIDIA) if nvidia
    "#{JSON.pretty_generate(sorted(base.merge(settings['daemon'])))}\n"
  end

  def sorted(value)
    value.is_a?(Hash) ? value.sort.to_h.transform_values { |inner| sorted(inner) } : value
  end
end
