"""A lower bound from many rounds of prices at once.

For any worths of pods, the machines of a plan must be able to hold pods of that worth: Σ machines × the best load's
worth ≥ the worth of all pods. One round of prices alone gives Farley's bound ("A note on bounding a class of linear
programming problems", 1990), which the worst option spoils. The cheapest numbers of machines that keep this for *all*
rounds are a tiny linear program; its prices mix the rounds into one, from which the bound is worked out anew, so the
solver need not be trusted.
"""

from __future__ import annotations

import numpy as np

from infra.autoscale.solver import INFINITE, Program
from infra.autoscale.task import Floats, Task

SAFETY = 1e-9
"""Relative; what rounding of floating-point numbers may have added."""


class Proof:
    """Rounds of prices: ``worth`` of the items, and ``tops``: what no load of each option is worth more than."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.worths: list[Floats] = []
        self.tops: list[Floats] = []
        self.bound = 0.0

    def add(self, worth: Floats, tops: Floats) -> None:
        self.worths.append(worth.copy())
        self.tops.append(tops.copy())
        self.bound = max(self.bound, self.certified(self.mix()))

    def mix(self) -> Floats:
        """How much of each round; the last one alone when the solver has no answer."""
        task, groups = self.task, sorted(set(self.task.groups))
        rounds = len(self.worths)
        program = Program(
            [float(worth @ task.demand) for worth in self.worths] + [-INFINITE] * len(groups),
            [INFINITE] * rounds + [float(task.left[group]) for group in groups],
        )
        tops, rows = np.array(self.tops), list(range(rounds))
        for option, (price, group) in enumerate(zip(task.prices.tolist(), task.groups, strict=True)):
            program.add([price], [0], [*rows, rounds + groups.index(group)], [*tops[:, option].tolist(), 1.0])
        answer = program.solve()
        if answer.solved and answer.duals[:rounds].max(initial=0.0) > 0:
            return np.maximum(answer.duals[:rounds], 0.0)
        return np.asarray(np.eye(rounds)[-1])

    def certified(self, mix: Floats) -> float:
        """The bound of one mix, with the premiums of the groups that fit it: each machine's pods are worth at most its
        price and its group's premium, so a plan costs at least its pods' worth less all premiums."""
        task = self.task
        gross, tops = float(mix @ np.array(self.worths) @ task.demand), mix @ np.array(self.tops)
        left, best = np.array(task.left, dtype=float), 0.0
        # Once with premiums for what is over its price, once without, all made smaller until nothing is.
        premium = np.zeros(len(left))
        np.maximum.at(premium, task.groups, tops - task.prices)
        for extra in (np.maximum(premium, 0.0), np.zeros(len(left))):
            limits = task.prices + extra[task.groups]
            over = float((tops / np.maximum(limits, 1e-12)).max(initial=0.0))
            if over > 0:
                spent = float(extra @ left)
                best = max(best, gross / max(over, 1e-12) - spent - SAFETY * (gross / over + spent))
        return best
