"""The loads that are worth most on one machine, found and proved by dynamic programming with bounds.

Items are taken one after the other; a label is a partial load: the room that is left and what is in it is worth.
Labels that leave the same room are one, the most valuable; labels that cannot come to more than a limit, by a linear
relaxation of what the items to come may add, are dropped (Morin and Marsten, "Branch-and-bound strategies for dynamic
programming", 1976). When there are more labels than may be kept, those of the lowest bounds go, and the highest bound
among them is told: so the answer is right at any width.
"""

from __future__ import annotations

import time
from typing import NamedTuple

import numpy as np

from infra.autoscale.room import Ints
from infra.autoscale.solver import INFINITE, Program
from infra.autoscale.task import Bools, Floats, Task

WIDTH = 40_000
"""Labels that are kept."""
FOUND = 20
"""Loads that are told."""
STAGES, SAMPLES, FEW = 16, 12, 100
"""The bounds are made anew so often, each time for so many labels' room; not when there are few labels anyway."""
SAFETY = 1e-9
"""Relative; what rounding of floating-point numbers may take away."""
MIX = np.random.default_rng(1).integers(1, 2**62, 64)


class Bounds(NamedTuple):
    """Loads of some items into a room are worth at most ``constant + room @ prices`` (each row is such a bound)."""

    constant: Floats
    prices: Floats

    def of(self, room: Ints) -> Floats:
        return np.asarray((room @ self.prices.T + self.constant).min(axis=1))


class Knapsack:
    """One option's loads at given worths."""

    def __init__(self, task: Task, option: int, worth: Floats) -> None:
        limit = np.minimum(task.most[:, option], task.demand)
        useful = np.flatnonzero((limit > 0) & (worth > 0))
        asks, enough = task.requests[useful], (limit == task.most[:, option])[useful]
        useful = useful[~beaten(asks, worth[useful], enough)]
        self.axes = np.flatnonzero(task.requests[useful].any(axis=0))
        self.capacity = task.options[option].capacity[self.axes]
        full = np.maximum(self.capacity, 1)
        # What takes most room comes first: it decides most.
        size = (task.requests[useful][:, self.axes] / full).sum(axis=1)
        self.useful = useful[np.argsort(-size, kind="stable")]
        self.asks = task.requests[self.useful][:, self.axes]
        self.limit, self.value = limit[self.useful], worth[self.useful]
        self.part = self.asks / full
        self.items = len(worth)

    def bounds(self, first: int, rooms: Ints) -> Bounds:
        """For loads of the items from ``first`` on; sharp for the given rooms, right for all.

        Any prices of room make a bound: an item is worth no more than its room at those prices and what it is over.
        """
        part, value, limit = self.part[first:], self.value[first:], self.limit[first:]
        full = np.maximum(self.capacity, 1)
        program = Program([-INFINITE] * len(full), [1.0] * len(full))
        starts, rows = np.cumsum([0, *(part > 0).sum(axis=1)])[:-1], np.nonzero(part)[1]
        program.add((-value).tolist(), starts.tolist(), rows.tolist(), part[part > 0].tolist(), limit.tolist())
        found = set()
        for room in (rooms / full).tolist():
            for row, amount in enumerate(room):
                program.demand(row, -INFINITE, amount)
            found.add(tuple(np.maximum(-program.solve().duals, 0.0).round(12).tolist()))
        prices = np.array(sorted(found))
        over = np.maximum(value - prices @ part.T, 0.0)
        return Bounds((over @ limit) * (1 + SAFETY), prices / full * (1 + SAFETY))

    def loads(self, limit: float, width: int = WIDTH, deadline: float = INFINITE) -> tuple[list[Ints], float]:
        """Loads that are worth more than ``limit``, the best first, and what no load is worth more than."""
        room, worth, steps = self.capacity[None].copy(), np.zeros(1), list[tuple[int, Ints, Ints]]()
        if not len(self.useful):
            return [], 0.0
        bounds = self.bounds(0, room)
        dropped = float(bounds.of(room)[0])
        if dropped <= limit:
            return [], dropped
        dropped, turn = limit, -(-len(self.useful) // STAGES)
        chance = np.random.default_rng(0)
        for item in range(len(self.useful)):
            if item and item % turn == 0 and len(room) > FEW:
                bounds = self.bounds(item, room[chance.choice(len(room), SAMPLES, replace=False)])
            grown = self.more(item, room, worth, bounds, limit)
            if not grown:
                continue
            every = np.arange(len(room))
            room = np.concatenate([room, *(one[0] for one in grown)])
            worth = np.concatenate([worth, *(one[1] for one in grown)])
            parent = np.concatenate([every, *(one[2] for one in grown)])
            count = np.repeat(np.arange(len(grown) + 1), [len(every), *(len(one[2]) for one in grown)])
            keep = best_of_equal(room, worth)
            top = worth[keep] + bounds.of(room[keep])
            keep, top = keep[top > limit], top[top > limit]
            late = time.monotonic() > deadline
            if len(keep) > width:
                order = np.argsort(-top, kind="stable")
                dropped = max(dropped, float(top[order[width]]))
                keep = keep[order[:width]]
            if late:
                dropped = max(dropped, float(top.max(initial=0.0)))
            room, worth = room[keep], worth[keep]
            steps.append((item, parent[keep], count[keep]))
            if late or not len(keep):
                break
        found = [place for place in np.argsort(-worth, kind="stable")[:FOUND].tolist() if worth[place] > limit]
        most = max(dropped, float(worth.max(initial=0.0))) * (1 + SAFETY)
        return [self.load(place, steps) for place in found], most

    def more(
        self, item: int, room: Ints, worth: Floats, bounds: Bounds, limit: float
    ) -> list[tuple[Ints, Floats, Ints]]:
        """The labels with one, two, … of an item more, as far as they may come to more than the limit: room, worth,
        and from which label."""
        grown, here = [], np.arange(len(room))
        for _ in range(int(self.limit[item])):
            able = (room >= self.asks[item]).all(axis=1)
            room, worth, here = room[able] - self.asks[item], worth[able] + self.value[item], here[able]
            able = worth + bounds.of(room) > limit
            room, worth, here = room[able], worth[able], here[able]
            if not len(room):
                break
            grown.append((room, worth, here))
        return grown

    def load(self, place: int, steps: list[tuple[int, Ints, Ints]]) -> Ints:
        """A label's load, by the steps that led to it."""
        load = np.zeros(self.items, dtype=np.int64)
        for item, parent, count in reversed(steps):
            load[self.useful[item]] += count[place]
            place = int(parent[place])
        return load


def beaten(asks: Ints, worth: Floats, enough: Bools) -> Bools:
    """Items in whose place another one is as good: it asks for no more, is worth no less, and there is enough of it."""
    better = (asks[:, None] <= asks[None]).all(axis=2) & (worth[:, None] >= worth[None]) & enough[:, None]
    np.fill_diagonal(better, False)
    # Of two that are equal, the first stays.
    better &= ~(better & better.T & np.tri(len(asks), dtype=bool))
    return np.asarray(better.any(axis=0))


def best_of_equal(room: Ints, worth: Floats) -> Ints:
    """Of labels that leave the same room the one of most worth. (When mixes of rooms collide, some stay twice.)"""
    order = np.argsort(-worth, kind="stable")
    order = order[np.argsort((room @ MIX[: room.shape[1]])[order], kind="stable")]
    rows = room[order]
    return np.asarray(order[np.append(True, (rows[1:] != rows[:-1]).any(axis=1))])
