# frozen_string_literal: true

module Infra
  # Names of the driver's packages in NVIDIA's apt repositories, for machines that compute and have no display. Plain Ruby.
  #
  # Ubuntu's names end in the branch up to 580 and do not from 590 on; Debian's never did. Fabric manager has had both
  # forms on both. Where two names may be right, both are given, and the one that the repository has is taken.
  module DriverPackages
    UNSUFFIXED_SINCE = 590

    module_function

    # [names, optional, unwanted] of a branch ('580' or '580.95.05').
    def of(platform, branch, flavour, fabric_manager: false)
      number = branch.to_i
      names, optional, unwanted = platform == 'ubuntu' ? ubuntu(number, flavour) : debian(flavour)
      fabric = [["nvidia-fabricmanager-#{number}", 'nvidia-fabricmanager'], ["libnvidia-nscq-#{number}", 'libnvidia-nscq']]
      return [names, optional, unwanted + fabric.flatten] unless fabric_manager

      [names + fabric.take(1), optional + fabric.drop(1), unwanted]
    end

    def ubuntu(number, flavour)
      both = lambda do |stem, tail = ''|
        forms = ["#{stem}-#{number}#{tail}", "#{stem}#{tail}"]
        number >= UNSUFFIXED_SINCE ? forms.reverse : forms
      end
      kernel = { 'open' => both.call('nvidia-dkms', '-open'), 'proprietary' => both.call('nvidia-dkms') }
      source = { 'open' => both.call('nvidia-kernel-source', '-open'), 'proprietary' => both.call('nvidia-kernel-source') }
      [
        [
          kernel.fetch(flavour), both.call('nvidia-kernel-common'), both.call('libnvidia-compute'),
          both.call('libnvidia-cfg1'), both.call('nvidia-utils') + ['nvidia-smi'],
          both.call('nvidia-compute-utils') + ['nvidia-persistenced']
        ],
        [both.call('libnvidia-decode'), both.call('libnvidia-encode')],
        kernel.fetch(other(flavour)) + source.fetch(other(flavour))
      ]
    end

    def debian(flavour)
      kernel = { 'open' => 'nvidia-kernel-open-dkms', 'proprietary' => 'nvidia-kernel-dkms' }
      [
        [kernel.fetch(flavour), 'libcuda1', 'libnvidia-ml1', 'nvidia-smi', 'nvidia-persistenced'],
        %w[nvidia-driver-cuda firmware-nvidia-gsp libnvcuvid1 libnvidia-encode1],
        [kernel.fetch(other(flavour))]
      ]
    end

    def other(flavour)
      flavour == 'open' ? 'proprietary' : 'open'
    end
  end
end
