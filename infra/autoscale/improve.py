"""More time for a cheaper plan and a sharper bound: column generation, then whole machines made of its answer."""

from __future__ import annotations

import time

import numpy as np

from infra.autoscale.bound import relaxed
from infra.autoscale.columns import Columns, seed
from infra.autoscale.pack import cheaper, pack, placed
from infra.autoscale.pattern import Pattern, cost_of, counts_of
from infra.autoscale.room import Ints
from infra.autoscale.solver import INFINITE, Program
from infra.autoscale.task import Task

GROWING, PROVING = 0.65, 0.15
"""The shares of the time that go into columns and into a last proof; the rest makes whole machines of them."""
AGAIN = 2
HASTY = 0.4
"""The share of the time in which the bound does not matter yet."""
FEW = 12
"""So few new loads in a round that it pays to look for others too."""
CLOSE = 1e-4
"""A gap that is not worth more time."""


def improve(task: Task, patterns: list[Pattern], seconds: float, again: int = AGAIN) -> tuple[list[Pattern], float]:
    """Patterns that place the same and cost no more, and a lower bound in $/h (0 when there was no time for one).

    What is left over when the columns' answer is made whole is a smaller task of the same kind: it is solved in the
    same way, ``again`` times at most.
    """
    started = time.monotonic()
    demand = placed(task, patterns)
    if not demand.any():
        return patterns, 0.0
    task = task.only(demand)
    guide = relaxed(task)
    columns = Columns(task, started + GROWING * seconds)
    seed(columns, guide.worth)
    for one in patterns:
        columns.add(one.option, one.load)
    columns.bound = guide.bound
    best, cost = patterns, cost_of(task, patterns)
    while time.monotonic() < columns.deadline and cost > columns.bound * (1 + CLOSE):
        if not columns.solve():
            break
        worth = columns.worth
        # What is cheap comes first; what is dear is the only one that proves anything.
        found = columns.grow(worth)
        if found < FEW:
            found += columns.vary(worth)
        hasty = time.monotonic() < started + HASTY * seconds
        if not found and not columns.look(worth) and not columns.prove(worth, hasty):
            break
    if time.monotonic() >= columns.deadline and again == AGAIN and columns.values.size:
        columns.deadline = started + (GROWING + PROVING) * seconds
        columns.prove(columns.worth)
    if columns.values.size:
        whole = rounded(task, columns, best, started + seconds - time.monotonic(), again)
        if cost_of(task, whole) < cost - 1e-9:
            best, cost = whole, cost_of(task, whole)
    return best, min(columns.bound, cost)


def rounded(task: Task, columns: Columns, best: list[Pattern], seconds: float, again: int) -> list[Pattern]:
    """Whole machines: what the columns' answer says in whole, and an integer program over all loads for the rest."""
    candidates = [best]
    whole = np.floor(columns.values + 1e-6).astype(np.int64)
    for keep in (1.0, 0.9):
        kept = [
            Pattern(option, load, int(times * keep))
            for (option, load), times in zip(columns.loads, whole.tolist(), strict=False)
            if int(times * keep)
        ]
        rest = np.maximum(task.demand - placed(task, kept), 0)
        left = _left(task, kept)
        sub = Task(rest, task.requests, task.options, task.most, left, task.free, task.usable)
        more, missing = pack(sub)
        if not missing.any():
            if again and seconds > 0.2:
                more, _ = improve(sub, more, seconds / 4, again - 1)
            candidates.append(_merged(trimmed(task, kept + more)))
        more = _integers(sub, columns, max(0.05, seconds / 4))
        if more:
            candidates.append(_merged(trimmed(task, kept + more)))
    whole_plans = [one for one in candidates if (placed(task, one) == task.demand).all()]
    return min((_settled(task, one) for one in whole_plans), key=lambda one: cost_of(task, one), default=best)


def _left(task: Task, patterns: list[Pattern]) -> tuple[int, ...]:
    left = list(task.left)
    for one in patterns:
        left[task.groups[one.option]] -= one.times
    return tuple(left)


def _settled(task: Task, patterns: list[Pattern]) -> list[Pattern]:
    return cheaper(task, patterns, list(_left(task, patterns)))


def _merged(patterns: list[Pattern]) -> list[Pattern]:
    total: dict[tuple[int, tuple[tuple[int, int], ...]], int] = {}
    for one in patterns:
        total[one.option, one.load] = total.get((one.option, one.load), 0) + one.times
    return [Pattern(option, load, times) for (option, load), times in sorted(total.items())]


def _integers(task: Task, columns: Columns, seconds: float) -> list[Pattern]:
    """How often to use each load so that nothing is missing, in whole numbers; nothing when there was no time."""
    groups = sorted(set(task.groups))
    rows = [item for item in range(len(task.demand)) if task.demand[item]]
    if not rows:
        return []
    place = {item: row for row, item in enumerate(rows)}
    program = Program(
        [float(task.demand[item]) for item in rows] + [-INFINITE] * len(groups),
        [INFINITE] * len(rows) + [float(task.left[group]) for group in groups],
    )
    starts: list[int] = []
    entries: list[int] = []
    values: list[float] = []
    chosen = []
    for option, load in columns.loads:
        useful = [(item, count) for item, count in load if item in place]
        if useful:
            chosen.append((option, load))
            starts.append(len(entries))
            entries += [place[item] for item, _ in useful] + [len(rows) + groups.index(task.groups[option])]
            values += [float(count) for _, count in useful] + [1.0]
    program.add([float(task.prices[option]) for option, _ in chosen], starts, entries, values)
    program.whole(range(len(chosen)))
    answer = program.solve(seconds, gap=1e-4)
    if len(answer.values) != len(chosen) or not answer.feasible:
        return []
    times = np.round(answer.values).astype(int).tolist()
    return [Pattern(option, load, count) for (option, load), count in zip(chosen, times, strict=True) if count > 0]


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
