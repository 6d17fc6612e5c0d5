# frozen_string_literal: true

default['infra']['efa']['version'] = '1.43.2'
