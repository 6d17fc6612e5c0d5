"""What machines were bought for, kept from one plan to the next, so that the next one does not deal it out anew.

A machine has no name while it is only asked for; as soon as its name is known, the first load that was bought of its
kind is its own. What is not remembered here (after a restart) is what the pods' nominations say.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from infra.autoscale.plan import Plan, Purchase
from infra.autoscale.snapshot import TYPE, ZONE, Group, Offer, Place, Snapshot, flight_name, new_name

Kind = tuple[str, Place]
"""A group and a place: machines that are alike."""


@dataclass
class Seating:
    """One memory for one controller. ``of`` is the machine of each pod whose machine has a name."""

    of: dict[str, str] = field(default_factory=dict)
    _open: dict[Kind, list[list[str]]] = field(default_factory=dict)
    _known: set[str] = field(default_factory=set)

    def seats(self, snapshot: Snapshot) -> Mapping[str, str]:
        """What was promised, in the words of this snapshot: to be its ``seats``."""
        nodes: dict[tuple[str, str], list[tuple[str, str]]] = defaultdict(list)
        for node in snapshot.nodes:
            nodes[node.group, node.labels.get(TYPE, "")].append((node.name, node.labels.get(ZONE, "")))
        names = {node.name for node in snapshot.nodes}
        found: dict[str, str] = {}
        for group, offer in _offers(snapshot):
            place, loads = offer.place, self._open.get((group.name, offer.place), [])
            joined = [name for name, zone in nodes[group.name, place.type] if not place.zone or zone == place.zone]
            names.update(offer.coming)
            for name in (*sorted(joined), *offer.coming):
                if loads and name not in self._known:
                    self.of.update(dict.fromkeys(loads.pop(0), name))
            # Machines that were asked for and will not come have no load.
            del loads[max(0, offer.in_flight - len(offer.coming)) :]
            for number, load in enumerate(loads, len(offer.coming) + 1):
                found.update(dict.fromkeys(load, flight_name(group.name, place, number)))
        self._known = names
        found.update((pod, name) for pod, name in self.of.items() if name in names)
        return found

    def keep(self, snapshot: Snapshot, plan: Plan, bought: Iterable[Purchase]) -> None:
        """Remember a plan; of its purchases those that were carried out."""
        machines: dict[str, tuple[Kind, str]] = {node.name: (("", _NOWHERE), node.name) for node in snapshot.nodes}
        done = {(one.group, one.place): one.count for one in bought}
        for group, offer in _offers(snapshot):
            kind = (group.name, offer.place)
            for number in range(offer.in_flight):
                name = offer.coming[number] if number < len(offer.coming) else ""
                machines[flight_name(*kind, number + 1)] = (kind, name)
            for number in range(done.get(kind, 0)):
                machines[new_name(*kind, number + 1)] = (kind, "")
        loads: dict[str, list[str]] = {}
        self.of = {}
        for pod, row in plan.placements.items():
            if row not in machines:
                continue
            if machines[row][1]:
                self.of[pod] = machines[row][1]
            else:
                loads.setdefault(row, []).append(pod)
        # In the order of the machines: those in flight come before those bought just now.
        self._open = defaultdict(list)
        for row, (kind, name) in machines.items():
            if not name:
                self._open[kind].append(loads.get(row, []))


_NOWHERE = Place("", "", "", "")


def _offers(snapshot: Snapshot) -> Iterable[tuple[Group, Offer]]:
    return ((group, offer) for group in snapshot.groups for offer in group.offers)
