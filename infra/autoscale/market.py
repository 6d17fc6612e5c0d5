"""What can be bought: every group's offers as vectors, how many of each there may be still, what the plan bought."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from infra.autoscale.daemons import overhead
from infra.autoscale.room import Ints, Kinds, Room, times
from infra.autoscale.snapshot import HOSTNAME, NAME, REGION, TYPE, ZONE, Daemon, Group, Labels, Offer, Snapshot

CAPACITY = "infra/capacity"
UNNAMED = "?"
"""The name of a machine that is not there yet: no selector on a name can hold for it."""


def labels_of(group: Group, offer: Offer) -> Labels:
    """The labels that a machine of the offer will have."""
    place = offer.place
    known = {ZONE: place.zone, REGION: place.region, TYPE: place.type, CAPACITY: place.market}
    return {**known, "kubernetes.io/os": "linux", **group.labels, HOSTNAME: UNNAMED, NAME: UNNAMED}


@dataclass(frozen=True, eq=False)
class Option:
    """An offer ready to be packed: ``capacity`` is what is left for work when the daemons run.

    ``group`` is its place in the snapshot, ``pool`` its place in ``Market.left``.
    """

    number: int
    group: int
    pool: int
    offer: Offer
    kind: int
    capacity: Ints

    @property
    def price(self) -> float:
        return self.offer.price


class Market:
    """The options of a snapshot. ``left`` is how many machines each pool may have still, over all its groups."""

    def __init__(self, snapshot: Snapshot, kinds: Kinds, room: Room, limits: dict[str, int]) -> None:
        self.groups = snapshot.groups
        pools = [group.pool or f" {place}" for place, group in enumerate(snapshot.groups)]
        numbers = {pool: number for number, pool in enumerate(dict.fromkeys(pools))}
        self.pool = [numbers[pool] for pool in pools]
        self.left = [0] * len(numbers)
        for pool, number in numbers.items():
            some = [group for group, its in zip(snapshot.groups, pools, strict=True) if its == pool]
            self.left[number] = max(0, max(one.maximum for one in some) - sum(one.desired for one in some))
        self.options: list[Option] = []
        self.starved: list[tuple[Group, Offer]] = []
        self.closed: list[Offer] = []
        for place, group in enumerate(snapshot.groups):
            for offer in group.offers:
                if offer.closed:
                    self.closed.append(offer)
                    continue
                if offer.place in snapshot.starved:
                    self.starved.append((group, offer))
                    continue
                kind = kinds.number(labels_of(group, offer), group.taints)
                capacity = room.vector(fresh(snapshot.daemons, group, offer, limits))
                self.options.append(Option(len(self.options), place, self.pool[place], offer, kind, capacity))
        self.bought: list[tuple[int, int]] = []
        """Option and row of each machine that the plan buys, in order."""

    def buy(self, option: Option, room: Room) -> int:
        """A machine more; its row. Nobody may call it when nothing is left of the group."""
        if not self.left[option.pool]:
            raise ValueError(f"the group {self.groups[option.group].name} is at its maximum")
        self.left[option.pool] -= 1
        row = room.add(option.capacity, option.kind, RANK_BOUGHT)
        self.bought.append((option.number, row))
        return row

    def back(self, mark: int) -> None:
        """Give back every machine bought since ``mark`` (a length of ``bought``)."""
        for number, _ in self.bought[mark:]:
            self.left[self.options[number].pool] += 1
        del self.bought[mark:]


RANK_METAL, RANK_NODE, RANK_JOINING, RANK_FLIGHT, RANK_LEAVING, RANK_BOUGHT = range(6)
"""Rows are filled in this order: what costs nothing more first."""


def fresh(daemons: Sequence[Daemon], group: Group, offer: Offer, limits: dict[str, int]) -> dict[str, int]:
    """What a new machine of the offer has for work."""
    taken = overhead(daemons, labels_of(group, offer), group.taints)
    have = {**dict(offer.allocatable), **limits}
    return {name: max(0, amount - taken.get(name, 0)) for name, amount in have.items()}


def fits(options: Sequence[Option], request: Ints) -> Ints:
    """How often a request fits into an empty machine of each option."""
    if not options:
        return np.zeros(0, dtype=np.int64)
    return times(np.array([option.capacity for option in options]), request)
