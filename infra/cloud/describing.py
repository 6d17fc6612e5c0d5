"""What everybody asks of a region: all pages of a describing call, and instances by id."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from infra.cloud.aws import Session, translated

Item = Mapping[str, Any]
"""A thing as AWS describes it."""
CHUNK = 200  # values in one filter


@dataclass(frozen=True, slots=True)
class Describing:
    """The describing calls of one region. Raises CloudError and its kinds."""

    session: Session
    region: str

    def pages(self, service: str, operation: str, answer: str, **arguments: Any) -> list[Item]:
        with translated(f"{service}:{operation}", self.region, self.session.profile):
            client = self.session.client(service, self.region)
            if client.can_paginate(operation):
                return [item for page in client.get_paginator(operation).paginate(**arguments) for item in page[answer]]
            return list(getattr(client, operation)(**arguments)[answer])

    def instances(self, ids: Sequence[str]) -> dict[str, Item]:
        """By filter, so that one that is gone, or not known yet, is simply not there."""
        found: dict[str, Item] = {}
        for start in range(0, len(ids), CHUNK):
            only = [{"Name": "instance-id", "Values": list(ids[start : start + CHUNK])}]
            for reservation in self.pages("ec2", "describe_instances", "Reservations", Filters=only):
                found |= {str(item["InstanceId"]): item for item in reservation["Instances"]}
        return found
