# frozen_string_literal: true

# Filled in by the commits that follow.
