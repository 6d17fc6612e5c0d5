"""Random clusters for the planner's properties, and a judge that knows nothing of the planner."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace

from hypothesis import strategies as st

from infra.autoscale.match import all_hold, refusal
from infra.autoscale.plan import Plan
from infra.autoscale.snapshot import (
    HOSTNAME,
    ZONE,
    Expression,
    Gang,
    Group,
    Needs,
    Node,
    Offer,
    Place,
    Pod,
    Snapshot,
    Spread,
    Taint,
    Toleration,
    amounts,
)

GPU = "nvidia.com/gpu"
ZONES = ("us-west-2a", "us-west-2b")
GIB = 2**30
GPU_TAINT = Taint(GPU, "", "NoSchedule")
SIZES = {
    "small": (4000, 16, 0, 0.2),
    "large": (16000, 64, 0, 0.7),
    "g1": (8000, 32, 1, 1.0),
    "g8": (64000, 256, 8, 6.5),
}


def room(cpu: int, gib: int, gpus: int, pods: int = 20) -> tuple[tuple[str, int], ...]:
    return amounts({"cpu": cpu, "memory": gib * GIB, GPU: gpus, "pods": pods})


def asks(cpu: int, gib: int, gpus: int = 0) -> tuple[tuple[str, int], ...]:
    return room(cpu, gib, gpus, pods=1)


def offer(
    kind: str = "small", zone: str = ZONES[0], price: float | None = None, flying: int = 0, market: str = "on-demand"
) -> Offer:
    cpu, gib, gpus, usual = SIZES[kind]
    return Offer(Place(zone[:-1], zone, kind, market), usual if price is None else price, room(cpu, gib, gpus), flying)


def group(name: str, *offers: Offer, maximum: int = 10, desired: int = 0, gpu_taint: bool = False) -> Group:
    flying = sum(one.in_flight for one in offers)
    taints = (GPU_TAINT,) if gpu_taint else ()
    return Group(name, offers, maximum=maximum, desired=max(desired, flying), labels={"pool": name}, taints=taints)


def pod(name: str, cpu: int = 1000, gib: int = 1, gpus: int = 0, **needs: object) -> Pod:
    return Pod("default", name, Needs(asks(cpu, gib, gpus), **needs), labels={"app": name.split("-")[0]})  # type: ignore[arg-type]


def pods(name: str, count: int, cpu: int = 1000, gib: int = 1, gpus: int = 0, **needs: object) -> tuple[Pod, ...]:
    return tuple(pod(f"{name}-{place}", cpu, gib, gpus, **needs) for place in range(count))


def node(name: str, kind: str = "small", zone: str = ZONES[0], **more: object) -> Node:
    cpu, gib, gpus, _ = SIZES[kind]
    labels = {ZONE: zone, "topology.kubernetes.io/region": zone[:-1], HOSTNAME: name, "metadata.name": name}
    return replace(Node(name, room(cpu, gib, gpus), labels), **more)  # type: ignore[arg-type]


TOLERATE_GPU = (Toleration(GPU, "Exists", "", ""),)


@st.composite
def needs(draw: st.DrawFn, app: str) -> Needs:
    selectors = st.sampled_from([(), (), ((ZONE, ZONES[0]),), (("pool", "p0"),)])
    term = (Expression(ZONE, draw(st.sampled_from(["In", "NotIn"])), (ZONES[1],)),)
    own = (Expression("", "In", ("default",)), Expression("app", "In", (app,)))
    spread = st.sampled_from([(), (), (Spread(ZONE, 1, own, 1),), (Spread(HOSTNAME, 2, own, 1),)])
    return Needs(
        asks(
            draw(st.sampled_from([500, 1000, 3000, 8000])),
            draw(st.integers(1, 30)),
            draw(st.sampled_from([0, 0, 1, 8])),
        ),
        selector=draw(selectors),
        affinity=draw(st.sampled_from([None, None, (term,)])),
        tolerations=draw(st.sampled_from([(), TOLERATE_GPU, TOLERATE_GPU])),
        priority=draw(st.sampled_from([0, 0, 100])),
        spreads=draw(spread),
        apart=draw(st.sampled_from([(), (), (), (own,)])),
    )


@st.composite
def snapshots(draw: st.DrawFn) -> Snapshot:
    groups = []
    for place in range(draw(st.integers(0, 4))):
        kinds = draw(st.lists(st.sampled_from(sorted(SIZES)), min_size=1, max_size=2, unique=True))
        offers = [
            offer(
                kind, draw(st.sampled_from(ZONES)), draw(st.sampled_from([0.1, 0.5, 1.0, 3.0])), draw(st.integers(0, 1))
            )
            for kind in kinds
        ]
        desired = sum(one.in_flight for one in offers)
        one = group(f"p{place}", *offers, maximum=desired + draw(st.integers(0, 6)), gpu_taint=draw(st.booleans()))
        groups.append(replace(one, pool=draw(st.sampled_from(["", "", "shared"]))))
    shared = max((one.maximum for one in groups if one.pool), default=0)
    groups = [replace(one, maximum=shared) if one.pool else one for one in groups]
    nodes = [
        node(f"n{place}", draw(st.sampled_from(sorted(SIZES))), draw(st.sampled_from(ZONES)))
        for place in range(draw(st.integers(0, 3)))
    ]
    found: list[Pod] = []
    for place in range(draw(st.integers(0, 5))):
        app = f"app{place % 3}"
        what = draw(needs(app))
        count = draw(st.integers(1, 9))
        if draw(st.integers(0, 3)) == 0:
            what = what._replace(
                gang=Gang(f"default/gang{place}", draw(st.sampled_from([0, count])), "zone"), spreads=()
            )
        for number in range(count):
            found.append(Pod("default", f"{app}-{place}-{number}", what, labels={"app": app}))
    if nodes:
        for number in range(draw(st.integers(0, 3))):
            found.append(replace(pod(f"app{number}-old", 500), node=draw(st.sampled_from(nodes)).name))
    starved = frozenset(one.place for one in (g.offers[0] for g in groups) if draw(st.integers(0, 5)) == 0)
    return Snapshot(tuple(found), tuple(nodes), tuple(groups), starved=starved)


@st.composite
def shops(draw: st.DrawFn, gangs: bool = False) -> Snapshot:
    """Nothing is there, all is to be bought, and mixes of pods fill machines badly or well."""
    kinds = draw(st.lists(st.sampled_from(sorted(SIZES)), min_size=1, max_size=4))
    groups = tuple(
        group(f"p{place}", offer(kind, draw(st.sampled_from(ZONES)), draw(st.floats(0.05, 4))), maximum=60)
        for place, kind in enumerate(kinds)
    )
    some: list[Pod] = []
    for place in range(draw(st.integers(1, 5))):
        cpu, gib, count = draw(st.integers(1, 40)) * 100, draw(st.integers(1, 15)), draw(st.integers(1, 12))
        gpus = draw(st.sampled_from([0, 0, 0, 1])) if {"g1", "g8"} & set(kinds) else 0
        gang = Gang(f"default/g{place}", count, "zone") if gangs and draw(st.booleans()) else None
        some += pods(f"w{place}", count, cpu, gib, gpus, gang=gang)
    return Snapshot(tuple(some), groups=groups)


class Judge:
    """Lays a plan out on machines and asks of each what Kubernetes would ask."""

    def __init__(self, snapshot: Snapshot, plan: Plan) -> None:
        self.snapshot, self.plan = snapshot, plan
        self.pods = {one.key: one for one in snapshot.pods}
        self.on: dict[str, list[Pod]] = defaultdict(list)
        for one in snapshot.pods:
            if one.node:
                self.on[one.node].append(one)
        for key, name in plan.placements.items():
            self.on[name].append(self.pods[key])

    def machine(self, name: str) -> tuple[dict[str, str], tuple[Taint, ...], dict[str, int]]:
        for one in self.snapshot.nodes:
            if one.name == name:
                return dict(one.labels), one.taints, dict(one.allocatable)
        owner = next(one for one in self.snapshot.groups if name.startswith(f"{one.name}: "))
        what = next(one for one in owner.offers if f"{one.place} #" in name)
        labels = {ZONE: what.place.zone, "topology.kubernetes.io/region": what.place.region, **owner.labels}
        return {**labels, HOSTNAME: name}, owner.taints, dict(what.allocatable)

    def check(self) -> None:
        zones: Counter[tuple[str, str]] = Counter()
        for name, here in self.on.items():
            labels, taints, have = self.machine(name)
            used: Counter[str] = Counter()
            for one in here:
                used.update(dict(one.needs.requests))
                zones[one.labels["app"], labels[ZONE]] += 1
            for one in here:
                if one.node:
                    continue
                assert not refusal(one.needs, labels, taints), (one.key, name)
                assert all(used[what] <= have.get(what, 0) for what, _ in one.needs.requests), (one.key, name)
                self.neighbours(one, here)
        self.spread(zones)
        self.gangs()
        self.limits()

    def neighbours(self, one: Pod, here: list[Pod]) -> None:
        for selector in one.needs.apart:
            assert not [two for two in here if two is not one and all_hold(selector, {**two.labels, "": two.namespace})]
        for spread in one.needs.spreads:
            if spread.key == HOSTNAME:
                alike = [two for two in here if all_hold(spread.selector, {**two.labels, "": two.namespace})]
                assert len(alike) <= spread.max_skew

    def spread(self, zones: Counter[tuple[str, str]]) -> None:
        """Apps in which everybody spreads over all zones: no zone has more than the skew above another with a node."""
        for app in {one.labels["app"] for one in self.snapshot.pods}:
            mine = [one for one in self.snapshot.pods if one.labels["app"] == app]
            simple = all(
                [one.key for one in mine[0].needs.spreads] == [ZONE] == [two.key for two in one.needs.spreads]
                and not one.needs.selector
                and one.needs.affinity is None
                for one in mine
            )
            if simple:
                there = {self.machine(name)[0][ZONE] for name in self.on} | {
                    one.labels[ZONE] for one in self.snapshot.nodes
                }
                counts = [zones[app, zone] for zone in there]
                assert not counts or max(counts) - min(counts) <= 1, (app, zones)

    def gangs(self) -> None:
        members: dict[str, list[Pod]] = defaultdict(list)
        for one in self.snapshot.pods:
            if one.needs.gang:
                members[one.needs.gang.name].append(one)
        for some in members.values():
            names = [self.plan.placements[one.key] for one in some if one.key in self.plan.placements]
            assert len(names) in (0, len(some))
            assert len({self.machine(name)[0][ZONE] for name in names}) <= 1

    def limits(self) -> None:
        more: Counter[str] = Counter()
        for one in self.plan.purchases:
            assert one.place not in self.snapshot.starved
            more[one.group] += one.count
        for group in self.snapshot.groups:
            its = [
                other for other in self.snapshot.groups if other is group or (group.pool and other.pool == group.pool)
            ]
            total = sum(other.desired + more[other.name] for other in its)
            assert total <= group.maximum or not more[group.name]
            assert self.plan.desired[group.name] <= max(group.maximum, group.desired)
        told = [key for one in self.plan.waiting for key in one.pods] + list(self.plan.placements)
        assert sorted(told) == sorted(one.key for one in self.snapshot.pods if not one.node)
