# frozen_string_literal: true

# What a recipe is read in: Chef's words, each of which is written down.
class Recipe
  attr_reader :full_name, :node

  def initialize(full_name, recorder)
    @full_name = full_name
    @recorder = recorder
    @node = recorder.node
  end

  def cookbook_name = @full_name.split('::').first
  def recipe_name = @full_name.split('::').last
  def platform?(*names) = names.include?(node['platform'])
  def platform_family?(*names) = names.include?(node['platform_family'])
  def lazy = '(lazy)'

  def include_recipe(*names)
    names.each { |name| @recorder.recipe(name.start_with?('::') ? "#{cookbook_name}#{name}" : name, self) }
  end

  def shell_out(*) = World::Answer.new('', '', 0)
  alias shell_out! shell_out

  # A recipe is the body of a method: it may return.
  def read_text(text, path)
    define_singleton_method(:body) { nil }
    instance_eval("def body\n#{text}\nend", path, 0)
    body
  end

  def respond_to_missing?(word, _all = nil)
    @recorder.resource?(word)
  end

  def method_missing(word, *values, &block)
    where = caller_locations(1, 1).first
    where = "#{where.path[%r{[^/]+/(?:recipes|resources)/.*}]}:#{where.lineno}"
    raise NoMethodError, "#{where}: there is no resource #{word}" unless @recorder.resource?(word)

    resource = Resource.new(word, values.first, self, where, @recorder.custom[word])
    @recorder.collection << resource
    resource.instance_eval(&block) if block
    resource.checked
  end
end
