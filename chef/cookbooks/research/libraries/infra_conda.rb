# frozen_string_literal: true

require 'digest'
require 'json'

# What a conda environment should be, and whether it is. Plain Ruby.
module InfraConda
  module_function

  # {'opencv' => '4.11'} -> ['opencv=4.11']; '>=2,<3' and '==2.1' are conda's own words and are left as they are.
  def specs(python, packages)
    { 'python' => python }.merge(packages).map do |name, version|
      version = version.to_s
      next name if version.empty?

      version.match?(/\A[<>=!~]/) ? "#{name}#{version}" : "#{name}=#{version}"
    end.sort
  end

  # What the environment was made from; another one makes it anew.
  def wanted(specs, channels, pip, cuda)
    { 'channels' => channels, 'cuda' => cuda, 'pip' => pip.sort, 'specs' => specs }
  end

  def digest(wanted)
    Digest::SHA256.hexdigest(JSON.generate(wanted))
  end

  # Packages of `specs` that the environment does not have at that version; `listing` is `micromamba list --json`.
  def missing(specs, listing)
    there = JSON.parse(listing).to_h { |item| [item['name'], item['version'].to_s] }
    specs.reject do |spec|
      name, version = spec.split(/(?=[<>=!~])/, 2)
      found = there[name]
      found && (version.nil? || !version.match?(/\A=[^=]/) || fits?(found, version.delete_prefix('=')))
    end
  rescue JSON::ParserError
    specs
  end

  def fits?(found, version)
    version = version.delete_suffix('.*').delete_suffix('*')
    found == version || found.start_with?("#{version.chomp('.')}.")
  end
end
