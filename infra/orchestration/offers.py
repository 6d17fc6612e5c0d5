"""What could be bought, with its price, without asking AWS: from cluster.yaml's pools or from a list of types."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from infra.autoscale.capacity import allocatable
from infra.autoscale.snapshot import Group, Market, Offer, Place, Taint
from infra.cloud.pricing import prices
from infra.errors import Problem, SpecError, UsageError
from infra.spec import catalog
from infra.spec.models import Cluster, Pool

GPU = "nvidia.com/gpu"
REGION = "us-east-1"
"""Of types that are given without a region; the shipped price list is fullest there."""
MANY = 10_000


def of_types(names: Sequence[str], region: str = REGION) -> tuple[Group, ...]:
    """A group for each type, on demand, without limit; those with GPUs have the taint that is usual there.

    Raises UsageError with everything that is unknown: a type, a region, a price.
    """
    zones = catalog.zones(region)
    if not zones:
        raise UsageError(f"the region {region} is not known", where="--region", fix="such as us-west-2")
    groups, wrong = [], []
    for name in dict.fromkeys(names):
        room, why = allocatable(name)
        price = prices.instance_cost(name, region).known
        if room is None or not price:
            why = why if room is None else f"no price is known of {name} in {region}"
            wrong.append(Problem(why, where="--types", fix="name types such as g5.12xlarge", rule="UsageError"))
            continue
        taints = (Taint(GPU, "", "NoSchedule"),) if dict(room).get(GPU) else ()
        offer = Offer(Place(region, zones[0], name, "on-demand"), price, room)
        groups.append(Group(name, (offer,), maximum=MANY, taints=taints))
    if wrong:
        raise UsageError(wrong[0].what, problems=wrong)
    return tuple(groups)


def of_cluster(cluster: Cluster, where: str) -> tuple[tuple[Group, ...], tuple[str, ...]]:
    """A group for each autoscaled pool and region, and warnings for what nobody knows. Raises SpecError without one."""
    names = [name for name in sorted(cluster.pools) if cluster.autoscaled(name)]
    if not names:
        raise SpecError(
            "no pool is autoscaled",
            where=where,
            why="kubernetes.autoscale.pools is empty, or not there",
            fix="name the pools there that may grow, or give --types",
        )
    groups, warnings = [], []
    for name in names:
        pool = cluster.pools[name]
        for region in cluster.pool_regions(pool):
            group, more = _of_pool(name, pool, region)
            groups.append(group)
            warnings += more
    return tuple(groups), tuple(dict.fromkeys(warnings))


def price(region: str, kind: str, market: Market) -> float:
    """$/h of one machine, 0 when nobody knows. Spot has no list price: on demand is its upper bound."""
    return prices.instance_cost(kind, region, spot=market == "spot").known


def _of_pool(name: str, pool: Pool, region: str) -> tuple[Group, list[str]]:
    """One group whose offers are every type in every zone: they share the pool's maximum."""
    market: Market = "spot" if pool.capacity.kind == "spot" else "on-demand"
    offers, warnings = [], []
    for kind in pool.instance_types:
        room, why = allocatable(kind, disk_gib=pool.disk)
        if room is None:
            warnings.append(why)
            continue
        cost = price(region, kind, market)
        if not cost:
            warnings.append(f"no price is known of {kind} in {region}: it is reckoned as free")
        offers += [Offer(Place(region, zone, kind, market), cost, room) for zone in _zones(pool, kind, region)]
    taints = tuple(Taint(one.key, one.value, one.effect) for one in pool.taints)
    group = Group(f"{region}/{name}", tuple(offers), pool.size.min, pool.size.max, labels=pool.labels, taints=taints)
    return group, warnings


def _zones(pool: Pool, kind: str, region: str) -> Iterable[str]:
    if pool.zone:
        return (pool.zone,)
    known = catalog.shipped()
    return known.zones_offering(kind, region) or known.zones(region) or (f"{region}a",)
