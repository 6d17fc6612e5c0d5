"""More time for a cheaper plan and a sharper bound: column generation, then whole machines made of its answer."""

from __future__ import annotations

import time

from infra.autoscale.bound import relaxed
from infra.autoscale.columns import Columns, seed
from infra.autoscale.knapsack import WIDTH
from infra.autoscale.pack import placed
from infra.autoscale.pattern import Pattern, cost_of
from infra.autoscale.task import Task
from infra.autoscale.whole import rounded

PROVING, ROUNDING, ENOUGH = 0.05, 0.3, 10.0
"""The shares of the time that are kept for a last proof, and for making whole machines (so many seconds at most)."""
FEW = 12
"""So few new loads in a round that it pays to look for others too."""
CLOSE = 2e-4
"""A gap that is not worth more time."""
OVER, FINER, LEAST = 0.01, 4.0, 1e-5
"""Loads that are worth so much more than their price are looked for first; when there are none, finer ones."""
WIDE, NARROW = 0.002, 4000
"""Finer than this, all loads are looked through; before, those that so many partial loads lead to."""


def improve(task: Task, patterns: list[Pattern], seconds: float) -> tuple[list[Pattern], float]:
    """Patterns that place the same and cost no more, and a lower bound in $/h (0 when there was no time for one)."""
    started = time.monotonic()
    demand = placed(task, patterns)
    if not demand.any():
        return patterns, 0.0
    task = task.only(demand)
    guide = relaxed(task)
    growing = seconds - min(ROUNDING * seconds, ENOUGH)
    columns = Columns(task, started + growing - PROVING * seconds)
    seed(columns, guide.worth)
    for one in patterns:
        columns.add(one.option, one.load)
    columns.proof.add(guide.worth, task.prices + guide.premium[task.groups])
    grow(columns, cost_of(task, patterns))
    if time.monotonic() >= columns.deadline and len(columns.proof.worths) > 1:
        columns.deadline = started + growing
        columns.prove(CLOSE)
    bound = max(guide.bound, columns.proof.bound)
    best, cost = patterns, cost_of(task, patterns)
    if columns.values.size and cost > bound * (1 + CLOSE):
        whole = rounded(columns, best, started + seconds, bound * (1 + CLOSE))
        if cost_of(task, whole) < cost - 1e-9:
            best, cost = whole, cost_of(task, whole)
    return best, min(bound, cost)


def grow(columns: Columns, cost: float) -> None:
    """Columns until there is no time, or nothing to gain: by the cost at hand, or by the relaxation's.

    What is cheap comes first; what is dear is the only one that proves anything. Once the cheap ways find nothing they
    are not gone again.
    """
    over, cheap = OVER, True
    while time.monotonic() < columns.deadline and columns.solve():
        if min(cost, columns.cost) <= columns.proof.bound * (1 + CLOSE / 20):
            return
        found = columns.grow() if cheap else 0
        if cheap and found < FEW:
            found += columns.vary()
        while not found and time.monotonic() < columns.deadline:
            cheap = False
            found = columns.prove(over, NARROW if over > WIDE else WIDTH)
            if not found and over <= LEAST:
                return
            if not found:
                over /= FINER
