# frozen_string_literal: true

# Kernel settings: in a file for the next boot, and at once where this kernel has them and lets them be set.
provides :infra_sysctl
unified_mode true

property :file, String, name_property: true
property :settings, Hash, required: true

action_class do
  def place(key)
    "/proc/sys/#{key.tr('.', '/')}"
  end

  def current(key)
    ::File.read(place(key)).split.join(' ')
  end

  def settable?(key)
    return false unless ::File.exist?(place(key))
    return true if ::File.writable?(place(key)) && !read_only?(place(key))

    Chef::Log.info("#{key} cannot be set here (a container): left to the host")
    false
  end

  # Root may write any file by its mode; what says no is how it is mounted.
  def read_only?(path)
    ::File.open(path, 'r+').close
    false
  rescue Errno::EROFS, Errno::EACCES
    true
  end
end

action :set do
  file new_resource.file do
    content new_resource.settings.sort.map { |key, value| "#{key} = #{value}\n" }.join
    mode '0644'
  end

  new_resource.settings.each do |key, value|
    next if !settable?(key) || current(key) == value.to_s.split.join(' ')

    converge_by("set #{key} to #{value}") { ::File.write(place(key), value.to_s) }
  end
end
