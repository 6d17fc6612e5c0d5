"""What carries the cluster's tag in AWS and is in no state: made by hand, or by an apply that died too early."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from infra.cloud.aws import Session
from infra.cloud.mending.adopt import ADDRESS, CLUSTER, Found
from infra.cloud.mending.known import Known
from infra.cloud.project.terms import address_of_tag
from infra.plan.model import LINKS
from infra.plan.words import kind as kind_name

GROUP_TAG = "aws:autoscaling:groupName"


@dataclass(frozen=True, slots=True)
class Stray:
    """``kind`` in words. ``made_as`` is the Terraform address that its tag names, or ""."""

    id: str
    kind: str
    name: str = ""
    made_as: str = ""

    def data(self) -> dict[str, str]:
        return {"id": self.id, "kind": self.kind, "name": self.name, "made_as": self.made_as}


def find(
    session: Session, region: str, cluster: str, known: Known, ends: Sequence[str] = ()
) -> tuple[list[Stray], list[str]]:
    """What is tagged with the cluster's name and unknown to the state, by kind and id; and where we may not look.

    Machines of a group of the state carry the cluster's name and no address: they are the group's. Buckets cannot be
    looked for by tag. Between the regions, ``ends`` are those that are looked into.
    """
    from infra.cloud.mending import between
    from infra.cloud.mending.find import Search, inventory

    said = between.inventory(session, ends, cluster) if region == LINKS else inventory(Search(session, region, cluster))
    groups = {str(thing.values.get("name")) for thing in known.of("aws_autoscaling_group")}
    ours = {(thing.type, thing.id) for thing in known.things}
    found = [
        Stray(item.id, kind_name(item.type), item.tags.get("Name", ""), address_of_tag(item.tags.get(ADDRESS, "")))
        for item in said.found
        if item.tags.get(CLUSTER) == cluster and item.key not in ours and _alone(item, groups)
    ]
    return sorted(found, key=lambda stray: (stray.kind, stray.id)), list(said.gaps)


def _alone(item: Found, groups: set[str]) -> bool:
    if ADDRESS in item.tags:
        return True
    return item.type == "aws_instance" and item.tags.get(GROUP_TAG, "") not in groups
