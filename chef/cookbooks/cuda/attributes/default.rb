# frozen_string_literal: true

default['infra']['cuda']['versions'] = []
