# frozen_string_literal: true

module Infra
  # Names of CUDA's packages: each ends in its toolkit's version. Plain Ruby.
  module Toolkits
    # cuda-nvcc-12-9, libcublas-dev-12-9, cuda-toolkit-12-9-config-common, gds-tools-12-9
    NAME = /\A(?:cuda|gds|lib(?:cu|npp|nv))[a-z0-9.+-]*?-(\d+)-(\d+)(?:-config-common)?\z/

    module_function

    def package(version)
      "cuda-toolkit-#{version.tr('.', '-')}"
    end

    # 12.9 for cuda-nvcc-12-9; nil for what belongs to no toolkit.
    def version(name)
      match = NAME.match(name)
      "#{match[1]}.#{match[2]}" if match
    end

    # Of these installed packages, those of toolkits that are not wanted.
    def unwanted(installed, wanted)
      installed.select { |name| (found = version(name)) && !wanted.include?(found) }.sort
    end

    # What /usr/local/cuda leads to; nil when nothing was chosen yet.
    def current(link = '/etc/alternatives/cuda')
      File.symlink?(link) ? File.readlink(link) : nil
    end

    def newest(versions)
      versions.max_by { |version| version.split('.').map(&:to_i) }
    end
  end
end
