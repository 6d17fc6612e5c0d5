# frozen_string_literal: true

# A web tool as a container: the image by its tag, pulled now, and a unit that runs it.
provides :research_container
unified_mode true

property :container, String, name_property: true
property :image, String
property :command, String, default: ''
property :ports, Hash, default: {} # of the machine => of the container; on the loopback address
property :volumes, Hash, default: {}
property :gpus, [true, false], default: false

action_class do
  def unit
    "infra-#{new_resource.container}.service"
  end

  def arguments
    ['--rm', "--name infra-#{new_resource.container}",
     *('--gpus all' if new_resource.gpus),
     *new_resource.ports.sort.map { |outer, inner| "--publish 127.0.0.1:#{outer}:#{inner}" },
     *new_resource.volumes.sort.map { |outer, inner| "--volume #{outer}:#{inner}" },
     new_resource.image, new_resource.command].reject(&:empty?).join(' ')
  end
end

action :create do
  new_resource.volumes.each_key do |path|
    directory path do
      recursive true
      group 'infra-users'
      mode '2775'
      not_if { ::File.directory?(path) }
    end
  end

  execute "docker pull #{new_resource.image}" do
    command ['docker', 'pull', '--quiet', new_resource.image]
    timeout 7200
    # Through a shell, because of the redirection: with --why-run there may be no docker yet, and that is no error.
    not_if "#{['docker', 'image', 'inspect', new_resource.image].shelljoin} >/dev/null 2>&1", timeout: 60
    notifies :restart, "systemd_unit[#{unit}]", :delayed
  end

  systemd_unit unit do
    content <<~UNIT
      [Unit]
      Description=#{new_resource.container} (#{new_resource.image})
      After=docker.service
      Requires=docker.service

      [Service]
      ExecStartPre=-/usr/bin/docker rm --force infra-#{new_resource.container}
      ExecStart=/usr/bin/docker run #{arguments}
      ExecStop=/usr/bin/docker stop infra-#{new_resource.container}
      Restart=on-failure
      RestartSec=30
      TimeoutStartSec=120

      [Install]
      WantedBy=multi-user.target
    UNIT
    action %i[create enable]
    notifies :restart, "systemd_unit[#{unit}]", :delayed
  end
end

action :remove do
  systemd_unit unit do
    action %i[stop disable delete]
  end
end
