# frozen_string_literal: true

default['infra']['repositories']['kubernetes'] = {}
