"""An empty API server for a test, and the real kubectl on it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.kubectl import Kubectl
from tests.kube import KubeServer


@pytest.fixture
def kube() -> Iterator[KubeServer]:
    with KubeServer() as server:
        yield server


@pytest.fixture
def kubectl(kube: KubeServer, tmp_path: Path) -> Kubectl:
    return Kubectl.of(kube, tmp_path)
