"""Whole machines of the columns' answer: what it says in whole, and for the rest an integer program over all loads.

The restricted master program of the residual problem (Wäscher and Gau, "Heuristics for the integer one-dimensional
cutting stock problem", 1996), here with swaps: a load stands for all that smaller pods make of it, so that few loads
are enough for a rest that hardly costs more than its share of the relaxation.
"""

from __future__ import annotations

import numpy as np

from infra.autoscale.columns import Columns, add_swaps
from infra.autoscale.pack import cheaper, pack, placed
from infra.autoscale.pattern import Pattern, cost_of, counts_of
from infra.autoscale.room import Ints
from infra.autoscale.solver import INFINITE, Program
from infra.autoscale.swap import swapped
from infra.autoscale.task import Task


def rounded(columns: Columns, best: list[Pattern], seconds: float, gap: float) -> list[Pattern]:
    """The cheapest of ``best``, best-fit for the rest, and the integer program, which ends within ``gap`` (a share of
    the whole cost)."""
    task = columns.task
    whole = np.floor(columns.values + 1e-6).astype(np.int64).tolist()
    kept = [
        Pattern(option, load, count) for (option, load), count in zip(columns.loads, whole, strict=False) if count > 0
    ]
    candidates = [best]
    quick = trimmed(task, swapped(kept, columns.swaps, np.floor(columns.swapping + 1e-6).astype(np.int64)))
    rest = task.demand - placed(task, quick)
    more, missing = pack(Task(rest, task.requests, task.options, task.most, _left(task, quick), task.free, task.usable))
    if not missing.any():
        candidates.append(merged(quick + more))
    candidates.append(merged(trimmed(task, _integers(columns, kept, seconds, gap))))
    complete = [one for one in candidates if (placed(task, one) == task.demand).all()]
    return min((_settled(task, one) for one in complete), key=lambda one: cost_of(task, one), default=best)


def _left(task: Task, patterns: list[Pattern]) -> tuple[int, ...]:
    left = list(task.left)
    for one in patterns:
        left[task.groups[one.option]] -= one.times
    return tuple(left)


def _settled(task: Task, patterns: list[Pattern]) -> list[Pattern]:
    return cheaper(task, patterns, list(_left(task, patterns)))


def merged(patterns: list[Pattern]) -> list[Pattern]:
    total: dict[tuple[int, tuple[tuple[int, int], ...]], int] = {}
    for one in patterns:
        total[one.option, one.load] = total.get((one.option, one.load), 0) + one.times
    return [Pattern(option, load, times) for (option, load), times in sorted(total.items())]


def _integers(columns: Columns, kept: list[Pattern], seconds: float, gap: float) -> list[Pattern]:
    """Beside what is kept, how often to use each load and each swap so that nothing is missing, in whole numbers;
    nothing when there was no time."""
    task, loads, swaps = columns.task, columns.loads, columns.swaps
    rest, left = task.demand - placed(task, kept), _left(task, kept)
    rows = {group: columns.items + row for row, group in enumerate(columns.groups)}
    program = Program(
        [*rest.astype(float).tolist(), *[-INFINITE] * len(rows)],
        [INFINITE] * columns.items + [float(left[group]) for group in columns.groups],
    )
    add_swaps(program, swaps)
    starts: list[int] = []
    entries: list[int] = []
    values: list[float] = []
    for option, load in loads:
        starts.append(len(entries))
        entries += [*(item for item, _ in load), rows[task.groups[option]]]
        values += [*(float(count) for _, count in load), 1.0]
    program.add([float(task.prices[option]) for option, _ in loads], starts, entries, values)
    program.whole(range(program.columns))
    share = max(columns.cost - cost_of(task, kept), 1e-9)
    answer = program.solve(seconds, gap=gap * columns.cost / share)
    if len(answer.values) != program.columns or not answer.feasible:
        return []
    times = np.round(answer.values).astype(np.int64)
    more = [
        Pattern(option, load, count)
        for (option, load), count in zip(loads, times[len(swaps) :].tolist(), strict=True)
        if count > 0
    ]
    return swapped(merged(kept + more), swaps, times[: len(swaps)])


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
