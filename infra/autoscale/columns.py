"""Column generation (Gilmore and Gomory, "A linear programming approach to the cutting-stock problem", 1961): machines'
loads as columns of a linear program, and the load that would help most as the next.

The answer says how often to use which load (in fractions), and its prices give the sharpest bound that is to be had:
a machine cannot hold pods worth more than the best load there is, whatever the prices.
"""

from __future__ import annotations

import time

import numpy as np

from infra.autoscale.knapsack import WIDTH, Knapsack
from infra.autoscale.pattern import Load, as_load, counts_of, fill, fill_many
from infra.autoscale.proof import Proof
from infra.autoscale.room import Ints
from infra.autoscale.solver import INFINITE, Program
from infra.autoscale.swap import swaps_of
from infra.autoscale.task import Floats, Task

ENOUGH = 1e-6
"""A load whose worth is over its price by less than this share is no gain."""
AT_ONCE = 6
"""Loads that one option may add in one round."""


class Columns:
    """The master program of a task without free room, its columns, and its best bound so far.

    Its columns: pods left out (dear), swaps, loads. Its rows: demand, growth of the groups.
    """

    def __init__(self, task: Task, deadline: float) -> None:
        self.task, self.deadline = task, deadline
        self.items = len(task.demand)
        self.groups = sorted(set(task.groups))
        self.loads: list[tuple[int, Load]] = []
        self._known: set[tuple[int, Load]] = set()
        self.proof = Proof(task)
        self.worth: Floats = np.zeros(self.items)
        self.premium: Floats = np.zeros(len(task.left))
        self.values: Floats = np.zeros(0)
        self.cost = INFINITE
        self.swaps = swaps_of(task)
        self.swapping: Floats = np.zeros(len(self.swaps))
        lower = [float(count) for count in task.demand] + [-INFINITE] * len(self.groups)
        upper = [INFINITE] * self.items + [float(task.left[group]) for group in self.groups]
        self.program = Program(lower, upper)
        slack = 10.0 * (1.0 + float(task.prices.max(initial=0.0)))
        every = list(range(self.items))
        self.program.add([slack] * self.items, every, every, [1.0] * self.items)
        add_swaps(self.program, self.swaps)
        self.alike: dict[bytes, list[int]] = {}
        for option, one in enumerate(task.options):
            self.alike.setdefault(one.capacity.tobytes() + task.most[:, option].tobytes(), []).append(option)

    def add(self, option: int, load: Load) -> bool:
        """A load more; False when it is there already."""
        if not load or (option, load) in self._known:
            return False
        self._known.add((option, load))
        self.loads.append((option, load))
        rows = [item for item, _ in load] + [self.items + self.groups.index(self.task.groups[option])]
        values = [float(count) for _, count in load] + [1.0]
        self.program.add([float(self.task.prices[option])], [0], rows, values)
        return True

    def solve(self) -> bool:
        """Prices and values anew; False when there was no time."""
        answer = self.program.solve(self.deadline - time.monotonic())
        if not answer.solved:
            return False
        first = self.items + len(self.swaps)
        self.swapping = np.maximum(answer.values[self.items : first], 0.0)
        self.values = np.maximum(answer.values[first:], 0.0)
        self.worth = np.maximum(answer.duals[: self.items], 0.0)
        self.premium = np.zeros(len(self.task.left))
        self.premium[self.groups] = np.maximum(-answer.duals[self.items :], 0.0)
        self.cost = answer.cost
        return True

    def limits(self) -> Floats:
        """What the pods of a machine may be worth at most: its price and the premium of its group."""
        return self.task.prices + self.premium[self.task.groups]

    def grow(self) -> int:
        """Loads that would help at the present prices, found fast; how many."""
        found = 0
        for options in self.alike.values():
            if time.monotonic() > self.deadline:
                break
            capacity, limit = self.machine(options)
            loads = fill_many(capacity, self.task.requests, limit, self.worth)
            found += self.take(options, loads, AT_ONCE)
        return found

    def vary(self) -> int:
        """Loads that would help, made of those in use: one or two of their items out, the best that fits in."""
        found = 0
        used: dict[int, list[Ints]] = {}
        for (option, load), value in zip(self.loads, self.values.tolist(), strict=False):
            if value > ENOUGH:
                used.setdefault(option, []).append(counts_of(load, self.items))
        for options in self.alike.values():
            bases = [base for option in options for base in used.get(option, [])]
            begun = {load.tobytes(): load for base in bases for load in without(base)}
            if not begun or time.monotonic() > self.deadline:
                continue
            capacity, limit = self.machine(options)
            loads = fill_many(capacity, self.task.requests, limit, self.worth, np.array(list(begun.values())))
            found += self.take(options, loads, 3 * AT_ONCE)
        return found

    def machine(self, options: list[int]) -> tuple[Ints, Ints]:
        """What one of these options, which are alike, has, and how many of each item it may take."""
        return self.task.options[options[0]].capacity, np.minimum(self.task.most[:, options[0]], self.task.demand)

    def take(self, options: list[int], loads: Ints, count: int) -> int:
        """The best of some loads as columns, if they are worth more than an option's limit; how many are new."""
        found, limits, values = 0, self.limits() * (1 + ENOUGH), loads @ self.worth
        for place in np.argsort(-values, kind="stable")[:count].tolist():
            for option in options:
                if values[place] > limits[option]:
                    found += self.add(option, as_load(loads[place]))
        return found

    def prove(self, over: float, width: int = WIDTH) -> int:
        """The best loads of each option at the present prices, if they are worth more than its price by the share
        ``over`` at least: how many were found. When none are, that is proved, and the bound gets as sharp as that."""
        found, tops, limits = 0, np.zeros(len(self.task.options)), self.limits()
        for options in self.alike.values():
            knapsack = Knapsack(self.task, options[0], self.worth)
            loads, tops[options] = knapsack.loads(float(limits[options].min()) * (1 + over), width, self.deadline)
            if loads:
                found += self.take(options, np.array(loads), len(loads))
        self.proof.add(self.worth, tops)
        return found


def add_swaps(program: Program, swaps: list[tuple[int, int]]) -> None:
    """One place of an item less, one of a smaller item more, for nothing."""
    program.add(
        [0.0] * len(swaps), list(range(0, 2 * len(swaps), 2)), [item for pair in swaps for item in pair],
        [-1.0, 1.0] * len(swaps),
    )  # fmt: skip


def without(load: Ints) -> list[Ints]:
    """A load less one, or two, of what is in it."""
    items = np.flatnonzero(load).tolist()
    one_of = np.eye(len(load), dtype=np.int64)
    found = [load - one_of[item] for item in items]
    for place, item in enumerate(items):
        found += [load - one_of[item] - one_of[other] for other in items[place + 1 :]]
        if load[item] > 1:
            found.append(load - 2 * one_of[item])
    return found


def seed(columns: Columns, worth: Floats) -> None:
    """Columns to begin with: each item alone on each option, and full machines at the relaxation's prices."""
    task = columns.task
    for item, option in np.argwhere(task.most > 0).tolist():
        count = min(int(task.most[item, option]), int(task.demand[item]))
        if count:
            columns.add(option, ((item, count),))
    columns.premium[:] = 0.0
    for option, one in enumerate(task.options):
        for align in (False, True):
            columns.add(
                option, as_load(fill(one.capacity, task.requests, task.most[:, option], task.demand, worth, align))
            )
