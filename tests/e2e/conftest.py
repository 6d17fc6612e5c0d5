"""Fixtures of the tests that need real engines or machines, and the order of their files."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.bed.fixtures import bed, bed_root, machines
from tests.e2e.aws_fixtures import aws, aws_server
from tests.kube.fixtures import kube, kubectl

__all__ = ["aws", "aws_server", "bed", "bed_root", "kube", "kubectl", "machines"]

# The files that take minutes, in seconds on two cores: they begin first, so that in the end none of them is waited for.
# A file that is not named takes USUAL seconds for each of its tests.
SLOW = {
    "test_kill.py": 900,
    "test_destroy.py": 360,
    "test_plan_images.py": 240,
    "test_modules.py": 240,
    "test_node_faults.py": 240,
    "test_smoke.py": 60,
    "test_local_aws.py": 60,
    "test_one_plan.py": 180,
    "test_adopt.py": 180,
    "test_log.py": 150,
    "test_kube_join.py": 140,
    "test_kube_floor.py": 120,
    "test_autoscale_killed.py": 90,
    "test_autoscale_burst.py": 90,
}
USUAL = 6


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Longest file first, its tests in their order; xdist keeps to it with ``--no-loadscope-reorder``."""
    here = Path(__file__).parent
    counts = Counter(item.path for item in items if here in item.path.parents)
    items.sort(key=lambda item: -SLOW.get(item.path.name, USUAL * counts[item.path]) if item.path in counts else 0)
