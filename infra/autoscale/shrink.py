"""Which machines may go: those whose pods all have a place elsewhere, the dearest and the least used first.

Never: metal, a machine that is joining, a running batch pod (unless it is annotated), more than the cap, less than a
group's minimum, a machine that waiting work is to run on. Every machine that stays has its reason.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection
from dataclasses import dataclass, replace

from infra.autoscale.plan import plan
from infra.autoscale.snapshot import TYPE, ZONE, Group, Node, Pod, Snapshot

SERVICES = frozenset({"ReplicaSet", "ReplicationController", "StatefulSet"})
"""Owners that make a pod anew when it is evicted, and whose work does not begin at nothing."""


TOO_MANY = "as many machines as may go at once are going"
NOT_ASKED, NO_ROOM = "whether its pods have room elsewhere was not asked again yet", "have no room elsewhere"


@dataclass(frozen=True, slots=True)
class Departure:
    """A machine that may go; its pods (``namespace/name``) are to be evicted first. ``price`` in $/h, 0 unknown."""

    node: str
    group: str
    evict: tuple[str, ...]
    price: float
    reason: str


@dataclass(frozen=True)
class Shrinking:
    """What goes and why the rest stays: reason by node."""

    departures: tuple[Departure, ...]
    stays: dict[str, str]


def shrink(
    snapshot: Snapshot,
    *,
    cap: int = 10,
    idle_minutes: float = 10,
    needed: Collection[str] = (),
    tries: int | None = None,
    tried: Collection[str] = (),
) -> Shrinking:
    """Up to ``cap`` machines that may go now. ``needed`` are those that a plan has placed waiting pods on.

    Whether a machine's pods have room elsewhere is asked of the planner, ``tries`` times at most (None: without limit),
    and not for the machines in ``tried``, of which it was answered lately.
    """
    groups = {group.name: group for group in snapshot.groups}
    here: dict[str, list[Pod]] = defaultdict(list)
    for pod in snapshot.pods:
        if pod.node and pod.owner != "DaemonSet" and not pod.mirror:
            here[pod.node].append(pod)
    stays: dict[str, str] = {}
    candidates: list[Node] = []
    for node in sorted(snapshot.nodes, key=lambda node: node.name):
        why = _must_stay(node, groups.get(node.group), here[node.name], snapshot.now, idle_minutes, needed)
        if why:
            stays[node.name] = why
        else:
            candidates.append(node)
    return _choose(snapshot, groups, candidates, here, stays, cap, tries, tried)


def _must_stay(
    node: Node, group: Group | None, pods: list[Pod], now: float, idle_minutes: float, needed: Collection[str]
) -> str:
    if group is None:
        return "it belongs to no Auto Scaling group"
    if node.joining:
        return "it is joining"
    if node.name in needed:
        return "waiting pods are to run on it"
    for pod in pods:
        why = keeps(pod)
        if why:
            return why
    if not pods and (node.idle_since is None or now - node.idle_since < idle_minutes * 60):
        return f"it is idle for less than {idle_minutes:g} minutes"
    return ""


def keeps(pod: Pod) -> str:
    """Why a pod keeps its machine, "" when it may be evicted: its annotation decides, then what owns it."""
    if pod.evictable:
        return ""
    if pod.evictable is False:
        return f"{pod.key} may not be evicted: it is annotated so"
    if pod.needs.gang is not None:
        return f"{pod.key} is running, of the gang {pod.needs.gang.name}"
    if pod.owner not in SERVICES:
        return f"{pod.key} is running, and nothing would bring its work back ({pod.owner or 'it has no owner'})"
    return ""


def _choose(
    snapshot: Snapshot,
    groups: dict[str, Group],
    candidates: list[Node],
    here: dict[str, list[Pod]],
    stays: dict[str, str],
    cap: int,
    tries: int | None,
    tried: Collection[str],
) -> Shrinking:
    left = Counter({name: group.desired - group.minimum for name, group in groups.items()})
    gone: list[Departure] = []
    names: set[str] = set()
    order = sorted(candidates, key=lambda node: (len(here[node.name]), -price(groups[node.group], node), node.name))
    moving: list[Pod] = []
    for node in order:
        pods = here[node.name]
        if len(gone) >= cap:
            stays[node.name] = TOO_MANY
        elif left[node.group] <= 0:
            stays[node.name] = f"the group {node.group} is at its minimum of {groups[node.group].minimum}"
        elif pods and (node.name in tried or (tries is not None and tries <= 0)):
            stays[node.name] = NOT_ASKED
        elif pods and not _elsewhere(snapshot, names | {node.name}, [*moving, *pods]):
            tries = None if tries is None else tries - 1
            stays[node.name] = f"its {len(pods)} pods {NO_ROOM}"
        else:
            tries = None if tries is None or not pods else tries - 1
            left[node.group] -= 1
            names.add(node.name)
            moving += pods
            worth = price(groups[node.group], node)
            why = f"its {len(pods)} pods have room elsewhere" if pods else "nothing runs on it"
            gone.append(Departure(node.name, node.group, tuple(sorted(pod.key for pod in pods)), worth, why))
    return Shrinking(tuple(gone), dict(sorted(stays.items())))


def _elsewhere(snapshot: Snapshot, without: set[str], moving: list[Pod]) -> bool:
    """Whether the pods find places on the machines that stay, beside everything that waits, without buying any."""
    moved = {pod.key for pod in moving}
    pods = [pod for pod in snapshot.pods if pod.key not in moved and pod.node not in without]
    pods += [replace(pod, node="") for pod in moving]
    nodes = tuple(node for node in snapshot.nodes if node.name not in without and not node.joining)
    groups = tuple(
        replace(group, maximum=group.desired, offers=tuple(replace(one, in_flight=0) for one in group.offers))
        for group in snapshot.groups
    )

    found = plan(replace(snapshot, pods=tuple(pods), nodes=nodes, groups=groups))
    return all(key in found.placements for key in moved)


def price(group: Group, node: Node) -> float:
    """$/h of a node: its group's offer of the same type, in the same zone where there is one."""
    alike = [one for one in group.offers if one.place.type == node.labels.get(TYPE)] or list(group.offers)
    alike.sort(key=lambda one: one.place.zone != node.labels.get(ZONE))
    return alike[0].price if alike else 0.0
