# frozen_string_literal: true

# The machine that recipes see while they are read: the folder $INFRA_WORLD, or an empty one; never this machine.
module World
  ROOT = ENV.fetch('INFRA_WORLD', '/nonexistent')

  class << self
    attr_accessor :closed

    def path(path)
      text = path.to_s
      closed && text.start_with?('/') && !text.start_with?(ROOT) ? "#{ROOT}#{text}" : path
    end
  end

  # What a command that is asked while a recipe is read says: nothing, and that well.
  Answer = Struct.new(:stdout, :stderr, :exitstatus) do
    def error? = false
    def error! = self
  end

  FILE = %i[exist? file? directory? executable? symlink? read readlines readlink mtime].freeze
  FOLDER = %i[exist? children glob entries].freeze

  def self.close
    [[File, FILE], [Dir, FOLDER]].each do |owner, names|
      names.each do |name|
        plain = owner.method(name)
        owner.define_singleton_method(name) do |path, *more, **words, &block|
          plain.call(World.path(path), *more, **words, &block)
        end
      end
    end
  end
end
