"""Fixtures of the tests that need real engines or machines."""

from __future__ import annotations

from tests.bed.fixtures import bed, bed_root, machines

__all__ = ["bed", "bed_root", "machines"]
