# frozen_string_literal: true

# The version of a node moves one minor at a time, drained, the control plane first: infra kube upgrade does that, and no
# converge. Plain Ruby: no Chef in here.
module InfraKubernetes
  module_function

  # Whether a machine that is a node has another minor version than the policy wants.
  def elsewhere?(joined, installed, wanted)
    here = minor(installed)
    joined && !here.nil? && here != minor(wanted)
  end

  def minor(version)
    version.to_s[/\A(?:\d+:)?(\d+\.\d+)/, 1]
  end
end
