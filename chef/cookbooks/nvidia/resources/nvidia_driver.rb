# frozen_string_literal: true

# NVIDIA's driver by branch: kernel module, libraries, tools and fabric manager in one apt transaction, all at one version.
#
#   nvidia_driver '580' do
#     flavour 'open'
#     fabric_manager true
#     source 'https://developer.download.nvidia.com/compute/cuda/repos/ubuntu2204/x86_64/'
#   end
#
# Versions are compared, never existence: a driver at another version than the newest of the branch moves. It goes back
# only to a lower branch, which the file asks for, and never within a branch because a mirror lags behind.

provides :nvidia_driver
unified_mode true
default_action :install

property :branch, String, name_property: true
property :flavour, String, equal_to: %w[open proprietary], required: true, description: 'Which kernel module'
property :fabric_manager, [true, false], default: false
property :source, [String, nil], description: 'URI of the repository to prefer'
property :fresh, Integer, default: 3600, description: 'Age in seconds at which the lists of packages are fetched anew'

action_class do
  def installed
    Infra::DriverPlan.installed(
      shell_out!('dpkg-query', '--show', '--showformat', Infra::DriverPlan::LISTING).stdout
    )
  end

  def plan
    names, optional, unwanted = Infra::DriverPackages.of(
      node['platform'], new_resource.branch, new_resource.flavour, fabric_manager: new_resource.fabric_manager
    )
    present = installed
    offers = shell_out!('apt-cache', 'madison', *[names, optional, present.keys].flatten.uniq).stdout
    Infra::DriverPlan.new(branch: new_resource.branch, names: names, optional: optional, unwanted: unwanted,
                          installed: present, offers: Infra::DriverPlan.offers(offers), source: new_resource.source)
  end

  # With old lists a machine on the floor would be given another driver than an image that is made today.
  def fetch_lists(force: false)
    newest = Dir.glob('/var/lib/apt/lists/*Packages*').map { |path| ::File.mtime(path) }.max
    return if !force && newest && Time.now - newest < new_resource.fresh

    shell_out!('apt-get', 'update', timeout: 600)
  end

  # nil when nothing may be changed and the repository is not known to apt yet.
  def plan_or_fetch
    fetch_lists unless Chef::Config[:why_run]
    plan
  rescue Infra::DriverPlan::NotThere => e
    if Chef::Config[:why_run]
      Chef::Log.warn("nvidia: #{e.message} (so far)")
      return
    end

    fetch_lists(force: true)
    begin
      plan
    rescue Infra::DriverPlan::NotThere => e
      raise "nvidia: #{e.message}. Fix: another nvidia.driver in cluster.yaml, or a repository that has it as the " \
            "attribute infra.repositories.nvidia (now #{new_resource.source})"
    end
  end

  # DKMS builds the module for kernels whose headers are there. Without them the package is installed and the build left.
  def headers
    name = "linux-headers-#{node['kernel']['release']}"
    return if installed_headers?(name)

    if shell_out('apt-cache', 'show', '--no-all-versions', name).exitstatus.zero?
      package name
    else
      Chef::Log.warn("nvidia: kernel module not built: no headers for the running kernel #{node['kernel']['release']} " \
                     '(a container, or a kernel from elsewhere)')
    end
  end

  def installed_headers?(name)
    shell_out('dpkg-query', '--show', name).exitstatus.zero?
  end

  # Dependencies that nobody names must come at the same version; apt would take the newest.
  def pin(version)
    file '/etc/apt/preferences.d/infra-nvidia-driver' do
      content <<~PIN
        Explanation: the packages of the driver move together
        Package: #{Infra::DriverPlan::PINNED}
        Pin: version #{version}-*
        Pin-Priority: 1001
      PIN
      mode '0644'
    end
  end

  def story(wanted)
    present = installed
    wanted.install.map { |name, version| "#{name} #{present[name]&.version || '(new)'} -> #{version}" } +
      wanted.remove.map { |name| "remove #{name} #{present[name].version}" }
  end

  def move(wanted)
    words = wanted.install.map { |name, version| "#{name}=#{version}" } + wanted.remove.map { |name| "#{name}-" }
    shell_out!('apt-get', 'install', '--yes', '--no-install-recommends', '--allow-change-held-packages',
               '--allow-downgrades', '-o', 'Dpkg::Options::=--force-confold', '-o', 'DPkg::Lock::Timeout=300', *words,
               environment: { 'DEBIAN_FRONTEND' => 'noninteractive' }, timeout: 3600)
  end

  # What the kernel has in place of the driver that was installed; nil when it has nothing, or the right one.
  def in_the_way(version)
    return 'nouveau' if ::File.exist?('/sys/module/nouveau')

    loaded = ::File.exist?('/sys/module/nvidia/version') ? ::File.read('/sys/module/nvidia/version').strip : version
    loaded unless loaded == version
  end

  # A module in use is exchanged by a reboot. Whoever converges decides when: Debian's usual file says that it is due, and
  # converge ends with 37.
  def ask_for_reboot(version)
    other = in_the_way(version)
    return unless other

    file '/run/reboot-required' do
      content "infra: the driver #{version} is installed, #{other} is loaded\n"
      mode '0644'
    end
  end
end

action :install do
  headers
  wanted = plan_or_fetch
  if wanted.nil?
    converge_by("install the driver #{new_resource.branch} from #{new_resource.source}") { nil }
    next
  end

  if wanted.kept?
    Chef::Log.warn("nvidia: the driver #{wanted.version} is kept: the repository has only older ones of branch " \
                   "#{new_resource.branch}")
  end
  from = wanted.downgrade_from
  Chef::Log.warn("nvidia: back from #{from} to #{wanted.version}: the policy asks for #{new_resource.branch}") if from

  pin(wanted.version)
  converge_by(story(wanted)) { move(wanted) } if wanted.needed?

  free = Infra::DriverPlan.unheld(installed)
  converge_by("hold #{free.join(', ')}") { shell_out!('apt-mark', 'hold', *free) } if free.any?

  ask_for_reboot(wanted.version)
end
