"""``machines``: a factory of test machines that end with the test. Skips, with the reason, where none can be made."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator

import pytest

from tests.bed import root as roots
from tests.bed.bed import Bed, unavailable
from tests.bed.machine import Machine


@pytest.fixture(scope="session")
def bed_root() -> None:
    """The shared root file system, or a skip."""
    reason = unavailable()
    if reason:
        pytest.skip(reason)
    try:
        roots.debian()
    except (subprocess.SubprocessError, OSError) as error:
        pytest.skip(
            f"test machines need a Debian root, which could not be built: {error} {getattr(error, 'stderr', '')}"
        )


@pytest.fixture
def bed(bed_root: None) -> Iterator[Bed]:
    """A bed of the test's own."""
    with Bed() as made:
        yield made


@pytest.fixture
def machines(bed: Bed) -> Callable[..., list[Machine]]:
    """``machines(2)``, ``machines(50, "plain")``: that many machines that answer ssh."""
    return bed.start
