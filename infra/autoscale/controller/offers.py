"""Fleets in the planner's words: what each offers, what is on its way, and what may not be bought just now."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from infra.autoscale import capacity
from infra.autoscale.controller.state import Backoff, State, key_of, place_of
from infra.autoscale.controller.view import Berth, Seat, View
from infra.autoscale.ports import Fleet
from infra.autoscale.quantity import BadQuantity, quantity
from infra.autoscale.snapshot import ONLY_IN_FLIGHT, Amounts, Group, Market, Node, Offer, Place, Pod, Snapshot, amounts

Price = Callable[[str, str, Market], float]
"""$/h of (region, type, market); 0 when nobody knows."""


@dataclass
class Offers:
    """What the fleets of one loop offer. ``warnings`` grow as unknown types are met."""

    view: View
    state: State
    price: Price
    warnings: list[str] = field(default_factory=list)
    _nodes: dict[str, list[Node]] = field(default_factory=lambda: defaultdict(list))
    _known: dict[tuple[str, str], Amounts | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for seat in self.view.seats.values():
            if seat.berth is not None and seat.machine is not None and not seat.node.broken:
                self._nodes[seat.berth.id].append(seat.node)

    def starved(self, place: Place, zones: Iterable[str] = ()) -> bool:
        """Whether a place, or all zones that it may be in, refused lately."""
        places = [place] if place.zone else [place, *(place._replace(zone=zone) for zone in zones)]
        resting = [self._rests(key_of(one)) is not None for one in places]
        return resting[0] or (len(resting) > 1 and all(resting[1:]))

    def _rests(self, key: str) -> Backoff | None:
        found = self.state.backoffs.get(key)
        return found if found is not None and found.until > self.view.now else None

    def allocatable(self, fleet: Fleet, kind: str) -> Amounts | None:
        """What a machine of a type of the fleet has for pods; None, and a warning once, when nobody knows."""
        key = (fleet.id, kind)
        if key not in self._known:
            self._known[key] = self._work_out(fleet, kind)
        return self._known[key]

    def _work_out(self, fleet: Fleet, kind: str) -> Amounts | None:
        promised: dict[str, int] = {}
        for name, text in fleet.resources.items():
            try:
                promised[name] = quantity(name, text)
            except BadQuantity as error:
                self.warnings.append(f"{fleet.id}: a tag promises what cannot be read: {error}")
        found, why = capacity.allocatable(kind, self._nodes[fleet.id])
        if found is None and {"cpu", "memory"} <= set(promised):
            return amounts({"pods": capacity.PODS, **promised})
        if found is None:
            self.warnings.append(f"{fleet.id}: {why}")
            return None
        # A live node whose device plugin has not spoken yet says nothing of what the type has.
        data = dict(capacity.allocatable(kind)[0] or ())
        extra = {name: amount for name, amount in {**data, **promised}.items() if "/" in name or name in promised}
        return amounts({**extra, **dict(found)})

    def first(self, fleet: Fleet) -> Place | None:
        """The place that the fleet would launch in now: its first type that is not starved, else its first. None when
        nobody knows what that type is."""
        zone = fleet.zones[0] if len(fleet.zones) == 1 else ""
        places = [Place(fleet.id.region, zone, kind, fleet.market) for kind in fleet.types]
        free = [place for place in places if not self.starved(place, fleet.zones)]
        chosen = (free or places)[:1]
        return chosen[0] if chosen and self.allocatable(fleet, chosen[0].type) is not None else None

    def group(self, berth: Berth) -> Group:
        fleet = berth.fleet
        flying: dict[Place, list[str]] = defaultdict(list)
        for machine in berth.flying:
            flying[Place(fleet.id.region, machine.zone, machine.type, machine.market)].append(machine.node)
        offers: list[Offer] = []
        first = self.first(fleet)
        if first is not None:
            names = flying.pop(first, [])
            one = self._offer(fleet, first, berth.coming + len(names), names)
            offers.append(replace(one, closed=self._closed(berth)))
        for place, names in sorted(flying.items()):
            if self.allocatable(fleet, place.type) is not None:
                offers.append(replace(self._offer(fleet, place, len(names), names), closed=ONLY_IN_FLIGHT))
        limit = berth.desired if berth.blind else fleet.maximum
        floor = berth.desired if berth.blind else fleet.minimum
        pool = f"{fleet.id.region}/{fleet.pool}" if fleet.pool_maximum else ""
        labels = dict(fleet.labels)
        return Group(fleet.id, tuple(offers), floor, limit, berth.desired, labels, fleet.taints, pool)

    def _offer(self, fleet: Fleet, place: Place, flying: int, names: Iterable[str]) -> Offer:
        worth = self.price(place.region, place.type, fleet.market)
        coming = tuple(name for name in names if name)
        return Offer(place, worth, self.allocatable(fleet, place.type) or (), flying, coming=coming)

    def _closed(self, berth: Berth) -> str:
        if berth.blind:
            return f"the region {berth.id.region} does not answer"
        resting = self._rests(berth.id)
        return f"the group {berth.id} does not launch: {resting.why}" if resting else ""

    def snapshot(self) -> Snapshot:
        """The planner's input. Pods of machines that are lost wait already, when somebody makes them anew."""
        view = self.view
        groups = tuple(self.group(berth) for berth in view.berths.values())
        starved = {
            offer.place
            for berth, group in zip(view.berths.values(), groups, strict=True)
            for offer in group.offers
            if self.starved(offer.place, berth.fleet.zones)
        }
        return Snapshot(
            pods=tuple(self.pods()),
            nodes=tuple(seat.node for seat in view.seats.values()),
            groups=groups,
            daemons=view.daemons,
            starved=frozenset(starved),
            now=view.now,
            warnings=tuple(dict.fromkeys([*view.warnings, *self.warnings])),
        )

    def pods(self) -> Iterable[Pod]:
        lost = {name for name, seat in self.view.seats.items() if doomed(seat)}
        for pod in self.view.pods:
            if not lost or pod.node not in lost:
                yield pod
            elif pod.key not in self.view.deleting and pod.owner not in ("", "DaemonSet") and not pod.mirror:
                # One that is being deleted has its successor among the waiting already.
                yield replace(pod, node="")


def doomed(seat: Seat) -> bool:
    """Whether the machine's work is lost to it whatever we do."""
    if seat.gone:
        return True
    if seat.machine is not None and seat.machine.state == "interrupted":
        return True
    return seat.leaving is not None and seat.leaving.why == "interrupted"


def backoffs_in_words(state: State, now: float) -> Mapping[str, float]:
    """Until when, by place or fleet, of those that rest now."""
    return {str(place_of(key) or key): one.until for key, one in sorted(state.backoffs.items()) if one.until > now}
