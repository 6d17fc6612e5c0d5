"""What machines were bought for, kept from one plan to the next, so that the next one does not deal it out anew.

A machine has no name while it is only asked for; as soon as its name is known, the first load that was bought of its
kind is its own. What is not remembered here (after a restart) is what the pods' nominations say.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from infra.autoscale.plan import Plan, Purchase
from infra.autoscale.snapshot import TYPE, Group, Offer, Snapshot, flight_name, new_name

Kind = tuple[str, str]
"""A group and an instance type: whose machines are alike."""


@dataclass
class Seating:
    """One memory for one controller. ``of`` is the machine of each pod whose machine has a name."""

    of: dict[str, str] = field(default_factory=dict)
    _open: dict[Kind, list[list[str]]] = field(default_factory=dict)
    _known: set[str] = field(default_factory=set)

    def seats(self, snapshot: Snapshot) -> Mapping[str, str]:
        """What was promised, in the words of this snapshot: to be its ``seats``."""
        joined: dict[Kind, list[str]] = defaultdict(list)
        for node in snapshot.nodes:
            joined[node.group, node.labels.get(TYPE, "")].append(node.name)
        found: dict[str, str] = {}
        names = {node.name for node in snapshot.nodes}
        for kind, offers in _kinds(snapshot).items():
            coming = [name for _, offer in offers for name in offer.coming]
            names.update(coming)
            loads = self._open.get(kind)
            if not loads:
                continue
            for name in (*sorted(joined[kind]), *coming):
                if loads and name not in self._known:
                    self.of.update(dict.fromkeys(loads.pop(0), name))
            nameless = [row for row, name in _flights(offers) if not name]
            # Machines that were asked for and will not come have no load.
            del loads[len(nameless) :]
            for row, load in zip(nameless, loads, strict=False):
                found.update(dict.fromkeys(load, row))
        self._known = names
        found.update((pod, name) for pod, name in self.of.items() if name in names)
        return found

    def keep(self, snapshot: Snapshot, plan: Plan, bought: Iterable[Purchase]) -> None:
        """Remember a plan; of its purchases those that were carried out."""
        named = {node.name: node.name for node in snapshot.nodes}
        loads: dict[str, list[str]] = {}
        opened: dict[Kind, list[str]] = defaultdict(list)
        for kind, offers in _kinds(snapshot).items():
            for row, name in _flights(offers):
                if name:
                    named[row] = name
                else:
                    opened[kind].append(row)
        # Machines in flight have their load before those that are bought just now.
        for one in bought:
            rows = [new_name(one.group, one.place, number) for number in range(1, one.count + 1)]
            opened[one.group, one.place.type] += rows
        self.of = {}
        for pod, row in plan.placements.items():
            if row in named:
                self.of[pod] = named[row]
            else:
                loads.setdefault(row, []).append(pod)
        self._open = {kind: [loads.get(row, []) for row in rows] for kind, rows in opened.items()}


def flying(snapshot: Snapshot, plan: Plan) -> set[str]:
    """The names of the machines in flight that a plan has work for, as far as they are known."""
    used = set(plan.placements.values())
    rows = (row for offers in _kinds(snapshot).values() for row in _flights(offers))
    return {name for row, name in rows if name and row in used}


def _kinds(snapshot: Snapshot) -> dict[Kind, list[tuple[Group, Offer]]]:
    found: dict[Kind, list[tuple[Group, Offer]]] = defaultdict(list)
    for group in snapshot.groups:
        for offer in group.offers:
            found[group.name, offer.place.type].append((group, offer))
    return found


def _flights(offers: Iterable[tuple[Group, Offer]]) -> Iterable[tuple[str, str]]:
    """What a plan calls each machine in flight, and the name that it will have, "" when nobody knows."""
    for group, offer in offers:
        for number in range(offer.in_flight):
            name = offer.coming[number] if number < len(offer.coming) else ""
            yield flight_name(group.name, offer.place, number + 1), name
