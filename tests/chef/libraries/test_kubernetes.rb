# frozen_string_literal: true

require 'minitest/autorun'
require File.expand_path('../../../chef/cookbooks/kubernetes/libraries/infra_kubernetes', __dir__)

class InfraKubernetesTest < Minitest::Test
  def test_a_node_stays_at_its_minor_version
    assert InfraKubernetes.elsewhere?(true, '1.36.2-1.1', '1.37')
    assert InfraKubernetes.elsewhere?(true, '1.36.2-1.1', '1.35')
  end

  def test_patches_and_machines_that_are_no_nodes_yet_are_the_converges
    refute InfraKubernetes.elsewhere?(true, '1.36.2-1.1', '1.36')
    refute InfraKubernetes.elsewhere?(true, '1:1.36.2-1.1', '1.36.4')
    refute InfraKubernetes.elsewhere?(false, '1.36.2-1.1', '1.37')
    refute InfraKubernetes.elsewhere?(true, '', '1.37') # the packages are gone: they are put back
  end
end
