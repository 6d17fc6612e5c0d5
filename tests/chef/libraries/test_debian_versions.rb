# frozen_string_literal: true

require 'minitest/autorun'
require_relative '../../../chef/cookbooks/nvidia/libraries/debian_versions'

class DebianVersionsTest < Minitest::Test
  # Each is older than the next; the order is dpkg's own.
  ASCENDING = %w[
    0~ 0 1~rc1-1 1-0~ 1-1 1-1ubuntu1 1.0 1.0-1 1.0-1+b1 1.0-10 1.0a 1.0+a 1.0.1~a 1.0.1 1.2 1.10 9.9 575.57.08-1 580.65.06-1
    580.95.05-0ubuntu1 580.95.05-1 580.105.08-1 590.44.01-1 1:0.1 2:0
  ].freeze

  def test_order
    ASCENDING.each_with_index do |one, index|
      assert_equal 0, Infra::DebianVersions.compare(one, one), one
      ASCENDING[(index + 1)..].each do |other|
        assert_equal(-1, Infra::DebianVersions.compare(one, other), "#{one} < #{other}")
        assert_equal 1, Infra::DebianVersions.compare(other, one), "#{other} > #{one}"
      end
    end
  end

  def test_order_is_dpkgs
    skip 'no dpkg here' unless system('which dpkg >/dev/null 2>&1')
    pairs = ASCENDING.combination(2).to_a.sample(60, random: Random.new(1))
    pairs.each { |one, other| assert system('dpkg', '--compare-versions', one, 'lt', other), "#{one} < #{other}" }
  end

  def test_upstream
    { '1:580.95.05-0ubuntu1' => '580.95.05', '580.95.05' => '580.95.05', '1.2-3-4' => '1.2-3' }.each do |version, upstream|
      assert_equal upstream, Infra::DebianVersions.upstream(version)
    end
  end

  def test_branch
    assert Infra::DebianVersions.branch?('580.95.05-1', '580')
    assert Infra::DebianVersions.branch?('580.95.05-1', '580.95')
    assert Infra::DebianVersions.branch?('580.95.05-1', '580.95.05')
    refute Infra::DebianVersions.branch?('580.95.05-1', '58')
    refute Infra::DebianVersions.branch?('5800.1-1', '580')
  end
end
