"""The zone that a pool names: capacity reservations and blocks lie in one."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_network

from infra.errors import Problem
from infra.spec.models import Pool
from infra.spec.rules.base import Context, Rule
from infra.spec.rules.network import RESERVED_IN_SUBNET, addresses

RESERVED = "size: {max: 4}, capacity: {reservation: cr-0123456789abcdef0}"


def region_of(zone: str) -> str:
    return zone[:-1]


def used(ctx: Context, region: str) -> tuple[str, ...]:
    """The zones in which a region's network has subnets; empty when that is not known."""
    network = ctx.cluster.network
    return () if region in network.existing else ctx.catalog.zones(region)[: network.zones]


def zoned(ctx: Context) -> Iterator[tuple[str, Pool, str, str]]:
    """Every pool with a zone of its one region: its name, itself, the zone and the region."""
    for name, pool in ctx.cluster.pools.items():
        if pool.zone and ctx.cluster.pool_regions(pool) == [region_of(pool.zone)]:
            yield name, pool, pool.zone, region_of(pool.zone)


class ZoneRegion(Rule):
    name = "zone-region"
    level = "error"
    summary = "A pool with a zone is in one region: the zone's."
    passes = "pools: {cpu: {zone: us-west-2b}}"
    fails = "pools: {cpu: {zone: us-east-2b}}"

    def check(self, ctx: Context) -> Iterator[Problem]:
        for name, pool in ctx.cluster.pools.items():
            regions = ctx.cluster.pool_regions(pool)
            if not pool.zone or not regions or regions == [region_of(pool.zone)]:
                continue
            what = f"the pool {name} has the zone {pool.zone}, and is in {', '.join(regions)}"
            if len(regions) > 1:
                fix = "make a pool for each region, with its own zone"
            else:
                fix = f"write: zone: {regions[0]}{pool.zone[-1]}; or regions: [{region_of(pool.zone)}]"
            yield self.found(ctx, ("pools", name, "zone"), what, "a zone is a part of one region", fix)


class ZoneKnown(Rule):
    name = "zone-known"
    level = "warning"
    summary = "A pool's zone is one that the data on AWS knows."
    passes = "pools: {cpu: {zone: us-west-2b}}"
    fails = "pools: {cpu: {zone: us-west-2x}}"

    def check(self, ctx: Context) -> Iterator[Problem]:
        for name, _, zone, region in zoned(ctx):
            zones = ctx.catalog.zones(region)
            if zones and zone not in zones:
                yield self.found(
                    ctx,
                    ("pools", name, "zone"),
                    f"the pool {name} is in {zone}, which is not known",
                    f"the zones of {region} are {', '.join(zones)}, in the data of {ctx.catalog.date}; accounts differ",
                    "check it: aws ec2 describe-availability-zones",
                )


class ZoneUsed(Rule):
    name = "zone-used"
    level = "error"
    summary = "A pool's zone is one that the cluster's network uses: the first network.zones of the region."
    passes = "network: {zones: 3}\npools: {cpu: {zone: us-west-2c}}"
    fails = "network: {zones: 2}\npools: {cpu: {zone: us-west-2c}}"

    def check(self, ctx: Context) -> Iterator[Problem]:
        for name, _, zone, region in zoned(ctx):
            zones, here = ctx.catalog.zones(region), used(ctx, region)
            # A zone that is not in the data is another rule's: this account may have it in another's place.
            if here and zone in zones and zone not in here:
                yield self.found(
                    ctx,
                    ("pools", name, "zone"),
                    f"the pool {name} is in {zone}, where the cluster has no subnet",
                    f"network.zones is {ctx.cluster.network.zones}: {', '.join(here)}",
                    f"write: network: {{zones: {zones.index(zone) + 1}}}",
                )


