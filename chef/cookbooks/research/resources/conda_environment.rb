# frozen_string_literal: true

# A conda environment by its versions. It is made anew whenever what is wanted, or what is there, has another version:
# so it is the same on a machine that was updated and on one that is new.
provides :conda_environment
unified_mode true

property :environment, String, name_property: true
property :python, String, required: true
property :packages, Hash, default: {}
property :pip, Array, default: []
property :channels, Array, required: true
property :root, String, required: true
property :cuda, [String, nil] # which builds to take, whatever this machine has: it may be a builder without a GPU

action_class do
  def prefix
    "#{new_resource.root}/envs/#{new_resource.environment}"
  end

  def mark
    "#{prefix}/conda-meta/infra.json"
  end

  def specs
    InfraConda.specs(new_resource.python, new_resource.packages)
  end

  def wanted
    InfraConda.wanted(specs, new_resource.channels, new_resource.pip, new_resource.cuda)
  end

  def micromamba(*words, timeout: 7200)
    # An empty CONDA_OVERRIDE_CUDA is "no CUDA".
    shell_out!('/usr/local/bin/micromamba', *words, timeout: timeout, environment: {
                 'MAMBA_ROOT_PREFIX' => new_resource.root, 'CONDA_OVERRIDE_CUDA' => new_resource.cuda.to_s,
                 'CONDA_PKGS_DIRS' => "#{new_resource.root}/pkgs", 'HOME' => '/root'
               })
  end

  # Why it has to be made; nil when it is as wanted.
  def reason
    return 'it is not there' unless ::File.exist?(mark)
    return 'other versions are wanted' if JSON.parse(::File.read(mark))['digest'] != InfraConda.digest(wanted)

    missing = InfraConda.missing(specs, micromamba('list', '--prefix', prefix, '--json').stdout)
    "it has no #{missing.join(', ')}" unless missing.empty?
  rescue JSON::ParserError
    'it is damaged'
  end
end

action :create do
  why = reason
  if why
    converge_by("make the environment #{new_resource.environment}: #{why}") do
      ::FileUtils.rm_rf(prefix)
      micromamba('create', '--yes', '--quiet', '--prefix', prefix, '--override-channels',
                 *new_resource.channels.flat_map { |channel| ['--channel', channel] }, *specs)
      shell_out!("#{prefix}/bin/python", '-m', 'pip', 'install', *new_resource.pip, timeout: 7200) if new_resource.pip.any?
      # Last: an environment without it is not whole.
      ::File.write(mark, "#{JSON.pretty_generate(wanted.merge('digest' => InfraConda.digest(wanted)))}\n")
    end
  end
end

action :remove do
  directory prefix do
    recursive true
    action :delete
  end
end
