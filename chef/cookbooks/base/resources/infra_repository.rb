# frozen_string_literal: true

# An apt repository with a key of its own. A changed address or key replaces the old one and refreshes the lists.
provides :infra_repository
unified_mode true

property :repository, String, name_property: true
property :uri, String, required: true
property :distribution, String, default: './'
property :components, [Array, String], default: [], coerce: ->(value) { Array(value) }
property :key_url, [String, nil]
property :key, [String, nil]
property :trusted, [true, false, nil], default: false

action_class do
  def keyring
    mark = Digest::SHA256.hexdigest(new_resource.key || new_resource.key_url)[0, 8]
    "/etc/apt/keyrings/infra-#{new_resource.repository}-#{mark}.asc"
  end

  def key?
    !new_resource.trusted && (new_resource.key || new_resource.key_url)
  end

  def line
    option = if new_resource.trusted then '[trusted=yes] '
             elsif key? then "[signed-by=#{keyring}] "
             end
    ['deb', "#{option}#{new_resource.uri}", new_resource.distribution, *new_resource.components].join(' ')
  end
end

action :add do
  directory '/etc/apt/keyrings' do
    mode '0755'
  end

  if key? && new_resource.key
    file keyring do
      content new_resource.key
      mode '0644'
    end
  elsif key?
    remote_file keyring do
      source new_resource.key_url
      mode '0644'
      action :create_if_missing # another key has another address, or is given as text
    end
  end

  execute "apt-get update for #{new_resource.repository}" do
    command %w[apt-get update]
    action :nothing
  end

  file "/etc/apt/sources.list.d/infra-#{new_resource.repository}.list" do
    content "#{line}\n"
    mode '0644'
    notifies :run, "execute[apt-get update for #{new_resource.repository}]", :immediately
  end
end

action :remove do
  file "/etc/apt/sources.list.d/infra-#{new_resource.repository}.list" do
    action :delete
  end
end