class ZoneRoom(Rule):
    name = "zone-room"
    level = "error"
    summary = "The one subnet of a pool that is bound to a zone has an address for every machine of it."
    passes = "network: {cidr: 10.40.0.0/22}\npools: {cpu: {zone: us-west-2a, size: {max: 100}}}"
    fails = "network: {cidr: 10.40.0.0/22}\npools: {cpu: {zone: us-west-2a, size: {max: 300}}}"

    def check(self, ctx: Context) -> Iterator[Problem]:
        groups = {group.loc[1]: group for group in ctx.groups if group.loc[0] == "pools"}
        wanted: dict[tuple[str, bool], int] = {}
        for name, _, zone, region in zoned(ctx):
            group, here = groups[name], used(ctx, region)
            nets = ctx.addresses.get(region)
            if zone not in here or nets is None:
                continue  # another rule's
            net = (nets.public if group.public else nets.private)[here.index(zone)]
            room = ip_network(net).num_addresses - RESERVED_IN_SUBNET
            wanted[zone, group.public] = wanted.get((zone, group.public), 0) + addresses(ctx, group)
            if wanted[zone, group.public] > room:
                yield self.found(
                    ctx,
                    ("pools", name, "size"),
                    f"the subnet of {zone} has {room} addresses, and the pools in that zone need up to "
                    f"{wanted[zone, group.public]}",
                    f"it is {net}: a pool with a zone uses that zone's subnet alone",
                    "write a larger network.cidr (at most a /16 for each region), fewer zones, or a smaller pool",
                )


class ZoneOffered(Rule):
    name = "zone-offered"
    level = "warning"
    summary = "A pool's zone offers its instance types."
    passes = "pools: {gpu: {instance_types: [g4dn.xlarge], zone: us-west-2b}}"
    fails = "network: {zones: 4}\npools: {gpu: {instance_types: [p5e.48xlarge], zone: us-west-2a}}"

    def check(self, ctx: Context) -> Iterator[Problem]:
        for name, pool, zone, region in zoned(ctx):
            for place, kind in enumerate(pool.instance_types if zone in ctx.catalog.zones(region) else ()):
                offers = ctx.catalog.zones_offering(kind, region)
                if offers and zone not in offers:
                    yield self.found(
                        ctx,
                        ("pools", name, "instance_types", place),
                        f"the pool {name} is in {zone}, and {kind} is offered in {', '.join(offers)}",
                        f"so says the data of {ctx.catalog.date}; the letters of zones differ between accounts",
                        f"check it (infra validate --account), or write: zone: {offers[0]}",
                    )


class ReservationZone(Rule):
    name = "reservation-zone"
    level = "warning"
    summary = "A pool on a reservation or a capacity block names its zone, unless the network has only one."
    passes = f"pools: {{cpu: {{{RESERVED}, zone: us-west-2b}}}}"
    fails = f"pools: {{cpu: {{{RESERVED}}}}}"

    def check(self, ctx: Context) -> Iterator[Problem]:
        for name, pool in ctx.cluster.pools.items():
            regions = ctx.cluster.pool_regions(pool)
            if pool.capacity.kind not in ("reservation", "block") or pool.zone or len(regions) != 1:
                continue
            if _zones(ctx, pool, regions[0]) < 2:
                continue
            zones = used(ctx, regions[0]) or (f"{regions[0]}a", f"{regions[0]}b")
            where = (
                "the first zone that offers the type" if pool.placement == "cluster" else "every zone of the network"
            )
            yield self.found(
                ctx,
                ("pools", name, "capacity"),
                f"the pool {name} uses {pool.capacity.reservation}, and does not say in which zone",
                f"a {pool.capacity.kind} lies in one zone, and no machine starts on it elsewhere; "
                f"without zone the pool is in {where}",
                f"write that of `aws ec2 describe-capacity-reservations`: zone: {' or '.join(zones)}",
            )


def _zones(ctx: Context, pool: Pool, region: str) -> int:
    """In how many zones the pool would be; of existing subnets only those named by id are known."""
    existing = ctx.cluster.network.existing.get(region)
    if existing is None:
        return ctx.cluster.network.zones
    subnets = existing.public if pool.subnets == "public" else existing.private
    return len(subnets.ids) if subnets else 0


RULES = (ZoneRegion, ZoneKnown, ZoneUsed, ZoneRoom, ZoneOffered, ReservationZone)
