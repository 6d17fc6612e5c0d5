# frozen_string_literal: true

module Infra
  # What Amazon's installer writes about itself. Plain Ruby.
  module Efa
    RECORD = '/opt/amazon/efa_installed_packages'

    module_function

    # '1.41.0' of the line '# EFA installer version: 1.41.0'; nil when there is none.
    def installed(path = RECORD)
      return unless File.exist?(path)

      File.read(path)[/^#\s*EFA installer version:\s*(\S+)/i, 1]
    end

    def older?(one, other)
      Gem::Version.new(one) < Gem::Version.new(other)
    end
  end
end
