# frozen_string_literal: true

# Chef's node, as far as recipes read it: defaults of cookbooks, node.json above them, the machine's facts above those.
module Attributes
  # `default['a']['b'] = 1` makes what is missing on its way.
  class Vivid < Hash
    def initialize(*)
      super { |hash, key| hash[key.to_s] = Vivid.new }
    end

    def []=(key, value)
      super(key.to_s, value.is_a?(Hash) && !value.is_a?(Vivid) ? Vivid.new.update(value) : value)
    end

    # `default['a'] = {...}` takes the place of what other cookbooks put there, as in Chef.
    def update(other)
      other.each { |key, value| self[key] = value }
      self
    end
  end

  module_function

  # Hashes are merged, everything else is replaced.
  def merge(below, above)
    below.merge(above) { |_, one, other| one.is_a?(Hash) && other.is_a?(Hash) ? merge(one, other) : other }
  end

  # Reading does not make keys.
  def plain(value)
    case value
    when Hash then value.to_h { |key, item| [key.to_s, plain(item)] }.freeze
    when Array then value.map { |item| plain(item) }.freeze
    else value
    end
  end

  # What an attributes file is read in.
  class File
    attr_reader :default

    def initialize(node, default)
      @known = node
      @default = default
    end

    def node
      Attributes.plain(Attributes.merge(@default, @known))
    end

    def read(path)
      instance_eval(::File.read(path), path)
    end
  end
end
