# frozen_string_literal: true

require 'json'

# A resource as a recipe wrote it.
class Resource
  # Chef's own resources and what may be said in them; a word that is not here is a mistake until somebody adds it.
  COMMON = %i[action cwd environment group ignore_failure live_stream mode not_if notifies only_if owner recursive retries
              retry_delay sensitive subscribes user].freeze
  BUILT_IN = {
    apt_update: %i[frequency], cookbook_file: %i[path source verify], cron: %i[command hour minute],
    directory: %i[path], execute: %i[command creates timeout umask returns], file: %i[backup content path verify],
    group: %i[append excluded_members gid group_name members system], kernel_module: %i[options modname],
    link: %i[link_type target_file to], log: %i[level message], mount: %i[device enabled fstype mount_point options pass],
    package: %i[options package_name source version], apt_package: %i[options package_name source version],
    dpkg_package: %i[package_name source version], remote_file: %i[backup checksum path source verify headers],
    ruby_block: %i[block], service: %i[service_name supports], sysctl: %i[key value],
    systemd_unit: %i[content triggers_reload unit_name verify],
    template: %i[path source variables verify], user: %i[comment gid home manage_home password shell system uid]
  }.freeze

  # Ruby's own words of these names must not be heard here.
  %i[format gem load open system test].each { |word| undef_method(word) }

  attr_reader :type, :name, :where

  def initialize(type, name, recipe, where, custom)
    @type = type
    @name = name
    @recipe = recipe
    @where = where
    @custom = custom
    @said = {}
    @guards = []
    @signals = []
    @action = custom ? [custom.default_action] : nil
  end

  def node
    @recipe.node
  end

  def action(value = nil)
    value.nil? ? @action : @action = Array(value)
  end

  def not_if(command = nil, &block)
    @guards << "not_if #{block ? '(block)' : Array(command).join(' ')}"
  end

  def only_if(command = nil, &block)
    @guards << "only_if #{block ? '(block)' : Array(command).join(' ')}"
  end

  def notifies(action, target, time = :delayed)
    @signals << [action, target, time]
  end

  def lazy
    '(lazy)'
  end

  def to_s
    "#{type}[#{name}]"
  end

  # What it notifies, as type[name].
  def targets
    @signals.map { |_, target, _| target.to_s }
  end

  def respond_to_missing?(word, _all = nil)
    words.include?(word)
  end

  def method_missing(word, *values, &block)
    unless words.include?(word)
      return @recipe.public_send(word, *values, &block) if @recipe.respond_to?(word)

      raise NameError, "#{@where}: #{type} has no property #{word}"
    end
    return @said[word] if values.empty? && block.nil?

    @custom&.check(word, values.first, @where)
    @said[word] = block ? '(block)' : values.first
  end

  def checked
    @custom&.complete(@said, to_s, @where)
    self
  end

  def record
    {
      'recipe' => @recipe.full_name, 'resource' => to_s, 'action' => @action&.map(&:to_s),
      'says' => @said.sort.to_h { |key, value| [key.to_s, plain(value)] },
      'guards' => @guards, 'notifies' => @signals.map { |signal| signal.map(&:to_s).join(' ') }
    }.reject { |_, value| value.nil? || value.empty? }
  end

  private

  def words
    COMMON + (@custom ? @custom.properties.keys : BUILT_IN.fetch(type))
  end

  def plain(value)
    JSON.parse(JSON.generate([value])).first
  end
end
