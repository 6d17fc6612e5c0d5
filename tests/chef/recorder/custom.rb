# frozen_string_literal: true

# A file of resources/: its properties are known and checked, its actions are read and not run.
class Custom
  attr_reader :properties, :actions, :provided

  def self.read(path, cookbook)
    new(path, cookbook).tap { |custom| custom.instance_eval(File.read(path), path) }.whole
  end

  def initialize(path, cookbook)
    @path = path
    @properties = {}
    @actions = {}
    @provided = "#{cookbook}_#{File.basename(path, '.rb')}".to_sym
    @unified = false
  end

  def provides(name, **)
    @provided = name
  end

  def unified_mode(value)
    @unified = value
  end

  def default_action(*value)
    @default_action = value.first if value.any?
    @default_action || @actions.keys.first
  end

  def property(name, type = nil, **words)
    @properties[name] = words.merge(type: Array(type))
  end

  def action(name, description: nil, &block)
    raise "#{@path}: the action #{name} is there twice" if @actions.key?(name)

    @actions[name] = block || description
  end

  def action_class(&)
    Class.new.class_eval(&)
  end

  def load_current_value(&); end
  def description(_text); end
  def lazy(*, &) = :lazy

  def whole
    raise "#{@path}: a custom resource runs in unified mode: unified_mode true" unless @unified
    raise "#{@path}: no action" if @actions.empty?

    self
  end

  def check(name, value, where)
    found = @properties.fetch(name, nil)
    return if found.nil? || value == '(lazy)'

    types = found[:type]
    fits = types.empty? || found[:coerce] || types.any? { |type| type.is_a?(Module) ? value.is_a?(type) : type == value }
    fits ||= value.nil? # as in Chef: nil reads
    choices = found[:equal_to]
    raise TypeError, "#{where}: #{name} cannot be #{value.inspect}: it takes #{types.join(', ')}" unless fits
    return unless choices && !choices.include?(value)

    raise ArgumentError, "#{where}: #{name} is #{choices.join(' or ')}, not #{value.inspect}"
  end

  def complete(said, resource, where)
    missing = @properties.select { |name, words| words[:required] == true && said[name].nil? }.keys
    raise ArgumentError, "#{where}: #{resource} needs #{missing.join(', ')}" if missing.any?
  end
end
