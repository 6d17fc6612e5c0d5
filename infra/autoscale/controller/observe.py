"""What the API server and the cloud say, read into a View. Whatever is malformed is a warning and no error."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from infra.autoscale.controller.notes import FINAL, FLEET, JOINED, leaving_of, notes_of
from infra.autoscale.controller.state import State
from infra.autoscale.controller.view import Berth, Seat, View
from infra.autoscale.gang_labels import read_groups
from infra.autoscale.objects import STARTUP, UNSCHEDULABLE, read_daemons, read_node, read_pod
from infra.autoscale.ports import FleetId, Kube, Machine, Raw, Sight
from infra.autoscale.snapshot import REGION, TYPE, ZONE, Node, Pod

PODS, NODES, DAEMONS = "/api/v1/pods", "/api/v1/nodes", "/apis/apps/v1/daemonsets"
NATIVE = ("v1beta1", "v1alpha3", "v1alpha2", "v1alpha1")
GROUPS = (
    tuple(f"/apis/scheduling.k8s.io/{version}/podgroups" for version in NATIVE),
    tuple(f"/apis/scheduling.k8s.io/{version}/workloads" for version in NATIVE),
    ("/apis/scheduling.volcano.sh/v1beta1/podgroups",),
    ("/apis/scheduling.x-k8s.io/v1alpha1/podgroups",),
)
"""Kinds of gangs; of each the first version that has any. Kueue's pods carry their gang's size themselves."""


@dataclass(frozen=True)
class Listing:
    """The raw lists of one loop."""

    pods: list[Raw]
    nodes: list[Raw]
    daemons: list[Raw]
    groups: list[Raw]


def listing(kube: Kube) -> Listing:
    """Ask for everything once. Nodes come before pods: a pod that is bound in between is seen, not missed."""
    nodes = kube.list(NODES)
    pods = kube.list(PODS)
    groups: list[Raw] = []
    if _gangs(pods):
        for versions in GROUPS:
            groups += next((found for path in versions if (found := kube.list(path))), [])
    return Listing(pods, nodes, kube.list(DAEMONS), groups)


def _gangs(pods: Iterable[Raw]) -> bool:
    """Whether some pod may name a group that is an object of its own."""
    for raw in pods:
        spec, meta = raw.get("spec") or {}, raw.get("metadata") or {}
        if "schedulingGroup" in spec or "workloadRef" in spec:
            return True
        for names in (meta.get("labels"), meta.get("annotations")):
            if isinstance(names, dict) and any("group" in key for key in names):
                return True
    return False


@dataclass
class Reader:
    """Reads pods, and remembers those that did not change since the last loop."""

    _known: dict[tuple[str, str], Pod | None] = field(default_factory=dict)
    _groups: Mapping[str, int] = field(default_factory=dict)

    def pods(self, listing: Listing) -> tuple[Pod, ...]:
        groups: dict[str, int] = {}
        for one in listing.groups:
            try:
                groups |= read_groups([one])
            except (AttributeError, TypeError, ValueError):
                # Its pods' gang then has no size: they are placed together, however many there are.
                continue
        known = self._known if groups == self._groups else {}
        fresh: dict[tuple[str, str], Pod | None] = {}
        found: list[Pod] = []
        for raw in listing.pods:
            meta = raw.get("metadata") or {}
            key = (str(meta.get("uid")), str(meta.get("resourceVersion")))
            pod = known[key] if key in known and key != ("None", "None") else read_pod(raw, groups)
            fresh[key] = pod
            if pod is not None:
                found.append(pod)
        self._known, self._groups = fresh, groups
        return tuple(found)


def observe(reader: Reader, listing: Listing, sight: Sight, state: State, now: float, join_minutes: float) -> View:
    """Match it all. Also notes in ``state`` since when machines are without a ready node."""
    berths = _berths(sight, state, now, join_minutes)
    daemons, warnings = read_daemons(listing.daemons)
    pods = reader.pods(listing)
    view = View(now, pods, {}, berths, daemons, _deleting(listing.pods), dict(sight.blind), list(warnings))
    by_id, by_name = _machines(berths.values())
    here: dict[str, list[Pod]] = defaultdict(list)
    for pod in pods:
        if pod.node and pod.owner != "DaemonSet" and not pod.mirror:
            here[pod.node].append(pod)
    taken: set[str] = set()
    for raw in listing.nodes:
        name = str((raw.get("metadata") or {}).get("name") or "?")
        seat = _seat(raw, by_id.get(instance_of(raw)) or by_name.get(name), view)
        seat.pods = here.get(name, [])
        view.seats[name] = seat
        if seat.machine is not None:
            taken.add(seat.machine.id)
    _fly(view, taken)
    _age(view, state, join_minutes)
    return view


def _berths(sight: Sight, state: State, now: float, join_minutes: float) -> dict[FleetId, Berth]:
    found = {fleet.id: Berth(fleet, fleet.desired) for fleet in sight.fleets}
    for flight in state.flights.values():
        fleet = flight.fleet
        if fleet.id.region in sight.blind and fleet.id not in found and now - flight.since < join_minutes * 60:
            found[fleet.id] = Berth(fleet, fleet.desired, blind=True)
    for berth in found.values():
        for machine in berth.fleet.machines:
            where = {"interrupted": berth.interrupted, "leaving": berth.going}.get(machine.state, berth.alive)
            where[machine.id] = machine
    return dict(sorted(found.items()))


def _machines(berths: Iterable[Berth]) -> tuple[dict[str, tuple[Berth, Machine]], dict[str, tuple[Berth, Machine]]]:
    by_id: dict[str, tuple[Berth, Machine]] = {}
    by_name: dict[str, tuple[Berth, Machine]] = {}
    for berth in berths:
        for machine in berth.fleet.machines:
            by_id[machine.id] = (berth, machine)
            # A name is used again as soon as its machine is gone; the one that is alive has it.
            if machine.node and machine.state != "leaving":
                by_name[machine.node] = (berth, machine)
    by_id.pop("", None)
    return by_id, by_name


def instance_of(raw: Mapping[str, Any]) -> str:
    """The instance's id in a node's providerID (``aws:///us-west-2a/i-0123``); "" without one."""
    spec = raw.get("spec")
    provider = str((spec if isinstance(spec, dict) else {}).get("providerID") or "")
    return provider.rsplit("/", 1)[-1] if provider.startswith("aws://") else ""


def _seat(raw: Raw, found: tuple[Berth, Machine] | None, view: View) -> Seat:
    node = read_node(raw)
    berth, machine = found if found else (None, None)
    leaving = leaving_of(raw)
    ready = not (node.joining or node.broken)
    # Whose a node was, when its machine is in no fleet (any more).
    home = berth.id if berth else FleetId((leaving.fleet if leaving else "") or str(notes_of(raw).get(FLEET) or ""))
    alone = machine is None or machine.state == "leaving"
    spec = raw.get("spec")
    return Seat(
        raw,
        replace(node, group=home if machine else ""),
        berth,
        machine,
        leaving,
        cordoned=bool((spec if isinstance(spec, dict) else {}).get("unschedulable")),
        ready=ready,
        gone="/" in home and home.region not in view.blind and alone and not ready,
    )


def _deleting(pods: Iterable[Raw]) -> frozenset[str]:
    return frozenset(
        f"{meta.get('namespace') or 'default'}/{meta.get('name')}"
        for raw in pods
        if (meta := raw.get("metadata") or {}).get("deletionTimestamp")
    )


def _fly(view: View, taken: set[str]) -> None:
    """Which machines are on their way. In a region that is blind, unknown nodes of the type are those that came."""
    for berth in view.berths.values():
        berth.flying = sorted((one for one in berth.alive.values() if one.id not in taken), key=lambda one: one.id)
        if berth.blind:
            came = len([name for name in berth.alive if name in taken])
            berth.desired = max(0, berth.desired - came)
    for seat in view.seats.values():
        if seat.berth is None and seat.node.labels.get(REGION) in view.blind and instance_of(seat.raw):
            for berth in view.berths.values():
                mine = berth.blind and berth.id.region == seat.node.labels[REGION] and berth.desired > 0
                if mine and seat.node.labels.get(TYPE) in berth.fleet.types:
                    berth.desired -= 1
                    berth.flying = berth.flying[: berth.desired]
                    break


def _age(view: View, state: State, join_minutes: float) -> None:
    """Who is joining, who is broken: by how long *we* have seen no ready node of a machine."""
    seats = {seat.machine.id: seat for seat in view.seats.values() if seat.machine}
    there = {name for berth in view.berths.values() for name in (*berth.alive, *berth.interrupted)}
    if not view.blind:
        state.unready = {name: since for name, since in state.unready.items() if name in there}
    for berth in view.berths.values():
        for name in berth.alive:
            seat = seats.get(name)
            if seat is not None and settled(seat):
                state.unready.pop(name, None)
            else:
                state.unready.setdefault(name, view.now)
    for seat in view.seats.values():
        seat.node = _judged(seat, state, view.now, join_minutes)


def joined(seat: Seat) -> bool:
    return JOINED in notes_of(seat.raw)


def lacks(seat: Seat) -> tuple[str, ...]:
    """What the fleet promises of the node and its device plugins have not told of yet."""
    if seat.berth is None or joined(seat):
        return ()
    have = dict(seat.node.allocatable)
    return tuple(name for name in seat.berth.fleet.resources if "/" in name and name not in have)


def settled(seat: Seat) -> bool:
    starting = not joined(seat) and any(taint.key in STARTUP for taint in seat.node.taints)
    return seat.ready and not starting and not lacks(seat)


def _judged(seat: Seat, state: State, now: float, join_minutes: float) -> Node:
    node, machine = seat.node, seat.machine
    taints = node.taints
    if seat.leaving is not None:
        # Who is needed after all is used again: only somebody else's cordon keeps work away.
        taints = tuple(one for one in taints if one != UNSCHEDULABLE and one.key != UNSCHEDULABLE.key)
    lost = seat.gone or (machine is not None and machine.state in ("leaving", "interrupted"))
    joining = False
    if seat.berth is not None and machine is not None and not lost and not joined(seat) and not settled(seat):
        since = state.unready.get(machine.id, now)
        joining = now - since < join_minutes * 60
        if joining:
            taints = tuple(one for one in taints if one.key not in STARTUP)
    final = seat.leaving is not None and seat.leaving.why in FINAL
    return replace(
        node,
        taints=taints,
        joining=joining,
        broken=lost or final or not (seat.ready or joining),
        leaving=seat.leaving is not None,
        created=created_of(seat.raw),
        labels=_labels(node, machine),
    )


def _labels(node: Node, machine: Machine | None) -> Mapping[str, str]:
    """A node that is joining may not have its labels of place yet."""
    if machine is None:
        return node.labels
    return {TYPE: machine.type, ZONE: machine.zone, **node.labels}


def created_of(raw: Mapping[str, Any]) -> float:
    """When the API server made it, by its clock; 0 when it does not say."""
    try:
        return datetime.fromisoformat(str(raw["metadata"]["creationTimestamp"])).timestamp()
    except (KeyError, TypeError, ValueError):
        return 0.0
