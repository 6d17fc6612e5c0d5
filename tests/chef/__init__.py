"""The cookbooks' tests: their libraries, their resource collections, and the packages that a converge is tried with.

- ``recorder/``: Chef's words in plain Ruby, so that a recipe's resources can be listed without Chef.
- ``libraries/``: minitest over ``chef/cookbooks/*/libraries``.
- ``dummies``: packages with the real names, versions and dependencies of NVIDIA's, Docker's and Kubernetes', and
  nothing in them.
- ``client``: a real cinc-client or chef-client, where there is one; ``node``: a test machine that converges with it.
"""
