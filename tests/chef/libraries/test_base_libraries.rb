# frozen_string_literal: true

require 'minitest/autorun'
require 'tmpdir'
COOKBOOKS = File.expand_path('../../../chef/cookbooks', __dir__)
%w[base/libraries/infra_versions base/libraries/infra_uid docker/libraries/infra_docker research/libraries/infra_conda
   storage/libraries/infra_storage].each { |path| require "#{COOKBOOKS}/#{path}" }

class InfraVersionsTest < Minitest::Test
  FITS = [
    ['5:28.5.2-1~debian.12~bookworm', '28'], ['5:28.5.2-1', '28.5'], ['5:28.5.2-1', '28.5.2'], ['5:28.5.2-1', '28.5.2-1'],
    ['5:28.5.2-1', '5:28'], ['1.7.29-1', ''], ['28.5', '28.']
  ].freeze
  OTHERS = [['5:28.5.2-1', '2'], ['5:28.50.2-1', '28.5'], ['5:28.5.2-1', '4:28'], ['5:28.5.2-1', '5'], [nil, '28'], [nil, '']].freeze

  def test_a_version_is_a_beginning
    FITS.each { |version, wanted| assert InfraVersions.match?(version, wanted), "#{version} fits #{wanted}" }
    OTHERS.each { |version, wanted| refute InfraVersions.match?(version, wanted), "#{version} does not fit #{wanted}" }
  end

  def test_what_dpkg_and_apt_say
    listing = "ii \tdocker-ce\t5:28.0.4-1\nhi \tjq\t1.6\nrc \tgone\t1\nun \tnever\t\n"
    assert_equal({ 'docker-ce' => '5:28.0.4-1', 'jq' => '1.6' }, InfraVersions.installed(listing))
    madison = " docker-ce | 2-1 | https://a ./ Packages\n docker-ce | 2-1 | https://b ./ Packages\n docker-ce | 1-1 | x ./ Sources\n"
    assert_equal ['2-1'], InfraVersions.available(madison)
  end

  def changes(wanted, now, offers, lockstep = [])
    InfraVersions.changes(wanted, now, lockstep) { |package| offers.fetch(package, []) }
  end

  def test_what_satisfies_is_left_alone
    assert_empty changes({ 'a' => '1' }, { 'a' => '1.0' }, { 'a' => %w[1.9 1.0] })
    assert_equal({ 'a' => '2.1' }, changes({ 'a' => '2' }, { 'a' => '1.0' }, { 'a' => %w[3.0 2.1 2.0 1.0] }))
    assert_equal({ 'a' => nil }, changes({ 'a' => '9' }, { 'a' => '1.0' }, { 'a' => %w[1.0] }))
  end

  def test_what_belongs_together_moves_together
    wanted = { 'a' => '2', 'b' => '2', 'c' => '' }
    offers = { 'a' => %w[2.1 2.0], 'b' => %w[2.2 2.1 2.0], 'c' => %w[7] }
    both = { 'a' => '2.1', 'b' => '2.1' }
    assert_equal both, changes(wanted, { 'a' => '2.0', 'c' => '6' }, offers, %w[a b])
    assert_equal both, changes(wanted, { 'a' => '2.0', 'b' => '2.1', 'c' => '6' }, offers, %w[a b]), 'split'
    assert_empty changes(wanted, { 'a' => '2.0', 'b' => '2.0', 'c' => '6' }, offers, %w[a b])
    assert_equal({ 'a' => nil, 'b' => nil }, changes(wanted, { 'c' => '6' }, { 'a' => %w[2.0], 'b' => %w[2.1] }, %w[a b]))
  end
end

