"""Which machines to send off: those that shrinking finds, when they have been so for a while."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from infra.autoscale.controller.hands import Hands
from infra.autoscale.controller.leaving import send_off
from infra.autoscale.controller.notes import Leaving
from infra.autoscale.controller.settings import Settings
from infra.autoscale.controller.upkeep import Idle
from infra.autoscale.controller.view import Seat, View
from infra.autoscale.ports import FleetId
from infra.autoscale.shrink import NO_ROOM, shrink
from infra.autoscale.snapshot import Node, Pod, Snapshot

TRIES = 8
"""Times a loop that the planner is asked whether a machine's pods have room elsewhere."""
ANEW = 300.0
"""Seconds after which it is asked of the same machine again."""


@dataclass
class ScaleIn:
    """What is remembered between loops, and nobody misses after a restart."""

    idle: Idle
    settings: Settings
    spared: dict[str, float] = field(default_factory=dict)
    """Until when a machine that was needed again is left alone."""
    _movable: dict[str, float] = field(default_factory=dict)
    _asked: dict[str, float] = field(default_factory=dict)

    def run(self, view: View, snapshot: Snapshot, needed: set[str], moving: bool, hands: Hands) -> dict[str, str]:
        """Send machines off; why the others stay. ``moving``: machines with pods are looked at, too."""
        patience = self.settings.idle_minutes * 60
        self.spared = {name: until for name, until in self.spared.items() if until > view.now}
        self._asked = {name: until for name, until in self._asked.items() if until > view.now}
        busy = sum(seat.leaving is not None and seat.leaving.why == "spare" for seat in view.seats.values())
        left = self.settings.cap - busy
        aside = {name: why for name, seat in view.seats.items() if (why := self._aside(seat))}
        found = shrink(
            _without_leaving(view, snapshot, aside, self.idle),
            cap=max(0, left),
            idle_minutes=self.settings.idle_minutes,
            needed=needed,
            tries=TRIES if moving else 0,
            tried=self._asked,
        )
        self._asked.update({name: view.now + ANEW for name, why in found.stays.items() if why.endswith(NO_ROOM)})
        movable: dict[str, float] = {}
        for one in found.departures:
            movable[one.node] = self._movable.get(one.node, view.now)
            if one.evict and view.now - movable[one.node] < patience:
                continue
            seat = view.seats[one.node]
            machine = seat.machine.id if seat.machine else ""
            send_off(seat, Leaving("spare", view.now, one.reason, machine, one.group), hands, cost=one.price)
        self._movable = movable
        return {**found.stays, **aside}

    def _aside(self, seat: Seat) -> str:
        """Why a fleet's machine is not to be looked at at all."""
        if seat.machine is None or seat.leaving is not None:
            return ""
        if seat.name in self.spared:
            return "it was needed again just now"
        if seat.cordoned:
            return "somebody cordoned it"
        return "" if seat.machine.state in ("pending", "in-service") else "its machine is going already"


def _without_leaving(view: View, snapshot: Snapshot, aside: Mapping[str, str], idle: Idle) -> Snapshot:
    """The cluster as it is when all that leaves has left."""
    going = {name for name, seat in view.seats.items() if seat.leaving is not None or seat.gone}
    fewer = Counter(view.seats[name].node.group for name in going if not view.seats[name].gone)
    nodes: list[Node] = []
    for node in snapshot.nodes:
        if node.name in aside:
            nodes.append(replace(node, group=""))
        elif node.name not in going:
            nodes.append(replace(node, idle_since=idle.since(node.name)) if node.group else node)
    groups = []
    for group in snapshot.groups:
        berth = view.berths[FleetId(group.name)]
        desired = berth.desired - fewer[group.name] - (0 if berth.blind else berth.unfilled)
        groups.append(replace(group, desired=desired))
    pods = snapshot.pods if not going else tuple(_moved(pod, going) for pod in snapshot.pods)
    return replace(snapshot, nodes=tuple(nodes), groups=tuple(groups), pods=pods)


def _moved(pod: Pod, going: set[str]) -> Pod:
    return replace(pod, node="") if pod.node in going and pod.owner not in ("", "DaemonSet") else pod
