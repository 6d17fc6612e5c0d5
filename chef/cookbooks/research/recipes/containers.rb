# frozen_string_literal: true

containers = node['infra']['research']['containers'].to_h
wanted = containers.select { |_, container| container }

wanted.sort.each do |name, container|
  research_container name do
    image container['image']
    command container['command'].to_s
    ports container['ports'].to_h
    volumes container['volumes'].to_h
    gpus container['gpus'] ? true : false
  end
end

# Ours by a list of our own, so that one whose name is in no file any more goes as well.
list = '/var/lib/infra/containers'
before = File.exist?(list) ? File.read(list).split : []
(before - wanted.keys).sort.each do |name|
  research_container name do
    action :remove
  end
end

file list do
  content wanted.keys.sort.map { |name| "#{name}\n" }.join
  mode '0644'
end
