"""The buying problem as arrays: items (equal pods, whoever owns them), options, and the free room there is.

A relaxation forgets gangs, spread and which machine exactly; what remains is what every plan must satisfy, so a lower
bound of the task is a lower bound of any plan that places the same pods.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from infra.autoscale.market import RANK_BOUGHT, Market, Option
from infra.autoscale.room import Ints, Kinds, Room, times
from infra.autoscale.snapshot import Needs

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Task:
    """``demand`` (items), ``requests`` (items × axes); ``most``: how many of an item an empty machine of each option
    takes (items × options, 0 where it may not run); ``free`` (classes × axes) and who may use it (items × classes);
    ``left``: machines that each group may still grow by."""

    demand: Ints
    requests: Ints
    options: tuple[Option, ...]
    most: Ints
    left: tuple[int, ...]
    free: Ints
    usable: Bools

    @property
    def prices(self) -> Floats:
        return np.array([option.price for option in self.options], dtype=np.float64)

    @property
    def capacities(self) -> Ints:
        axes = self.requests.shape[1]
        return np.array([option.capacity for option in self.options], dtype=np.int64).reshape(-1, axes)

    @property
    def groups(self) -> list[int]:
        return [option.pool for option in self.options]

    def only(self, demand: Ints) -> Task:
        return replace(self, demand=demand)

    def alone(self) -> Task:
        """The same without the free room: everything is to be bought."""
        return replace(self, free=self.free[:0], usable=self.usable[:, :0])


@dataclass(frozen=True, eq=False)
class Items:
    """Shapes merged into items: ``of[n]`` is the item of the n-th needs."""

    of: list[int]
    requests: Ints
    masks: Bools


def items_of(needs: Sequence[Needs], room: Room, kinds: Kinds) -> Items:
    """Needs that ask for the same and may run on the same kinds are one item."""
    numbers: dict[tuple[bytes, bytes], int] = {}
    requests: list[Ints] = []
    masks: list[Bools] = []
    of: list[int] = []
    for one in needs:
        request, mask = room.vector(dict(one.requests)), kinds.mask(one)
        number = numbers.setdefault((request.tobytes(), mask.tobytes()), len(numbers))
        if number == len(requests):
            requests.append(request)
            masks.append(mask)
        of.append(number)
    return Items(
        of,
        np.array(requests, dtype=np.int64).reshape(-1, len(room.axes)),
        np.array(masks, dtype=bool).reshape(-1, len(kinds)),
    )


def task_of(items: Items, demand: Ints, market: Market, room: Room, left: Sequence[int]) -> Task:
    """The task of placing ``demand`` on the rows that were not bought, and on what may be bought."""
    most = np.zeros((len(items.requests), len(market.options)), dtype=np.int64)
    if market.options and len(items.requests):
        capacities = np.array([option.capacity for option in market.options])
        for place, request in enumerate(items.requests):
            most[place] = times(capacities, request)
        most *= items.masks[:, [option.kind for option in market.options]]
    keep = _worth(items, most, demand, market, left)
    free, usable = _classes(items, room)
    options = tuple(market.options[place] for place in keep)
    return Task(demand, items.requests, options, most[:, keep], tuple(left), free, usable)


def _worth(items: Items, most: Ints, demand: Ints, market: Market, left: Sequence[int]) -> list[int]:
    """The options that some cheapest plan may use: of options that are alike, dearer ones only when cheaper ones may
    run out."""
    alike: dict[bytes, list[int]] = {}
    for place, option in enumerate(market.options):
        if most[:, place].any():
            alike.setdefault(option.capacity.tobytes() + most[:, place].tobytes(), []).append(place)
    offers = Counter(option.pool for option in market.options)
    keep = []
    for places in alike.values():
        column = most[:, places[0]]
        needed = int(sum(-(-int(count) // int(fit)) for count, fit in zip(demand, column, strict=True) if fit))
        seen: set[int] = set()
        for place in sorted(places, key=lambda place: (market.options[place].price, place)):
            group = market.options[place].pool
            if needed > 0 and group not in seen and left[group] > 0:
                keep.append(place)
                seen.add(group)
                # What a group with several offers may grow by can be used up by another of them.
                needed -= left[group] if offers[group] == 1 else 0
    return sorted(keep)


def _classes(items: Items, room: Room) -> tuple[Ints, Bools]:
    rows = np.flatnonzero(room.rank[: room.size] < RANK_BOUGHT)
    axes = len(room.axes)
    if not len(rows) or not len(items.requests):
        return np.zeros((0, axes), dtype=np.int64), np.zeros((len(items.requests), 0), dtype=bool)
    least = items.requests.min(axis=0)
    rows = rows[((room.free[rows] >= least) | (least == 0)).all(axis=1)]
    columns: dict[bytes, list[int]] = {}
    for kind in sorted(set(room.kind[rows].tolist())):
        column = items.masks[:, kind]
        if column.any():
            columns.setdefault(column.tobytes(), []).append(kind)
    free, usable = [], []
    for some in columns.values():
        chosen = rows[np.isin(room.kind[rows], some)]
        free.append(np.minimum(np.maximum(room.free[chosen], 0), 2**50).sum(axis=0))
        usable.append(items.masks[:, some[0]])
    return (
        np.array(free, dtype=np.int64).reshape(-1, axes),
        np.array(usable, dtype=bool).reshape(-1, len(items.requests)).T,
    )
