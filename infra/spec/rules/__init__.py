"""Rules on how the values of ``cluster.yaml`` fit each other."""

from __future__ import annotations

from infra.errors import Problem
from infra.spec.load import Loaded


def check(loaded: Loaded) -> list[Problem]:
    """Every rule's problems, in the order of the file."""
    return []
