# frozen_string_literal: true

module Infra
  # Debian's package versions. Plain Ruby: no Chef, no dpkg.
  module DebianVersions
    module_function

    # -1, 0 or 1, as `dpkg --compare-versions` has it.
    def compare(one, other)
      first = split(one)
      second = split(other)
      return first[0] <=> second[0] unless first[0] == second[0]

      [1, 2].each do |part|
        order = compare_part(first[part], second[part])
        return order unless order.zero?
      end
      0
    end

    # '1:580.95.05-0ubuntu1' is '580.95.05' to those who wrote the software.
    def upstream(version)
      split(version)[1]
    end

    # '580' and '580.95' are branches of 580.95.05, '58' is not; a whole package version is a branch of itself alone.
    def branch?(version, branch)
      [version, upstream(version)].any? { |text| text == branch || text.start_with?("#{branch}.") }
    end

    def newest(versions)
      versions.max { |one, other| compare(one, other) }
    end

    def split(version)
      epoch, rest = version.include?(':') ? version.split(':', 2) : ['0', version]
      upstream, dash, revision = rest.rpartition('-')
      dash.empty? ? [epoch.to_i, rest, ''] : [epoch.to_i, upstream, revision]
    end

    # Runs of letters and runs of digits in turn: letters by weight, digits as numbers.
    def compare_part(one, other)
      until one.empty? && other.empty?
        text, one = cut(one, /\A\D*/)
        against, other = cut(other, /\A\D*/)
        order = weights(text, against)
        return order unless order.zero?

        number, one = cut(one, /\A\d*/)
        opposite, other = cut(other, /\A\d*/)
        return number.to_i <=> opposite.to_i unless number.to_i == opposite.to_i
      end
      0
    end

    def cut(text, pattern)
      head = text[pattern]
      [head, text[head.length..]]
    end

    def weights(one, other)
      [one.length, other.length].max.times do |index|
        order = weight(one[index]) <=> weight(other[index])
        return order unless order.zero?
      end
      0
    end

    # '~' stands before the end, the end before letters, letters before everything else.
    def weight(char)
      return 0 if char.nil?
      return -1 if char == '~'

      char.match?(/[A-Za-z]/) ? char.ord : char.ord + 256
    end
  end
end
