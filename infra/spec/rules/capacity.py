"""How many machines, and how they are bought."""

from __future__ import annotations

from collections.abc import Iterator

from infra.errors import Problem
from infra.spec.models import Pool
from infra.spec.rules.base import Context, Loc, Rule

# Spot of these families is rarely to be had, and is taken back within minutes when it is.
SCARCE = ("p4d", "p4de", "p5", "p5e", "p5en", "p6-b200", "p6-b300", "p6e-gb200", "trn1n", "trn2")


def pools(ctx: Context) -> Iterator[tuple[str, Pool]]:
    yield from ctx.cluster.pools.items()


class SizeOrder(Rule):
    name = "size-order"
    level = "error"
    summary = "min ≤ desired ≤ max."
    passes = "pools: {cpu: {size: {min: 0, desired: 2, max: 4}}}"
    fails = "pools: {cpu: {size: {min: 0, desired: 5, max: 4}}}"

    def check(self, ctx: Context) -> Iterator[Problem]:
        for name, pool in pools(ctx):
            size, loc = pool.size, ("pools", name, "size")
            if size.min > size.max:
                what, fix = f"min {size.min} is more than max {size.max}", f"write: max: {size.min}"
                yield self.found(ctx, loc, f"the pool {name}: {what}", "", fix)
            elif size.desired is not None and not size.min <= size.desired <= size.max:
                nearest = min(max(size.desired, size.min), size.max)
                yield self.found(
                    ctx,
                    (*loc, "desired"),
                    f"the pool {name}: desired {size.desired} is not from {size.min} to {size.max}",
                    "the group would refuse it",
                    f"write: desired: {nearest}",
                )


class SizeZero(Rule):
    name = "size-zero"
    level = "warning"
    summary = "A pool may have at least one machine."
    passes = "pools: {cpu: {size: {min: 0, max: 1}}}"
    fails = "pools: {cpu: {size: {min: 0, max: 0}}}"

    def check(self, ctx: Context) -> Iterator[Problem]:
        for name, pool in pools(ctx):
            if pool.size.max == 0:
                yield self.found(
                    ctx, ("pools", name, "size"), f"the pool {name} can never have a machine", "max is 0", "raise max"
                )


class DesiredAutoscaled(Rule):
    name = "desired-autoscaled"
    level = "warning"
    summary = "A pool that the autoscaler sizes has no desired of its own."
    passes = "pools: {cpu: {size: {desired: 2}}}"
    fails = "pools: {cpu: {size: {desired: 2}}}\nkubernetes: {autoscale: {pools: [cpu]}}"

    def check(self, ctx: Context) -> Iterator[Problem]:
        for name, pool in pools(ctx):
            if pool.size.desired is not None and ctx.cluster.autoscaled(name):
                yield self.found(
                    ctx,
                    ("pools", name, "size", "desired"),
                    f"the pool {name}: desired {pool.size.desired} has no effect",
                    "the autoscaler sets how many there are; the pool begins with min",
                    f"remove it, or write: min: {pool.size.desired}",
                )


class SpotReservation(Rule):
    name = "spot-reservation"
    level = "error"
    summary = "Spot and a reservation do not go together."
    passes = "pools: {cpu: {capacity: {reservation: cr-0123456789abcdef0}}}"
    fails = "pools: {cpu: {capacity: {spot: true, reservation: cr-0123456789abcdef0}}}"

    def check(self, ctx: Context) -> Iterator[Problem]:
        for name, pool in pools(ctx):
            kind, reservation = pool.capacity.kind, pool.capacity.reservation
            if reservation and kind in ("spot", "on-demand"):
                yield self.found(
                    ctx,
                    ("pools", name, "capacity"),
                    f"the pool {name} has the capacity {kind} and the reservation {reservation}",
                    "a reservation is on-demand capacity that is paid for in any case",
                    f"write: capacity: {{reservation: {reservation}}}; or capacity: {kind}",
                )


class ReservationTypes(Rule):
    name = "reservation-types"
    level = "error"
    summary = "A pool on a reservation or a capacity block has one instance type."
    passes = "pools: {cpu: {capacity: {reservation: cr-0123456789abcdef0}}}"
    fails = "pools: {cpu: {instance_types: [m5.large, m5.xlarge], capacity: {reservation: cr-0123456789abcdef0}}}"

    def check(self, ctx: Context) -> Iterator[Problem]:
        for name, pool in pools(ctx):
            if pool.capacity.reservation and len(pool.instance_types) > 1:
                yield self.found(
                    ctx,
                    ("pools", name, "instance_types"),
                    f"the pool {name} has a reservation and {len(pool.instance_types)} instance types",
                    "a reservation is of one type",
                    f"write: instance_types: [{pool.instance_types[0]}]",
                )


