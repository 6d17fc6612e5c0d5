# frozen_string_literal: true

require 'zlib'

# Users have the same numbers on every machine, or files on shared storage would change hands.
module InfraUid
  RANGE = (20_000..59_999)

  module_function

  # Whether the machine has this name already, in /etc/passwd or /etc/group.
  def known?(name, file)
    File.foreach(file).any? { |line| line.start_with?("#{name}:") }
  end

  # Who is in a group, as a secondary one.
  def members(group, file = '/etc/group')
    line = File.foreach(file, chomp: true).find { |text| text.start_with?("#{group}:") }
    line.to_s.split(':', -1)[3].to_s.split(',')
  end

  # name => number. A number follows from the name alone; of two names that fall on one, the later takes the next.
  def all(users)
    taken = users.values.map { |user| user['uid'] }.compact
    users.keys.sort.to_h do |name|
      number = users[name]['uid']
      unless number
        number = RANGE.first + (Zlib.crc32(name) % RANGE.size)
        number += 1 while taken.include?(number)
        taken << number
      end
      [name, number]
    end
  end
end
