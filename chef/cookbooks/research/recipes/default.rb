# frozen_string_literal: true

include_recipe 'base::tools'
include_recipe 'research::environments'
include_recipe 'research::containers'
