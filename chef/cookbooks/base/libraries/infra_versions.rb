# frozen_string_literal: true

# Versions of Debian packages against what is wanted of them. Plain Ruby: no Chef in here.
module InfraVersions
  module_function

  # '28' is any 28.x, '28.1' any 28.1.x, '' anything; an epoch counts only where the wanted version names one.
  def match?(version, wanted)
    wanted = wanted.to_s
    return !version.to_s.empty? if wanted.empty?
    return false if version.nil?

    plain = wanted.include?(':') ? version : version.sub(/\A\d+:/, '')
    plain.start_with?(wanted) && !(wanted.match?(/\d\z/) && plain[wanted.length..].match?(/\A\d/))
  end

  # What dpkg has: package => version, only of those that are wholly installed.
  # `listing` has lines of status, package, version, with tabs between.
  def installed(listing)
    listing.lines.map { |line| line.chomp.split("\t") }
           .select { |status, _, version| status.to_s[1] == 'i' && version }
           .to_h { |_, package, version| [package, version] }
  end

  # The versions that apt can give, as `apt-cache madison` lists them: newest first.
  def available(madison)
    madison.lines.map { |line| line.split('|').map(&:strip) }
           .select { |fields| fields.length == 3 && fields[2].end_with?('Packages') }
           .map { |fields| fields[1] }.uniq
  end

  # What there is to install: package => version, empty when all is as wanted.
  # wanted: package => version; now: package => version; offers: package => versions, newest first;
  # lockstep: packages that must be of one and the same version.
  def changes(wanted, now, lockstep, &offers)
    moving = wanted.reject { |package, version| match?(now[package], version) }.keys
    together = lockstep & wanted.keys
    moving |= together if moving.intersect?(together) || together.map { |package| now[package] }.uniq.length > 1
    return {} if moving.empty?

    choice = moving.to_h { |package| [package, offers.call(package).select { |v| match?(v, wanted[package]) }] }
    same = (moving & together).map { |package| choice[package] }.reduce(:&)
    moving.to_h { |package| [package, (together.include?(package) ? same : choice[package]).first] }
  end
end
