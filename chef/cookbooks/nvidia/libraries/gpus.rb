# frozen_string_literal: true

module Infra
  # NVIDIA's GPUs on the PCI bus, and which driver branches and kernel modules go with them. Plain Ruby.
  #
  # A GPU is known by its PCI id, never by its name: NVIDIA gives each chip a block of device ids.
  # Sources: the driver's README ("Supported NVIDIA GPU Products") and the PCI id list.
  module Gpus
    NVIDIA = '10de'
    CLOSED = %w[proprietary].freeze
    EITHER = %w[open proprietary].freeze
    OPEN = %w[open].freeze

    # Branches from first to last (nil: still supported), the kernel modules that drive it, blocks of device ids.
    Architecture = Struct.new(:name, :first_driver, :last_driver, :modules, :blocks)
    ARCHITECTURES = [
      Architecture.new('Kepler', 304, 470, CLOSED, [0x0fc0..0x103f, 0x1180..0x12bf]),
      Architecture.new('Maxwell', 340, 580, CLOSED, [0x1340..0x147f, 0x1600..0x17ff]),
      Architecture.new('Pascal', 367, 580, CLOSED, [0x1580..0x15ff, 0x1b00..0x1d7f]),
      Architecture.new('Volta', 384, 580, CLOSED, [0x1d80..0x1dff]),
      Architecture.new('Turing', 410, nil, EITHER, [0x1e00..0x1fff, 0x2180..0x21ff]),
      Architecture.new('Ampere', 450, nil, EITHER, [0x2080..0x20ff, 0x2200..0x22ff, 0x2400..0x25ff]),
      Architecture.new('Hopper', 525, nil, EITHER, [0x2300..0x237f]),
      Architecture.new('Ada', 525, nil, EITHER, [0x2680..0x28ff]),
      Architecture.new('Blackwell', 570, nil, OPEN, [0x2900..0x29ff, 0x2b80..0x2fff, 0x3180..0x31ff])
    ].freeze

    # Display controllers (VGA, 3D), and the bridges that NVSwitches are.
    DISPLAY = /\A0x03(?:00|02)/
    BRIDGE = /\A0x0680/
    # Boards whose switches are not on the host's PCI bus, and which need fabric manager all the same: B200, B300.
    SWITCHED = %w[10de:2901 10de:3182].freeze

    Found = Struct.new(:gpus, :nvswitches) do
      def nvswitch?
        nvswitches.any? || gpus.any? { |id| SWITCHED.include?(id) }
      end
    end

    module_function

    # Reads `root` (/sys/bus/pci/devices); `given` takes its place: {'gpus' => ['10de:1b00'], 'nvswitches' => []}.
    def detect(given = nil, root: '/sys/bus/pci/devices')
      return Found.new(*%w[gpus nvswitches].map { |key| Array(given[key]).map(&:downcase) }) if given

      gpus, others = devices(root).partition { |kind, _| kind.match?(DISPLAY) }
      Found.new(gpus.map(&:last), others.select { |kind, _| kind.match?(BRIDGE) }.map(&:last))
    end

    # [class, id] of each of NVIDIA's devices.
    def devices(root)
      Dir.glob("#{root}/*").filter_map do |path|
        vendor, device, kind = %w[vendor device class].map { |name| read("#{path}/#{name}") }
        [kind, "#{NVIDIA}:#{device.delete_prefix('0x')}"] if vendor == "0x#{NVIDIA}"
      end
    end

    # 10de:1b00 -> Pascal; nil for a chip that is not known here: newer than this list.
    def architecture(id)
      vendor, device = id.split(':')
      number = device.to_i(16)
      ARCHITECTURES.find { |item| item.blocks.any? { |block| block.cover?(number) } } if vendor == NVIDIA
    end

    # What is wrong with this driver and module on these GPUs; one sentence each.
    def problems(found, branch, flavour)
      number = branch.to_i
      found.gpus.uniq.filter_map do |id|
        item = architecture(id)
        problem(item, id, number, flavour) if item
      end
    end

    def problem(item, id, number, flavour)
      name = "the GPU #{id} (#{item.name})"
      if item.last_driver && number > item.last_driver
        "#{name} has no driver after branch #{item.last_driver}: the profile asks for #{number}. " \
          "Fix: nvidia.driver \"#{item.last_driver}\" or lower in cluster.yaml, or a profile of its own for this machine"
      elsif number < item.first_driver
        "#{name} needs branch #{item.first_driver} or newer: the profile asks for #{number}. " \
          "Fix: nvidia.driver \"#{item.first_driver}\" or higher in cluster.yaml"
      elsif !item.modules.include?(flavour)
        "#{name} is not driven by the #{flavour} kernel module. Fix: nvidia.module: #{item.modules.first} " \
          'in cluster.yaml, or a profile of its own for this machine'
      end
    end

    def read(path)
      File.exist?(path) ? File.read(path).strip : ''
    end
  end
end