class InfraUidTest < Minitest::Test
  def test_numbers_follow_from_names
    users = %w[ada grace linus].to_h { |name| [name, {}] }
    assert_equal 22_803, InfraUid.all(users)['grace']
    assert_equal InfraUid.all(users)['grace'], InfraUid.all('grace' => {})['grace']
    assert_equal 1234, InfraUid.all('ada' => { 'uid' => 1234 })['ada']
    many = (1..5000).to_h { |number| ["user#{number}", {}] }
    assert_equal 5000, InfraUid.all(many).values.uniq.length
  end

  def test_members
    Dir.mktmpdir do |folder|
      File.write("#{folder}/group", "root:x:0:\ninfra-users:x:19998:ada,grace\nempty:x:5:\n")
      assert_equal %w[ada grace], InfraUid.members('infra-users', "#{folder}/group")
      assert_empty InfraUid.members('empty', "#{folder}/group")
      assert_empty InfraUid.members('none', "#{folder}/group")
    end
  end
end

class InfraCondaTest < Minitest::Test
  SPECS = InfraConda.specs('3.12', { 'numpy' => '2.2', 'scipy' => '>=1,<2', 'pip' => '' })

  def test_specs
    assert_equal %w[numpy=2.2 pip python=3.12 scipy>=1,<2], SPECS
  end

  def test_compared_by_version
    there = lambda do |numpy|
      versions = { 'numpy' => numpy, 'pip' => '25', 'python' => '3.12.4', 'scipy' => '1.1' }
      JSON.generate(versions.map { |name, version| { name: name, version: version } })
    end
    assert_empty InfraConda.missing(SPECS, there.call('2.2.6'))
    assert_empty InfraConda.missing(SPECS, there.call('2.2'))
    assert_equal ['numpy=2.2'], InfraConda.missing(SPECS, there.call('2.20.1'))
    assert_equal ['scipy>=1,<2'], InfraConda.missing(['scipy>=1,<2'], '[]')
    assert_equal SPECS, InfraConda.missing(SPECS, 'no JSON')
  end

  def test_the_digest_moves_with_what_is_wanted
    one = InfraConda.wanted(SPECS, ['conda-forge'], [], '12.9')
    refute_equal InfraConda.digest(one), InfraConda.digest(one.merge('cuda' => nil))
    assert_equal InfraConda.digest(one), InfraConda.digest(InfraConda.wanted(SPECS, ['conda-forge'], [], '12.9'))
  end
end

class InfraStorageTest < Minitest::Test
  STORAGE = {
    'home' => { 'kind' => 'nfs', 'host' => 'nas', 'export' => '/export/home/', 'mount' => '/home' },
    'pool' => { 'kind' => 'nfs', 'host' => 'nas', 'export' => '/pool', 'mount' => '/pool' },
    'data' => { 'kind' => 'efs', 'mount' => '/data' },
    'out' => { 'kind' => 's3', 'bucket' => 'lab', 'mount' => '/out' },
    'none' => nil
  }.freeze

  def test_homes_one_by_one_and_the_rest_whole
    assert_equal ['/home/ada -fstype=nfs,rw nas:/export/home/ada', '/home/bob -fstype=nfs,rw nas:/export/home/bob',
                  '/pool -fstype=nfs,rw nas:/pool'], InfraStorage.automounts(STORAGE, %w[bob ada], 'rw')
  end

  def test_what_is_mounted_at_boot
    assert_equal ['efs data /data -', 's3 out /out lab'], InfraStorage.boot(STORAGE)
  end
end

class InfraDockerTest < Minitest::Test
  def test_the_daemons_file
    plain = JSON.parse(InfraDocker.daemon({ 'data_root' => '/docker', 'daemon' => {} }, nvidia: false))
    assert_equal '/docker', plain['data-root']
    refute plain.key?('runtimes')
    own = { 'live-restore' => false, 'dns' => ['10.0.0.2'] }
    text = InfraDocker.daemon({ 'data_root' => '/docker', 'daemon' => own }, nvidia: true)
    with = JSON.parse(text)
    assert_equal [false, ['10.0.0.2'], ['nvidia']], [with['live-restore'], with['dns'], with['runtimes'].keys]
    assert_equal with.keys.sort, with.keys, 'sorted: the same settings are the same bytes'
  end
end
