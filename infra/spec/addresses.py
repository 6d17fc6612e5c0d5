"""How ``network.cidr`` is carved: an equal part per region, then private and public subnets per zone.

A part's place depends only on the region's place in ``aws.regions``, so that adding a region at the end moves nothing.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from infra.spec.models import Cluster

MAX_REGION_PREFIX = 16  # a VPC is at most a /16
MIN_REGION_PREFIX = 24


@dataclass(frozen=True, slots=True)
class RegionAddresses:
    """The networks of one region, as CIDR texts; ``private[i]`` and ``public[i]`` lie in the i-th zone."""

    vpc: str
    private: tuple[str, ...]
    public: tuple[str, ...]


def region_blocks(cidr: str, count: int) -> list[str]:
    """The VPC network of each of ``count`` regions. Raises ValueError when ``cidr`` is too small to share.

    The whole is cut in /16s when there is room (a VPC is at most that), otherwise in the next power of two parts.
    """
    whole = ipaddress.ip_network(cidr)
    prefix = MAX_REGION_PREFIX
    if whole.prefixlen > MAX_REGION_PREFIX - max(count - 1, 0).bit_length():
        prefix = whole.prefixlen + max(count - 1, 0).bit_length()
    if prefix > MIN_REGION_PREFIX:
        raise ValueError(
            f"{cidr} is too small for {count} region{'s' * (count > 1)}: each needs at least a /{MIN_REGION_PREFIX}"
        )
    parts = whole.subnets(new_prefix=prefix)
    return [str(next(parts)) for _ in range(count)]


def carve(vpc: str, zones: int) -> RegionAddresses:
    """Private subnets in the lower half (large), public ones in the upper half (small): room for 6 zones each.

    Up to four zones the parts are of one size, so that a zone more does not move the subnets that are there.
    """
    net = ipaddress.ip_network(vpc)
    step = 2 if zones <= 4 else 3
    low, high = net.subnets(prefixlen_diff=1)
    private = list(low.subnets(prefixlen_diff=step))[:zones]
    public = list(high.subnets(prefixlen_diff=3))[:zones]
    return RegionAddresses(str(net), tuple(map(str, private)), tuple(map(str, public)))


def plan_addresses(cluster: Cluster) -> dict[str, RegionAddresses]:
    """The addresses of every region that gets a VPC from us."""
    if cluster.aws is None:
        return {}
    regions = cluster.aws.regions
    blocks = region_blocks(cluster.network.cidr, len(regions))
    return {region: carve(block, cluster.network.zones) for region, block in zip(regions, blocks, strict=True)}
