# frozen_string_literal: true

require 'minitest/autorun'
%w[debian_versions driver_plan driver_packages].each do |name|
  require_relative "../../../chef/cookbooks/nvidia/libraries/#{name}"
end

class DriverPlanTest < Minitest::Test
  NVIDIA = 'https://example.org/debian12/x86_64/'
  OLD = '575.57.08'
  NEW = '580.95.05'

  def offers(*rows)
    Infra::DriverPlan.offers(rows.map { |name, version, uri| " #{name} | #{version} | #{uri || NVIDIA} / Packages\n" }.join)
  end

  def installed(*rows)
    Infra::DriverPlan.installed(rows.map { |name, version, want| "#{name}\t#{version}\t#{want || 'hold'} ok installed\n" }.join)
  end

  def plan(branch: '580', names: %w[libcuda1 nvidia-kernel-dkms], **more)
    Infra::DriverPlan.new(branch: branch, names: names, source: NVIDIA, **{ installed: {} }.merge(more))
  end

  def both(*versions)
    offers(*versions.flat_map { |version| [['libcuda1', version], ['nvidia-kernel-dkms', version]] })
  end

  def test_the_newest_of_the_branch
    found = plan(offers: both('575.57.08-1', '580.65.06-1', '580.105.08-1', '580.95.05-1', '590.44.01-1'))
    assert_equal({ 'libcuda1' => '580.105.08-1', 'nvidia-kernel-dkms' => '580.105.08-1' }, found.install)
    assert_equal '580.105.08', found.version
  end

  def test_a_whole_version
    found = plan(branch: '580.65.06', offers: both('580.65.06-1', '580.95.05-1'))
    assert_equal '580.65.06', found.version
  end

  def test_existence_is_not_enough
    there = installed(['libcuda1', '575.57.08-1'], ['nvidia-kernel-dkms', '575.57.08-1'])
    found = plan(offers: both('575.57.08-1', '580.95.05-1'), installed: there)
    assert_equal %w[libcuda1 nvidia-kernel-dkms], found.install.keys.sort
  end

  def test_nothing_when_all_is_as_wanted
    there = installed(['libcuda1', '580.95.05-1'], ['nvidia-kernel-dkms', '580.95.05-1'])
    refute plan(offers: both('580.95.05-1'), installed: there).needed?
  end

  # A driver that is split (an upgrade in passing, an install that was cut off) is made whole.
  def test_a_split_driver_is_made_whole
    there = installed(['libcuda1', '580.95.05-1'], ['nvidia-kernel-dkms', '580.65.06-1'])
    found = plan(offers: both('580.65.06-1', '580.95.05-1'), installed: there)
    assert_equal({ 'nvidia-kernel-dkms' => '580.95.05-1' }, found.install)
  end

  # Fabric manager is published a day late: the driver waits for it.
  def test_all_packages_at_one_version
    names = ['libcuda1', %w[nvidia-fabricmanager-580 nvidia-fabricmanager]]
    list = offers(['libcuda1', '580.95.05-1'], ['libcuda1', '580.105.08-1'], ['nvidia-fabricmanager', '580.95.05-1'])
    assert_equal({ 'libcuda1' => '580.95.05-1', 'nvidia-fabricmanager' => '580.95.05-1' }, plan(names: names, offers: list).install)
  end

  def test_no_version_in_common
    list = offers(['libcuda1', '580.105.08-1'], ['nvidia-kernel-dkms', '580.95.05-1'])
    error = assert_raises(Infra::DriverPlan::NotThere) { plan(offers: list) }
    assert_match(/no version in common.*580\.105\.08.*580\.95\.05/, error.message)
  end

  def test_a_branch_that_is_not_there_says_what_is
    error = assert_raises(Infra::DriverPlan::NotThere) { plan(branch: '999', offers: both('580.95.05-1')) }
    assert_match(/the driver 999 is not there.*libcuda1: there is 580\.95\.05-1/, error.message)
  end

  def test_the_branch_in_the_names_goes_with_the_branch
    names, optional, unwanted = Infra::DriverPackages.of('ubuntu', '580', 'open', fabric_manager: true)
    list = offers(*names.map { |entry| [entry.first, "#{NEW}-0ubuntu1"] })
    old = %w[nvidia-dkms-575-open libnvidia-compute-575 libnvidia-gpucomp-575 nvidia-fabricmanager-575]
    there = installed(*old.map { |name| [name, "#{OLD}-0ubuntu1"] })
    found = plan(names: names, optional: optional, unwanted: unwanted, offers: list, installed: there)
    assert_equal old.sort, found.remove
    assert_equal names.map(&:first).sort, found.install.keys.sort
  end

  def test_names_without_the_branch_from_590_on
    names, = Infra::DriverPackages.of('ubuntu', '590', 'open', fabric_manager: true)
    assert_includes names, %w[nvidia-dkms-open nvidia-dkms-590-open]
    list = offers(*names.map { |entry| [entry.first, '590.44.01-1'] })
    assert_equal '590.44.01-1', plan(branch: '590', names: names, offers: list).install.fetch('libnvidia-compute')
  end

  def test_the_other_kernel_module_leaves
    names, optional, unwanted = Infra::DriverPackages.of('debian', '580', 'open')
    list = offers(*names.map { |entry| [Array(entry).first, '580.95.05-1'] })
    there = installed(*(names - ['nvidia-kernel-open-dkms']).map { |name| [name, '580.95.05-1'] },
                      ['nvidia-kernel-dkms', '580.95.05-1'])
    found = plan(names: names, optional: optional, unwanted: unwanted, offers: list, installed: there)
    assert_equal ['nvidia-kernel-dkms'], found.remove
    assert_equal ['nvidia-kernel-open-dkms'], found.install.keys
  end

  def test_dependencies_that_nobody_named_move_along
    list = both('580.65.06-1', '580.95.05-1') + offers(['libnvidia-ptxjitcompiler1', '580.95.05-1'])
    there = installed(['libcuda1', '580.65.06-1'], ['nvidia-kernel-dkms', '580.65.06-1'], ['libnvidia-ptxjitcompiler1', '580.65.06-1'])
    assert_equal '580.95.05-1', plan(offers: list, installed: there).install.fetch('libnvidia-ptxjitcompiler1')
  end

  # Fabric manager has had a name with and one without the branch, and some repositories have both.
  def test_the_same_thing_under_another_name_leaves
    names = ['libcuda1', %w[nvidia-fabricmanager-575 nvidia-fabricmanager]]
    list = offers(['libcuda1', '575.57.08-1'], ['nvidia-fabricmanager-575', '575.57.08-1'], ['nvidia-fabricmanager', '575.57.08-1'])
    there = installed(['libcuda1', '580.95.05-1'], ['nvidia-fabricmanager', '580.95.05-1'])
    found = plan(branch: '575', names: names, offers: list, installed: there)
    assert_equal({ 'libcuda1' => '575.57.08-1', 'nvidia-fabricmanager-575' => '575.57.08-1' }, found.install)
    assert_equal ['nvidia-fabricmanager'], found.remove
  end

  def test_fabric_manager_leaves_with_the_last_switch
    names, optional, unwanted = Infra::DriverPackages.of('debian', '580', 'proprietary')
    list = offers(*names.map { |entry| [Array(entry).first, '580.95.05-1'] }, ['nvidia-fabricmanager', '580.95.05-1'])
    there = installed(*names.map { |name| [name, '580.95.05-1'] }, ['nvidia-fabricmanager', '580.95.05-1'])
    found = plan(names: names, optional: optional, unwanted: unwanted, offers: list, installed: there)
    assert_equal [{}, ['nvidia-fabricmanager']], [found.install, found.remove]
  end

  def test_ahead_of_the_repository
    there = installed(['libcuda1', '580.105.08-1'], ['nvidia-kernel-dkms', '580.105.08-1'])
    found = plan(offers: both('580.95.05-1'), installed: there)
    assert found.kept?
    refute found.needed?
    assert_equal '580.105.08', found.version
  end

  def test_back_to_a_lower_branch_is_asked_for
    there = installed(['libcuda1', '580.95.05-1'], ['nvidia-kernel-dkms', '580.95.05-1'])
    found = plan(branch: '575', offers: both('575.57.08-1', '580.95.05-1'), installed: there)
    refute found.kept?
    assert_equal '580.95.05-1', found.downgrade_from
    assert_equal '575.57.08-1', found.install.fetch('libcuda1')
  end

  # Ubuntu's own archive has the oldest branches, NVIDIA's the others; what both have is NVIDIA's.
  def test_the_repository_that_is_named_comes_first
    other = 'http://archive.example.org/ubuntu jammy/restricted'
    list = both('580.95.05-1') + offers(['libcuda1', '580.159.03-0ubuntu1', other], ['nvidia-kernel-dkms', '580.159.03-0ubuntu1', other],
                                        ['libcuda1', '470.256.02-0ubuntu1', other], ['nvidia-kernel-dkms', '470.256.02-0ubuntu1', other])
    assert_equal '580.95.05', plan(offers: list).version
    assert_equal '470.256.02', plan(branch: '470', offers: list).version
  end

  def test_what_is_of_the_family
    listing = [%w[nvidia-container-toolkit 1.18.0-1], %w[libnvidia-container1 1.18.0-1], %w[nvidia-gds 12.9.1-1],
               %w[nvidia-driver-pinning-580 580-1], %w[nvidia-settings 580.95.05-1], %w[libcuda1 580.95.05-1]]
    assert_equal %w[libcuda1 nvidia-settings], installed(*listing).keys.sort
    assert_equal ['libcuda1'], Infra::DriverPlan.unheld(installed(%w[libcuda1 580.95.05-1 install], %w[nvidia-smi 580.95.05-1 hold]))
  end
end
