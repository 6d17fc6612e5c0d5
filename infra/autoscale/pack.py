"""Buying machines for items, fast: the relaxation says how much goes where, best-fit makes whole machines of it."""

from __future__ import annotations

import numpy as np

from infra.autoscale.bound import Relaxed, relaxed
from infra.autoscale.pattern import Load, Pattern, as_load, counts_of, fill, used
from infra.autoscale.room import Ints
from infra.autoscale.task import Floats, Task


def pack(task: Task, guide: Relaxed | None = None) -> tuple[list[Pattern], Ints]:
    """Patterns for the task's demand on new machines alone, and what found no place, by item."""
    if not task.options or not task.demand.any():
        return [], task.demand.copy()
    guide = guide or relaxed(task, rounds=1)
    worth = np.maximum(guide.worth, 1e-9)
    state = _State(task)
    for option in np.argsort(-guide.machines, kind="stable").tolist():
        if guide.machines[option] >= 1:
            state.along(option, np.floor(guide.share[:, option] + 1e-6).astype(np.int64), worth)
    state.rest(worth)
    return cheaper(task, state.patterns, state.left), state.remaining


class _State:
    def __init__(self, task: Task) -> None:
        self.task = task
        self.remaining = task.demand.copy()
        self.left = list(task.left)
        self.patterns: list[Pattern] = []

    def along(self, option: int, share: Ints, worth: Floats) -> None:
        """Machines of one option for its share of the relaxation, as long as they get full."""
        while True:
            share = np.minimum(share, self.remaining)
            load, value = self.best(option, share, worth)
            # A machine that is not worth its price by now waits for what the other options leave.
            if not load.any() or value < 0.9 * self.task.options[option].price:
                return
            taken = self.use(option, load, share)
            if not taken:
                return
            share = share - load * taken

    def rest(self, worth: Floats) -> None:
        """What is left, always on the machine that gives most for its price."""
        prices = np.maximum(self.task.prices, 1e-9)
        # Offers that differ in price and place alone are filled alike, and a load is good as long as its pods last.
        columns = [self.task.most[:, place].tobytes() for place in range(len(prices))]
        kinds = [one.capacity.tobytes() + columns[place] for place, one in enumerate(self.task.options)]
        loads: dict[bytes, tuple[Ints, float]] = {}
        while self.remaining.any():
            best: tuple[float, int] | None = None
            for option, kind in enumerate(kinds):
                if not self.left[self.task.groups[option]]:
                    continue
                known = loads.get(kind)
                if known is None or (known[0] > self.remaining).any():
                    known = loads[kind] = self.best(option, self.remaining, worth)
                if known[1] > 0 and (best is None or known[1] / prices[option] > best[0] * (1 + 1e-9)):
                    best = (known[1] / float(prices[option]), option)
            if best is None:
                return
            self.use(best[1], loads[kinds[best[1]]][0], self.remaining)

    def best(self, option: int, available: Ints, worth: Floats) -> tuple[Ints, float]:
        """How to fill one machine, and what that is worth. (Dense items first would be worth a little more each time,
        and leave the others what nobody can use: in all it is dearer.)"""
        capacity, most = self.task.options[option].capacity, self.task.most[:, option]
        load = fill(capacity, self.task.requests, most, available, worth, align=True)
        return load, float(worth @ load)

    def use(self, option: int, load: Ints, available: Ints) -> int:
        some = np.flatnonzero(load)
        group = self.task.groups[option]
        times = min(int((available[some] // load[some]).min()), self.left[group])
        if times:
            self.left[group] -= times
            self.remaining = self.remaining - load * times
            self.patterns.append(Pattern(option, as_load(load), times))
        return times


def cheaper(task: Task, patterns: list[Pattern], left: list[int]) -> list[Pattern]:
    """The same loads on the cheapest machines that take them, as far as groups may grow. ``left`` is used up."""
    order = sorted(range(len(task.options)), key=lambda option: (task.options[option].price, option))
    changed: list[Pattern] = []
    for one in sorted(patterns, key=lambda one: (-task.options[one.option].price, one.option, one.load)):
        times = one.times
        for option in order:
            if not times or task.options[option].price >= task.options[one.option].price:
                break
            if not carries(task, option, one.load):
                continue
            mine, its = task.groups[one.option], task.groups[option]
            moved = times if mine == its else min(times, left[its])
            if moved:
                left[its] -= moved
                left[mine] += moved
                times -= moved
                changed.append(Pattern(option, one.load, moved))
        if times:
            changed.append(Pattern(one.option, one.load, times))
    return changed


def carries(task: Task, option: int, load: Load) -> bool:
    """Whether one machine of the option takes the load."""
    if any(not task.most[item, option] for item, _ in load):
        return False
    return bool((used(task, load) <= task.options[option].capacity).all())


def placed(task: Task, patterns: list[Pattern]) -> Ints:
    total = np.zeros(len(task.demand), dtype=np.int64)
    for one in patterns:
        total += counts_of(one.load, len(total)) * one.times
    return total
