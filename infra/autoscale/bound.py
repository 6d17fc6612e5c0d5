"""The certificate: what no plan for the same pods can be cheaper than, in $/h, and how far the plan is from it.

A linear relaxation (pods and machines may be split) gives prices of resources on each option. From those the bound is
worked out anew, in a form that is right whatever the prices are: the solver is a guide and need not be trusted.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from infra.autoscale.solver import INFINITE, Program
from infra.autoscale.task import Floats, Task

SAFETY = 1e-9
"""Relative; what rounding of floating-point numbers may have added."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """``cost`` and ``bound`` in $/h of what is bought; ``gap`` is how far the cost is over the bound, as a share."""

    cost: float
    bound: float

    @property
    def gap(self) -> float:
        if self.cost <= 0:
            return 0.0
        return (self.cost - self.bound) / self.bound if self.bound > 0 else INFINITE


@dataclass(frozen=True, eq=False)
class Relaxed:
    """The relaxation's answer: how much of each item goes to each option (items × options), machines by option,
    ``worth`` of one of each item in $/h, ``premium`` of each group ($/h that one machine more of it would save)."""

    bound: float
    share: Floats
    machines: Floats
    worth: Floats
    premium: Floats


def relaxed(task: Task) -> Relaxed:
    """Solve the relaxation of a task; pods that fit nowhere are left out by a price that nobody would pay."""
    items, options = task.most.shape
    classes, axes = task.free.shape
    capacities = task.capacities.astype(float)
    scale = np.maximum(1.0, np.maximum(capacities.max(axis=0, initial=0), task.requests.max(axis=0, initial=0)))
    requests = task.requests / scale
    room = items  # first row of the options' capacity: below it, one row for each item's demand
    groups = sorted(set(task.groups))
    first_free, first_group = room + options * axes, room + (options + classes) * axes
    lower = [float(count) for count in task.demand] + [-INFINITE] * ((options + classes) * axes + len(groups))
    upper = [INFINITE] * items + [0.0] * (options * axes)
    upper += (task.free / scale).ravel().tolist() + [float(task.left[group]) for group in groups]
    program = Program(lower, upper)
    cost: list[float] = []
    starts: list[int] = []
    rows: list[int] = []
    values: list[float] = []
    pairs = np.argwhere(task.most > 0)
    for item, option in pairs.tolist():
        starts.append(len(rows))
        cost.append(0.0)
        used = np.flatnonzero(requests[item])
        rows += [item, *(room + option * axes + used).tolist()]
        values += [1.0, *requests[item][used].tolist()]
    for item, place in np.argwhere(task.usable).tolist():
        starts.append(len(rows))
        cost.append(0.0)
        used = np.flatnonzero(requests[item])
        rows += [item, *(first_free + place * axes + used).tolist()]
        values += [1.0, *requests[item][used].tolist()]
    machines = len(cost)
    for option in range(options):
        starts.append(len(rows))
        cost.append(float(task.prices[option]))
        rows += [room + option * axes + axis for axis in range(axes)] + [
            first_group + groups.index(task.groups[option])
        ]
        values += [*(-capacities[option] / scale).tolist(), 1.0]
    for item in range(items):
        starts.append(len(rows))
        cost.append(1000.0 * (1.0 + float(task.prices.max(initial=0.0))))
        rows.append(item)
        values.append(1.0)
    program.add(cost, starts, rows, values)
    answer = program.solve()
    share = np.zeros((items, options))
    if not answer.solved:
        return Relaxed(0.0, share, np.zeros(options), np.zeros(items), np.zeros(len(task.left)))
    if len(pairs):
        share[pairs[:, 0], pairs[:, 1]] = answer.values[: len(pairs)]
    on_options = np.maximum(0.0, -answer.duals[room:first_free].reshape(options, axes))
    on_free = np.maximum(0.0, -answer.duals[first_free:first_group].reshape(classes, axes))
    premium = np.zeros(len(task.left))
    premium[groups] = np.maximum(0.0, -answer.duals[first_group:])
    worth, bound = certified(task, on_options, on_free, premium, scale)
    return Relaxed(bound, share, answer.values[machines : machines + options], worth, premium)


def certified(task: Task, on_options: Floats, on_free: Floats, premium: Floats, scale: Floats) -> tuple[Floats, float]:
    """The worth of each item and the bound that follow from prices of resources (any, not negative).

    Why it is a bound: a machine of an option cannot hold pods worth more than its price and its group's premium, by
    the way the prices are cut down here; free room not more than its own worth. So every plan costs at least the
    worth of its pods, less the worth of the free room, less the premium of all machines that the groups may have.
    """
    requests = task.requests / scale
    limits = task.prices + premium[task.groups]
    full = (on_options * (task.capacities / scale)).sum(axis=1)
    on_options = on_options * np.where(full > limits, limits / np.maximum(full, 1e-300), 1.0)[:, None]
    worth = np.full(len(task.demand), INFINITE)
    per_option = np.where(task.most > 0, requests @ on_options.T, INFINITE)
    per_class = np.where(task.usable, requests @ on_free.T, INFINITE)
    worth = np.minimum(worth, per_option.min(axis=1, initial=INFINITE))
    worth = np.minimum(worth, per_class.min(axis=1, initial=INFINITE))
    worth[~np.isfinite(worth)] = 0.0
    gross = float(worth @ task.demand)
    spent = float((on_free * (task.free / scale)).sum()) + float(premium @ np.array(task.left, dtype=float))
    return worth, max(0.0, gross - spent - SAFETY * (gross + spent))
