"""boto3 on a test's embedded AWS: the somebody who changes things behind our back."""

from __future__ import annotations

from typing import Any

from infra.local.endpoint import session_arguments
from tests.conftest import Infra


class Hand:
    """One region of the embedded AWS of a test, as somebody with a console sees it."""

    def __init__(self, infra: Infra, region: str = "us-west-2") -> None:
        self._url = infra("local", "status", "--json").json["url"]
        self._region = region

    def client(self, service: str) -> Any:
        import boto3

        return boto3.client(service, **session_arguments(self._region, self._url))

    @property
    def ec2(self) -> Any:
        return self.client("ec2")

    @property
    def groups(self) -> Any:
        return self.client("autoscaling")

    def named(self, operation: str, answer: str, name: str) -> dict[str, Any]:
        """The one thing of EC2 whose tag Name is ``name``."""
        found = getattr(self.ec2, operation)(Filters=[{"Name": "tag:Name", "Values": [name]}])[answer]
        assert len(found) == 1, found
        return dict(found[0])
