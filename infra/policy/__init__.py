"""What a profile becomes: cookbooks, roles and attributes in one archive whose digest names what a machine is.

Pure: nothing is read but the files that ship in ``chef/`` and those of the lab's own ``chef/`` beside cluster.yaml.
"""

from __future__ import annotations

from infra.policy.model import Layer, Policy
from infra.policy.resolve import of, resolve

__all__ = ["Layer", "Policy", "of", "resolve"]