class ReservationRegions(Rule):
    name = "reservation-regions"
    level = "error"
    summary = "A reservation is used in one region, and by one pool."
    passes = "pools: {cpu: {capacity: {reservation: cr-0123456789abcdef0}}}"
    fails = (
        "aws: {regions: [us-west-2, us-east-1]}\n"
        "pools: {cpu: {regions: [us-west-2, us-east-1], capacity: {reservation: cr-0123456789abcdef0}}}"
    )

    def check(self, ctx: Context) -> Iterator[Problem]:
        first: dict[str, str] = {}
        for name, pool in pools(ctx):
            reservation = pool.capacity.reservation
            if reservation is None:
                continue
            loc: Loc = ("pools", name, "capacity")
            if len(pool.regions) > 1:
                yield self.found(
                    ctx,
                    loc,
                    f"the pool {name} uses {reservation} in {len(pool.regions)} regions",
                    "a reservation is in one zone of one region",
                    "make a pool for each region, with its own reservation",
                )
            if reservation in first:
                yield self.found(
                    ctx,
                    loc,
                    f"the pools {first[reservation]} and {name} use the same reservation {reservation}",
                    "whichever starts first takes its machines",
                    "give each pool its own",
                )
            first.setdefault(reservation, name)


class BlockSupported(Rule):
    name = "block-supported"
    level = "error"
    summary = "Capacity blocks are used with types that are sold so."
    passes = "pools: {gpu: {instance_types: [p5.48xlarge], capacity: {block: cr-0123456789abcdef0}}}"
    fails = "pools: {gpu: {instance_types: [g4dn.xlarge], capacity: {block: cr-0123456789abcdef0}}}"

    def check(self, ctx: Context) -> Iterator[Problem]:
        yield from _unsold(self, ctx, "block", "capacity-block", "as a capacity block", "a reservation, or on-demand")


class SpotSupported(Rule):
    name = "spot-supported"
    level = "error"
    summary = "Spot is used with types that are sold so."
    passes = "pools: {cpu: {instance_types: [m5.large], capacity: spot}}"
    fails = "pools: {cpu: {instance_types: [hpc7g.16xlarge], capacity: spot}}"

    def check(self, ctx: Context) -> Iterator[Problem]:
        yield from _unsold(self, ctx, "spot", "spot", "as spot", "capacity: on-demand")


def _unsold(rule: Rule, ctx: Context, wanted: str, usage: str, how: str, fix: str) -> Iterator[Problem]:
    for name, pool in pools(ctx):
        for place, type_name in enumerate(pool.instance_types if pool.capacity.kind == wanted else ()):
            kind = ctx.kind(type_name)
            if kind and kind.usage_classes and usage not in kind.usage_classes:
                yield rule.found(
                    ctx,
                    ("pools", name, "instance_types", place),
                    f"{type_name} is not sold {how}",
                    f"it is sold as: {', '.join(kind.usage_classes)}",
                    f"use another type, or {fix}",
                )


class SpotScarce(Rule):
    name = "spot-scarce"
    level = "warning"
    summary = "Spot is not the only way to get machines of the large training types."
    passes = "pools: {gpu: {instance_types: [g4dn.xlarge], capacity: spot}}"
    fails = "pools: {gpu: {instance_types: [p5.48xlarge], capacity: spot}}"

    def check(self, ctx: Context) -> Iterator[Problem]:
        for name, pool in pools(ctx):
            scarce = [item for item in pool.instance_types if item.partition(".")[0] in SCARCE]
            only = len(scarce) == len(pool.instance_types) and not pool.capacity.on_demand_base
            if pool.capacity.kind == "spot" and scarce and only:
                yield self.found(
                    ctx,
                    ("pools", name, "capacity"),
                    f"the pool {name} relies on spot for {', '.join(scarce)}",
                    "spot of these types is rarely there, and is soon taken back",
                    "buy a capacity block ({block: cr-…}) or a reservation, or write on_demand_base",
                )


class OnDemandBase(Rule):
    name = "on-demand-base"
    level = "error"
    summary = "on_demand_base stands with spot, and is not above the pool's max."
    passes = "pools: {cpu: {capacity: {spot: true, on_demand_base: 1}}}"
    fails = "pools: {cpu: {capacity: {kind: on-demand, on_demand_base: 1}}}"

    def check(self, ctx: Context) -> Iterator[Problem]:
        for name, pool in pools(ctx):
            base, loc = pool.capacity.on_demand_base, ("pools", name, "capacity", "on_demand_base")
            if base and pool.capacity.kind != "spot":
                what = f"the pool {name} has on_demand_base with capacity {pool.capacity.kind}"
                yield self.found(ctx, loc, what, "it says how many are not spot", "remove it, or write: spot: true")
            elif base > pool.size.max:
                what = f"the pool {name}: on_demand_base {base} is more than max {pool.size.max}"
                yield self.found(ctx, loc, what, "there would be no spot at all", "write: capacity: on-demand")


RULES = (
    SizeOrder,
    SizeZero,
    DesiredAutoscaled,
    SpotReservation,
    ReservationTypes,
    ReservationRegions,
    BlockSupported,
    SpotSupported,
    SpotScarce,
    OnDemandBase,
)
