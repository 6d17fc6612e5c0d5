"""One embedded AWS for a file of tests; each test gets it empty."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from infra.local import inventory
from tests.e2e.local_aws import Aws, started


@pytest.fixture(scope="module")
def aws_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aws]:
    with started(tmp_path_factory.mktemp("aws")) as found:
        yield found


@pytest.fixture
def aws(aws_server: Aws) -> Aws:
    inventory.reset()
    return aws_server
