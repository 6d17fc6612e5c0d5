# frozen_string_literal: true

# Chef's words in plain Ruby: reads a run-list's cookbooks as Chef would and prints the resources that it would converge.
#
#   echo '{"node": {"run_list": ["recipe[base]"], "infra": {...}}, "facts": {"platform": "debian", ...}}' | ruby record.rb chef
#
# No command is run and no file of this machine is looked at. Mistakes that Chef would find while it converges are found
# here: a recipe, a resource, a property or the target of a notification that does not exist, a required one that is
# missing, a value of the wrong type.

require 'json'
require_relative 'world'
require_relative 'attributes'
require_relative 'resource'
require_relative 'custom'
require_relative 'recipe'

class Chef
  module Log
    LINES = [] # rubocop:disable Style/MutableConstant
    %i[debug info warn error].each { |level| define_singleton_method(level) { |text| LINES << "#{level}: #{text}" } }
  end
  Config = { why_run: false, file_cache_path: '/var/cache/infra/chef' }.freeze
end

class Recorder
  attr_reader :collection, :custom, :node

  def initialize(chef, facts)
    @chef = chef
    @facts = facts
    @collection = []
    @custom = {}
    @read = []
    @loaded = []
    @default = Attributes::Vivid.new
  end

  def resource?(word) = @custom.key?(word) || Resource::BUILT_IN.key?(word)

  def run(json)
    recipes = expand(json.fetch('run_list'))
    given = Attributes.merge(json.except('run_list'), @facts)
    recipes.each { |name| load_cookbook(name.split('::').first, given) }
    @node = Attributes.plain(Attributes.merge(@default, given))
    World.close
    World.closed = true
    recipes.each { |name| recipe(name, nil) }
    World.closed = false
    check_signals
    { 'resources' => @collection.map(&:record), 'log' => Chef::Log::LINES }
  end

  def recipe(name, from)
    name = "#{name}::default" unless name.include?('::')
    return if @read.include?(name)

    @read << name
    cookbook, file = name.split('::')
    raise "#{from&.full_name}: #{cookbook} is not among the cookbooks that it depends on" unless @loaded.include?(cookbook)

    World.closed = false
    path = "#{@chef}/cookbooks/#{cookbook}/recipes/#{file}.rb"
    raise "#{from&.full_name}: there is no recipe #{name}" unless File.exist?(path)

    reader = Recipe.new(name, self)
    text = File.read(path)
    World.closed = true
    reader.read_text(text, path)
  end

  private

  def expand(run_list)
    run_list.flat_map do |item|
      kind, name = item.match(/\A(?:(role|recipe)\[([^\]]+)\]|(\S+))\z/).values_at(1, 2)
      next name || item unless kind == 'role'

      expand(JSON.parse(File.read("#{@chef}/roles/#{name}.json")).fetch('run_list'))
    end.uniq
  end

  # Those it depends on come first, as in Chef.
  def load_cookbook(name, given)
    return if @loaded.include?(name)

    @loaded << name
    folder = "#{@chef}/cookbooks/#{name}"
    File.read("#{folder}/metadata.rb").scan(/^depends\s+'([^']+)'/).flatten.each { |other| load_cookbook(other, given) }
    Dir.glob("#{folder}/libraries/*.rb").each { |path| load path }
    Dir.glob("#{folder}/attributes/*.rb").each { |path| Attributes::File.new(given, @default).read(path) }
    Dir.glob("#{folder}/resources/*.rb").each do |path|
      found = Custom.read(path, name)
      @custom[found.provided] = found
    end
  end

  def check_signals
    known = @collection.map(&:to_s)
    @collection.each do |resource|
      missing = resource.targets - known
      raise "#{resource.where}: there is no #{missing.join(', ')} to notify" if missing.any?
    end
  end
end

given = JSON.parse($stdin.read)
puts JSON.pretty_generate(Recorder.new(ARGV[0], given['facts']).run(given['node']))
