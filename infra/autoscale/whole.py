"""Whole machines of the columns' answer: many dives, then an integer program over all loads.

A dive takes what the answer says in whole, rounds one load up when there is nothing whole, and solves the program again
for what is missing (the residual method for cutting stock: Wäscher and Gau, "Heuristics for the integer one-dimensional
cutting stock problem", 1996; as diving: Sadykov et al., "Primal heuristics for branch and price", 2019). The first
dive rounds the largest part up, the others one by lot. With swaps a load stands for all that smaller pods make of it,
so the loads at hand are enough: no new ones are generated on the way.
"""

from __future__ import annotations

import time

import numpy as np

from infra.autoscale.columns import Columns, add_swaps
from infra.autoscale.pack import cheaper, placed
from infra.autoscale.pattern import Pattern, cost_of, counts_of
from infra.autoscale.room import Ints
from infra.autoscale.solver import INFINITE, Program
from infra.autoscale.swap import swapped
from infra.autoscale.task import Task

DIVES, SHARE = 100, 0.5
"""So many dives at most, in this share of the time; the integer program has the rest."""
SHORT = 2.0
"""Seconds that are too few for the integer program: dives have them all."""
WHOLE = 1e-6


def rounded(columns: Columns, best: list[Pattern], deadline: float, enough: float) -> list[Pattern]:
    """The cheapest patterns that were found before ``deadline`` (by time.monotonic), ``best`` among them; a cost of
    ``enough`` ends it."""
    task, master = columns.task, _Master(columns)
    cost, start = cost_of(task, best), None
    seconds = deadline - time.monotonic()
    until = deadline - (seconds * (1 - SHARE) if seconds > SHORT else 0.0)
    for number in range(DIVES):
        found = master.dive(number, until)
        if found is None:
            break
        patterns = master.patterns(*found)
        if patterns and cost_of(task, patterns) < cost - 1e-9:
            best, cost, start = patterns, cost_of(task, patterns), found
        if cost <= enough:
            return best
    if seconds > SHORT:
        patterns = master.integers(start, deadline, enough)
        if patterns and cost_of(task, patterns) < cost - 1e-9:
            best = patterns
    return best


class _Master:
    """All loads and swaps at hand, for what is missing beside some machines of these loads."""

    def __init__(self, columns: Columns) -> None:
        self.task, self.swaps, self.items = columns.task, columns.swaps, columns.items
        self.loads, self.groups = columns.loads, columns.groups
        task = self.task
        self.first = np.floor(np.resize(columns.values, len(self.loads)) + WHOLE).astype(np.int64)
        self.first[len(columns.values) :] = 0
        self.matrix = np.zeros((self.items + len(self.groups), len(self.loads)), dtype=np.int64)
        for place, (option, load) in enumerate(self.loads):
            for item, count in load:
                self.matrix[item, place] = count
            self.matrix[self.items + self.groups.index(task.groups[option]), place] = 1
        self.wanted = np.append(task.demand, [task.left[group] for group in self.groups])
        self.program = Program([0.0] * len(self.wanted), [0.0] * len(self.wanted))
        add_swaps(self.program, self.swaps)
        self.beside(self.first)
        rows = [np.flatnonzero(column) for column in self.matrix.T]
        starts = np.cumsum([0, *(len(some) for some in rows)])[:-1].tolist()
        values = self.matrix.T[self.matrix.T > 0].astype(float).tolist()
        prices = [float(task.prices[option]) for option, _ in self.loads]
        self.program.add(prices, starts, np.concatenate(rows).tolist(), values)

    def beside(self, kept: Ints) -> None:
        """The program is for what is missing beside these machines (so many of each load) from now on. Places that are
        left over may be swapped, too."""
        rest = (self.wanted - self.matrix @ kept).astype(float).tolist()
        for row, amount in enumerate(rest):
            if row < self.items:
                self.program.demand(row, amount, INFINITE)
            else:
                self.program.demand(row, -INFINITE, amount)

    def dive(self, number: int, deadline: float) -> tuple[Ints, Ints] | None:
        """How often each load and each swap; None when there was no time, or no way on."""
        chance, kept = np.random.default_rng(number), self.first.copy()
        while True:
            self.beside(kept)
            answer = self.program.solve(deadline - time.monotonic())
            if not answer.solved or time.monotonic() > deadline:
                return None
            values = answer.values[len(self.swaps) :]
            whole = np.floor(values + WHOLE).astype(np.int64)
            if not whole.any():
                part = np.where(values > WHOLE, values, 0.0)
                if not part.any():
                    return kept, np.floor(answer.values[: len(self.swaps)] + WHOLE).astype(np.int64)
                lot = part**3 / (part**3).sum()
                whole[int(np.argmax(part)) if not number else int(chance.choice(len(part), p=lot))] = 1
            kept = kept + whole

    def integers(self, start: tuple[Ints, Ints] | None, deadline: float, enough: float) -> list[Pattern]:
        """What is missing beside the whole part of the columns' answer, by an integer program; ``start``: a dive."""
        self.beside(self.first)
        self.program.whole(range(self.program.columns))
        if start:
            self.program.start(np.append(start[1], start[0] - self.first).astype(float))
        before = float(self.task.prices[[option for option, _ in self.loads]] @ self.first)
        answer = self.program.solve(deadline - time.monotonic(), target=enough - before)
        if len(answer.values) != self.program.columns or not answer.feasible:
            return []
        times = np.round(answer.values).astype(np.int64)
        return self.patterns(self.first + times[len(self.swaps) :], times[: len(self.swaps)])

    def patterns(self, kept: Ints, swaps: Ints) -> list[Pattern]:
        """Loads and swaps as patterns that place just what is wanted, on the cheapest machines that take them; nothing
        if they do not."""
        task, left = self.task, list(self.task.left)
        found = [Pattern(*self.loads[place], int(kept[place])) for place in np.flatnonzero(kept)]
        found = merged(trimmed(task, swapped(found, self.swaps, swaps)))
        if (placed(task, found) != task.demand).any():
            return []
        for one in found:
            left[task.groups[one.option]] -= one.times
        return merged(cheaper(task, found, left))


def merged(patterns: list[Pattern]) -> list[Pattern]:
    total: dict[tuple[int, tuple[tuple[int, int], ...]], int] = {}
    for one in patterns:
        total[one.option, one.load] = total.get((one.option, one.load), 0) + one.times
    return [Pattern(option, load, times) for (option, load), times in sorted(total.items())]


def trimmed(task: Task, patterns: list[Pattern]) -> list[Pattern]:
    """The same machines without the pods that are there more often than they were wanted."""
    over = placed(task, patterns) - task.demand
    kept: list[Pattern] = []
    for one in sorted(patterns, key=lambda one: (-task.options[one.option].price, one.option, one.load)):
        times = one.times
        while times and any(over[item] > 0 for item, _ in one.load):
            counts = counts_of(one.load, len(over))
            spare: Ints = np.minimum(counts, np.maximum(over, 0))
            # As many machines at once as can spare the same.
            some = np.flatnonzero(spare)
            alike = max(1, min(times, int((over[some] // spare[some]).min())))
            over = over - spare * alike
            times -= alike
            rest = tuple((int(item), int(count)) for item, count in enumerate(counts - spare) if count)
            if rest:
                kept.append(Pattern(one.option, rest, alike))
        if times:
            kept.append(Pattern(one.option, one.load, times))
    return kept
