"""The certificate: what no plan for the same pods can be cheaper than, in $/h, and how far the plan is from it.

A linear relaxation (pods and machines may be split) gives prices of resources on each option. From those the bound is
worked out anew, in a form that is right whatever the prices are: the solver is a guide and need not be trusted.

Plain resources make a weak relaxation: two pods of 60 % of a machine would take 1.2 machines. So a machine's capacity
is also measured through step functions (dual feasible functions of Fekete and Schepers: any set of parts that fits
into 1 still fits into 1 when each part is replaced by its step), and those measures that the relaxation breaks are
added to it, for a few rounds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from infra.autoscale.solver import INFINITE, Program
from infra.autoscale.task import Floats, Task

SAFETY = 1e-9
"""Relative; what rounding of floating-point numbers may have added."""
STEPS = 12
"""Step functions that are tried."""
ROUNDS, LARGEST = 6, 6000
"""Rounds of measures; none for relaxations of more pairs of items and options, which are to be quick."""


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


def relaxed(task: Task, rounds: int = ROUNDS) -> Relaxed:
    """Solve the relaxation of a task; pods that fit nowhere are left out by a price that nobody would pay."""
    return _Relaxation(task).solve(rounds)


class _Relaxation:
    """Columns: pairs of item and option, pairs of item and class of free room, machines, pods left out. Rows: demand,
    resources of the free room, growth of the groups, and then the measures (option and the part each item takes)."""

    def __init__(self, task: Task) -> None:
        self.task = task
        items, options = task.most.shape
        classes, axes = task.free.shape
        self.pairs, self.uses = np.argwhere(task.most > 0), np.argwhere(task.usable)
        self.groups = sorted(set(task.groups))
        self.scale = np.maximum(1.0, task.requests.max(axis=0, initial=0)).astype(float)
        self.requests = task.requests / self.scale
        self.free_rows, self.group_rows = items, items + classes * axes
        self.first_machine = len(self.pairs) + len(self.uses)
        self.measures: list[tuple[int, Floats]] = []
        self._seen: set[tuple[int, bytes]] = set()
        self.columns = [np.flatnonzero(self.pairs[:, 1] == option).astype(np.int32) for option in range(options)]
        capacity = (task.free / self.scale).ravel().tolist() + [float(task.left[group]) for group in self.groups]
        self.program = Program(
            [float(count) for count in task.demand] + [-INFINITE] * len(capacity), [INFINITE] * items + capacity
        )
        self._fill()
        plain = [(o, axis, 0) for o in range(options) for axis in range(axes) if task.requests[:, axis].any()]
        self.measure(plain)

    def _fill(self) -> None:
        task, axes = self.task, self.task.free.shape[1]
        starts: list[int] = []
        rows: list[int] = []
        values: list[float] = []
        for item, _ in self.pairs.tolist():
            starts.append(len(rows))
            rows.append(item)
            values.append(1.0)
        for item, place in self.uses.tolist():
            starts.append(len(rows))
            used = np.flatnonzero(self.requests[item])
            rows += [item, *(self.free_rows + place * axes + used).tolist()]
            values += [1.0, *self.requests[item][used].tolist()]
        for group in task.groups:
            starts.append(len(rows))
            rows.append(self.group_rows + self.groups.index(group))
            values.append(1.0)
        for item in range(len(task.demand)):
            starts.append(len(rows))
            rows.append(item)
            values.append(1.0)
        never = 1000.0 * (1.0 + float(task.prices.max(initial=0.0)))
        costs = [0.0] * self.first_machine + task.prices.tolist() + [never] * len(task.demand)
        self.program.add(costs, starts, rows, values)

    def measure(self, some: list[tuple[int, int, int]]) -> None:
        """Add measures, named by option, axis and step."""
        rows = []
        for option, axis, step in some:
            part = parts(self.task, option, axis, step)
            key = (option, part.tobytes())
            if key in self._seen:
                continue
            self._seen.add(key)
            self.measures.append((option, part))
            mine = self.columns[option]
            taken = part[self.pairs[mine, 0]]
            used = np.flatnonzero(taken)
            columns = np.append(mine[used], self.first_machine + option).astype(np.int32)
            rows.append((columns, np.append(taken[used], -1.0)))
        if rows:
            self.program.cut(rows)

    def solve(self, rounds: int) -> Relaxed:
        task = self.task
        best = 0.0
        share = np.zeros(task.most.shape)
        machines, worth, premium = np.zeros(len(task.options)), np.zeros(len(task.demand)), np.zeros(len(task.left))
        for turn in range(max(1, rounds if len(self.pairs) <= LARGEST else 1)):
            answer = self.program.solve()
            if not answer.solved:
                break
            share = np.zeros(task.most.shape)
            share[self.pairs[:, 0], self.pairs[:, 1]] = answer.values[: len(self.pairs)]
            machines = answer.values[self.first_machine : self.first_machine + len(task.options)]
            found = self.certified(answer.duals)
            if found[2] >= best:
                worth, premium, best = found
            broken = self.broken(share, machines) if turn + 1 < rounds else []
            if not broken:
                break
            self.measure(broken)
        return Relaxed(best, share, machines, worth, premium)

    def broken(self, share: Floats, machines: Floats) -> list[tuple[int, int, int]]:
        """Measures that the present answer does not keep."""
        task, found = self.task, []
        for option in np.flatnonzero(machines > 1e-6).tolist():
            for axis in range(task.requests.shape[1]):
                for step in range(1, STEPS + 1):
                    if parts(task, option, axis, step) @ share[:, option] > machines[option] * (1 + 1e-6):
                        found.append((option, axis, step))
        return found

    def certified(self, duals: Floats) -> tuple[Floats, Floats, float]:
        """Worth of each item, premiums of the groups and the bound that follow from prices (any, not negative).

        Why it is a bound: a machine of an option cannot hold pods worth more than its price and its group's premium,
        by the way the prices are cut down here; free room not more than its own worth. So every plan costs at least
        the worth of its pods, less the worth of the free room, less the premium of all machines groups may have.
        """
        task = self.task
        classes, axes = task.free.shape
        premium = np.zeros(len(task.left))
        premium[self.groups] = np.maximum(0.0, -duals[self.group_rows : self.group_rows + len(self.groups)])
        on_free = np.maximum(0.0, -duals[self.free_rows : self.group_rows].reshape(classes, axes))
        prices = np.maximum(0.0, -duals[self.group_rows + len(self.groups) :])
        limits = task.prices + premium[task.groups]
        total, taken = np.zeros(len(task.options)), np.zeros(task.most.shape)
        for price, (option, part) in zip(prices.tolist(), self.measures, strict=True):
            total[option] += price
            taken[:, option] += price * part
        taken *= np.where(total > limits, limits / np.maximum(total, 1e-300), 1.0)
        worth = np.where(task.most > 0, taken, INFINITE).min(axis=1, initial=INFINITE)
        per_class = np.where(task.usable, self.requests @ on_free.T, INFINITE)
        worth = np.minimum(worth, per_class.min(axis=1, initial=INFINITE))
        worth[~np.isfinite(worth)] = 0.0
        gross = float(worth @ task.demand)
        spent = float((on_free * (task.free / self.scale)).sum()) + float(premium @ np.array(task.left, dtype=float))
        return worth, premium, max(0.0, gross - spent - SAFETY * (gross + spent))


def parts(task: Task, option: int, axis: int, step: int) -> npt.NDArray[np.float64]:
    """What part of a machine each item takes, on an axis: plainly (step 0), or through the step function u(step).

    u(k) leaves a part x as it is when (k+1)·x is whole, and makes it ⌊(k+1)·x⌋/k otherwise.
    """
    capacity, asked = int(task.options[option].capacity[axis]), task.requests[:, axis]
    if capacity <= 0:
        return np.where(asked > 0, 1.0, 0.0)
    part = asked / capacity
    if not step:
        return part
    whole, rest = np.divmod(asked.astype(np.int64) * (step + 1), capacity)
    return np.where(rest == 0, part, whole / step)
