# frozen_string_literal: true

include_recipe 'research::environments'
include_recipe 'research::containers'
