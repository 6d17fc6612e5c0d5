# frozen_string_literal: true

module Infra
  # What apt has to be told so that a driver is whole: every package of it at one and the same version. Plain Ruby: text
  # of apt and dpkg in, a plan out.
  class DriverPlan
    class NotThere < StandardError; end

    # A version of a package, and the repository that has it.
    Offer = Struct.new(:name, :version, :source)
    # A package on this machine.
    Installed = Struct.new(:name, :version, :held)

    # Names of packages that are built from the driver's source, whatever brought them here.
    FAMILY = /
      \A(?:cuda-drivers|firmware-nvidia-gsp|lib(?:cuda1|cudadebugger1|egl-nvidia0|glx-nvidia0|nvcuvid1|nvoptix1)\z|libnvsdm
      |libnvidia-(?!container)|nvidia-(?!container|ctk|docker|driver-pinning)|xserver-xorg-video-nvidia)
    /x
    # The same as apt's pinning has it; what has no such version is not touched by a pin.
    PINNED = 'cuda-drivers* firmware-nvidia-gsp libcuda1 libcudadebugger1 libegl-nvidia0 libglx-nvidia0 libnvcuvid1 ' \
             'libnvoptix1 libnvsdm* libnvidia-* nvidia-* xserver-xorg-video-nvidia*'
    # 580.95.05 is a driver's version; nvidia-gds and the like have others.
    NUMBER = /\A\d{3}\.\d/

    class << self
      # The output of `apt-cache madison NAME...`.
      def offers(text)
        text.lines.filter_map do |line|
          name, version, source = line.split('|').map(&:strip)
          Offer.new(name, version, source) if source&.end_with?('Packages')
        end
      end

      # The output of dpkg-query with the format LISTING: name => Installed, of the driver's family alone.
      def installed(text)
        text.lines.filter_map do |line|
          name, version, status = line.chomp.split("\t")
          want, _fine, state = status.to_s.split
          next if version.to_s.empty? || !name.match?(FAMILY) || %w[config-files not-installed].include?(state)

          [name, Installed.new(name, version, want == 'hold')] if DebianVersions.upstream(version).match?(NUMBER)
        end.to_h
      end

      # Every package of the driver is on hold, also those that came along: an upgrade in passing would split it.
      def unheld(installed)
        installed.values.reject(&:held).map(&:name).sort
      end
    end

    LISTING = '${Package}\t${Version}\t${Status}\n'

    attr_reader :target

    # names: each a name, or several of which the first that fits is taken (names changed between branches)
    # optional: as names, taken where the repository has them; branch: '580', or a version: '580.95.05'
    # unwanted: names that may not stay: those of the other kernel module; source: the repository to prefer
    def initialize(branch:, names:, offers:, installed:, optional: [], unwanted: [], source: nil)
      @branch = branch
      @names = names.map { |entry| Array(entry) }
      @optional = optional.map { |entry| Array(entry) }
      @unwanted = unwanted
      @installed = installed
      @offers = preferred(offers, source)
      @target = choose
      @unwanted += (@names + @optional).flatten - @target.keys # the same thing under another name
    end

    # 580.95.05
    def version
      kept? ? DebianVersions.upstream(present.first.version) : wanted
    end

    # {name => package version} of what is not here, or not at its version.
    def install
      return {} if kept?

      everything.reject { |name, version| @installed[name]&.version == version }
    end

    # Packages of the family that have no place: another branch's, the other kernel module's.
    def remove
      return [] if kept?

      @installed.values.reject { |item| everything.key?(item.name) }
                .select { |item| @unwanted.include?(item.name) || DebianVersions.upstream(item.version) != wanted }
                .map(&:name).sort
    end

    def needed?
      install.any? || remove.any?
    end

    # The branch is right and the machine is ahead of the repository (a mirror that lags): it stays as it is.
    # A lower branch is another matter: the file asks for it.
    def kept?
      return @kept if defined?(@kept)

      whole = present.length == @names.length && present.map { |item| DebianVersions.upstream(item.version) }.uniq.one?
      @kept = whole && (@unwanted & @installed.keys).empty? && ahead?
    end

    # The branch that is left for a lower one, or nil.
    def downgrade_from
      return if kept? || present.empty?

      newest = DebianVersions.newest(present.map(&:version))
      newest if DebianVersions.compare(DebianVersions.upstream(newest), wanted).positive?
    end

    private

    def wanted
      DebianVersions.upstream(@target.values.first)
    end

    def ahead?
      own = present.first.version
      DebianVersions.branch?(own, @branch) && DebianVersions.compare(DebianVersions.upstream(own), wanted).positive?
    end

    # What is installed of the names that were asked for.
    def present
      @names.filter_map { |entry| entry.filter_map { |name| @installed[name] }.first }
    end

    def everything
      @everything ||= @target.merge(followers)
    end

    # Relatives that other packages brought and that the wanted version has too: they move along.
    def followers
      others = @installed.values.reject { |item| @target.key?(item.name) || @unwanted.include?(item.name) }
      others.filter_map do |item|
        found = @offers.select { |offer| offer.name == item.name && fits?(offer, wanted) }.map(&:version)
        [item.name, DebianVersions.newest(found)] if found.any?
      end.to_h
    end

    # NVIDIA's repository where it has the branch, else any: the oldest branches are in Ubuntu's alone.
    def preferred(offers, source)
      own = offers.select { |offer| source && offer.source.include?(source.chomp('/')) }
      @names.all? { |entry| candidates(entry, own).any? } ? own : offers
    end

    def candidates(entry, offers = @offers)
      offers.select { |offer| entry.include?(offer.name) && DebianVersions.branch?(offer.version, @branch) }
    end

    def choose
      missing = @names.select { |entry| candidates(entry).empty? }
      raise NotThere, nothing(missing) if missing.any?

      version = common
      taken = @names + @optional.select { |entry| candidates(entry).any? { |offer| fits?(offer, version) } }
      taken.to_h { |entry| pick(entry, version) }
    end

    # The newest version that every package has: fabric manager is sometimes published a day after the driver.
    def common
      shared = @names.map { |entry| candidates(entry).map { |offer| DebianVersions.upstream(offer.version) } }.reduce(:&)
      raise NotThere, apart if shared.empty?

      DebianVersions.newest(shared)
    end

    def pick(entry, version)
      fitting = candidates(entry).select { |offer| fits?(offer, version) }
      name = entry.find { |choice| fitting.any? { |offer| offer.name == choice } }
      [name, DebianVersions.newest(fitting.select { |offer| offer.name == name }.map(&:version))]
    end

    def fits?(offer, version)
      DebianVersions.upstream(offer.version) == version
    end

    def nothing(missing)
      lines = missing.map do |entry|
        found = @offers.select { |offer| entry.include?(offer.name) }.map(&:version).uniq
        "#{entry.join(' or ')}: #{found.empty? ? 'in no repository' : "there is #{found.join(', ')}"}"
      end
      "the driver #{@branch} is not there: #{lines.join('; ')}"
    end

    def apart
      lines = @names.map { |entry| "#{entry.first} #{candidates(entry).map(&:version).uniq.join(', ')}" }
      "the packages of the driver #{@branch} have no version in common: #{lines.join('; ')}"
    end
  end
end
