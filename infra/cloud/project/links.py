"""The project between the regions: a peering of the VPCs of each two regions that have machines of one Kubernetes
cluster, and the routes to it. Pure; the same Cluster and ends give the same text.

A region's own project cannot hold them: the ids of both sides must be known, and a region is applied beside the others.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from itertools import combinations
from typing import Any

from infra.cloud.project.machines import has_control_plane, region_pools
from infra.cloud.project.provider import ProviderLine
from infra.cloud.project.settings import provider_block, terraform_block
from infra.cloud.project.terms import identifier, terms
from infra.plan.model import LINKS
from infra.spec.addresses import plan_addresses
from infra.spec.models import Cluster

VPC = "vpc"
PREFIX = "link_"

Ends = Mapping[str, Mapping[str, str]]
"""Region -> what of it is joined: the id of its VPC under ``vpc``, those of its route tables under their names. One
without any lends its provider alone, by which what was there is removed."""

_VPC = "module.network.aws_vpc.this"
_TABLE = "module.network.aws_route_table."


def members(cluster: Cluster) -> list[str]:
    """The regions with machines of the one Kubernetes cluster: with a pool that may run there, or the control plane."""
    if cluster.kubernetes is None or cluster.aws is None:
        return []
    regions = cluster.aws.regions
    return [name for name in regions if region_pools(cluster, name) or has_control_plane(cluster, name)]


def linked(cluster: Cluster) -> list[str]:
    """The regions whose VPCs are joined, each with each: those of ours. Fewer than two need no way."""
    ours = [region for region in members(cluster) if region not in cluster.network.existing]
    return ours if len(ours) > 1 else []


def foreign(cluster: Cluster) -> list[str]:
    """The regions with a VPC of the lab (``network.existing``), to which the way is the lab's own matter."""
    found = members(cluster)
    return [region for region in found if region in cluster.network.existing] if len(found) > 1 else []


def end(address: str) -> str:
    """What a resource of a region's project is to the links: ``vpc``, the name of a route table, or "" for nothing."""
    if address == _VPC:
        return VPC
    name, mark, key = address.removeprefix(_TABLE).partition('["')
    return (key.removesuffix('"]') if mark else name) if address.startswith(_TABLE) else ""


def stand_in(region: str, name: str) -> str:
    """The id of something that is not there yet; the same for the same thing, and none that AWS gives."""
    digest = hashlib.sha256(f"{region}/{name}".encode()).hexdigest()
    return ("vpc-" if name == VPC else "rtb-") + "0" * 5 + digest[:12]


def names(ends: Ends) -> dict[str, str]:
    """Id -> what it is, in words."""
    return {
        ident: f"the VPC of {region}" if name == VPC else f"the route table {name} of {region}"
        for region, things in ends.items()
        for name, ident in things.items()
    }


def call(one: str, other: str) -> str:
    """The name of the module call that joins two regions, whatever their order in the file."""
    return PREFIX + "__".join(identifier(region) for region in sorted((one, other)))


def sides(address: str) -> tuple[str, ...]:
    """The two regions that an address of this project joins; () for any other."""
    name = address.removeprefix("module.").partition(".")[0]
    if not address.startswith(f"module.{PREFIX}"):
        return ()
    return tuple(part.replace("_", "-") for part in name.removeprefix(PREFIX).split("__"))


def build(cluster: Cluster, ends: Ends, line: ProviderLine) -> dict[str, Any]:
    """The content of ``main.tf.json``: each two regions of which both VPCs are known are joined."""
    whole = [region for region in sorted(ends) if VPC in ends[region]]
    root: dict[str, Any] = {
        "terraform": terraform_block(cluster, LINKS, line),
        "provider": {
            "aws": [{"alias": identifier(region), **provider_block(cluster, region, line)} for region in sorted(ends)]
        },
        "module": {call(near, far): _link(cluster, ends, near, far) for near, far in combinations(whole, 2)},
    }
    written: dict[str, Any] = terms({key: value for key, value in root.items() if value})
    return written


def _link(cluster: Cluster, ends: Ends, near: str, far: str) -> dict[str, Any]:
    networks = plan_addresses(cluster)

    def side(region: str) -> dict[str, Any]:
        tables = {name: ident for name, ident in sorted(ends[region].items()) if name != VPC}
        return {"region": region, "vpc": ends[region][VPC], "cidr": networks[region].vpc, "tables": tables}

    return {
        "source": "./modules/link",
        "providers": {"aws.near": f"aws.{identifier(near)}", "aws.far": f"aws.{identifier(far)}"},
        "cluster": cluster.cluster,
        "address": f"module.{call(near, far)}",
        "near": side(near),
        "far": side(far),
    }
