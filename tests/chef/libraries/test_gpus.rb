# frozen_string_literal: true

require 'minitest/autorun'
require 'tmpdir'
require_relative '../../../chef/cookbooks/nvidia/libraries/gpus'
require_relative '../../../chef/cookbooks/cuda/libraries/toolkits'
require_relative '../../../chef/cookbooks/efa/libraries/efa_version'

class GpusTest < Minitest::Test
  KNOWN = {
    '10de:102d' => 'Kepler', '10de:17c2' => 'Maxwell', '10de:13f2' => 'Maxwell', '10de:17fd' => 'Maxwell',
    '10de:1b00' => 'Pascal', '10de:1b02' => 'Pascal', '10de:15f8' => 'Pascal', '10de:1b38' => 'Pascal', '10de:1db1' => 'Volta',
    '10de:1d81' => 'Volta', '10de:1eb8' => 'Turing', '10de:1e04' => 'Turing', '10de:20b0' => 'Ampere', '10de:2237' => 'Ampere',
    '10de:2204' => 'Ampere', '10de:27b8' => 'Ada', '10de:26b9' => 'Ada', '10de:2684' => 'Ada', '10de:2330' => 'Hopper',
    '10de:2335' => 'Hopper', '10de:2901' => 'Blackwell', '10de:2b85' => 'Blackwell', '10de:2bb1' => 'Blackwell',
    '10de:3182' => 'Blackwell'
  }.freeze

  def test_chips
    KNOWN.each { |id, name| assert_equal name, Infra::Gpus.architecture(id)&.name, id }
    assert_nil Infra::Gpus.architecture('1002:1b00')
    assert_nil Infra::Gpus.architecture('10de:ffff')
  end

  def test_blocks_do_not_overlap
    blocks = Infra::Gpus::ARCHITECTURES.flat_map(&:blocks).sort_by(&:begin)
    blocks.each_cons(2) { |one, other| assert_operator one.end, :<, other.begin }
  end

  def problems(id, branch, flavour)
    Infra::Gpus.problems(Infra::Gpus.detect({ 'gpus' => [id] }), branch, flavour)
  end

  def test_what_does_not_fit_is_said
    assert_match(/Pascal.*not driven by the open.*nvidia\.module: proprietary/, problems('10de:1b00', '580', 'open').first)
    assert_match(/Blackwell.*not driven by the proprietary/, problems('10de:2901', '580', 'proprietary').first)
    assert_match(/Maxwell.*no driver after branch 580/, problems('10de:17c2', '590', 'proprietary').first)
    assert_match(/Blackwell.*needs branch 570/, problems('10de:2901', '550.90.07', 'open').first)
    assert_empty problems('10de:1b00', '580', 'proprietary')
    assert_empty problems('10de:2330', '580.95.05', 'open')
    assert_empty problems('10de:ffff', '999', 'open') # newer than this list: not ours to forbid
  end

  def test_the_bus
    Dir.mktmpdir do |root|
      { '00:1e.0' => %w[0x10de 0x2330 0x030200], '00:1f.0' => %w[0x10de 0x22a3 0x068000], '00:02.0' => %w[0x8086 0x1234 0x030000],
        '00:03.0' => %w[0x10de 0x10f0 0x040300] }.each do |slot, texts|
        Dir.mkdir("#{root}/#{slot}")
        %w[vendor device class].zip(texts) { |name, text| File.write("#{root}/#{slot}/#{name}", "#{text}\n") }
      end
      found = Infra::Gpus.detect(root: root)
      assert_equal [['10de:2330'], ['10de:22a3'], true], [found.gpus, found.nvswitches, found.nvswitch?]
      assert_shell root, 'gpu' => true, 'nvswitch' => true
      FileUtils.rm_r("#{root}/00:1f.0")
      assert_shell root, 'gpu' => true, 'nvswitch' => false
      FileUtils.rm_r("#{root}/00:1e.0")
      assert_shell root, 'gpu' => false, 'nvswitch' => false
    end
  end

  # What systemd asks at every start says the same.
  def assert_shell(root, answers)
    script = File.expand_path('../../../chef/cookbooks/nvidia/files/nvidia-hardware', __dir__)
    answers.each { |word, answer| assert_equal answer, system({ 'INFRA_PCI' => root }, 'sh', script, word), "#{word} in #{Dir.children(root)}" }
  end

  def test_boards_whose_switches_are_elsewhere
    assert_predicate Infra::Gpus.detect({ 'gpus' => ['10de:2901'] }), :nvswitch?
    refute_predicate Infra::Gpus.detect({ 'gpus' => ['10de:2330'] }), :nvswitch?
  end
end

class ToolkitsTest < Minitest::Test
  def test_names
    { 'cuda-nvcc-12-9' => '12.9', 'libcublas-dev-12-9' => '12.9', 'cuda-toolkit-13-0-config-common' => '13.0', 'gds-tools-12-8' => '12.8',
      'cuda-toolkit-12-config-common' => nil, 'cuda-toolkit-config-common' => nil, 'libcudnn9-cuda-12' => nil, 'cuda-drivers-580' => nil,
      'libcuda1' => nil, 'cuda-compat-12-9' => '12.9' }.each do |name, version|
      version.nil? ? assert_nil(Infra::Toolkits.version(name), name) : assert_equal(version, Infra::Toolkits.version(name), name)
    end
  end

  def test_what_goes
    there = %w[cuda-nvcc-12-8 cuda-nvcc-12-9 libcublas-12-8 libcuda1]
    assert_equal %w[cuda-nvcc-12-8 libcublas-12-8], Infra::Toolkits.unwanted(there, ['12.9'])
    assert_equal '12.10', Infra::Toolkits.newest(%w[12.9 12.10])
    assert_nil Infra::Toolkits.newest([])
  end
end

class EfaVersionTest < Minitest::Test
  def test_the_installers_record
    Dir.mktmpdir do |folder|
      path = "#{folder}/record"
      assert_nil Infra::Efa.installed(path)
      File.write(path, "# EFA installer version: 1.41.0\n# Debug packages installed: no\nefa-config_1.18_all.deb\n")
      assert_equal '1.41.0', Infra::Efa.installed(path)
    end
    assert Infra::Efa.older?('1.9.0', '1.41.0')
  end
end
