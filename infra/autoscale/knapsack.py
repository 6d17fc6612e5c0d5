"""The load that is worth most on one machine: looked for by a beam of partial loads, proved by an integer program."""

from __future__ import annotations

import numpy as np

from infra.autoscale.room import Ints
from infra.autoscale.solver import INFINITE, Program
from infra.autoscale.task import Floats, Task

WIDTH = 150
"""Partial loads that are kept at each step."""
FOUND = 8


class Knapsack:
    """One option's loads at given worths; ``rows`` and ``useful`` are the axes and items that matter."""

    def __init__(self, task: Task, option: int, worth: Floats) -> None:
        self.task, self.worth = task, worth
        limit = np.minimum(task.most[:, option], task.demand)
        self.useful = np.flatnonzero((limit > 0) & (worth > 0))
        self.limit = limit[self.useful]
        self.capacity = task.options[option].capacity
        self.asks = task.requests[self.useful]
        self.value = worth[self.useful]
        self.part = self.asks / np.maximum(self.capacity, 1)
        self.axes = np.flatnonzero(self.asks.any(axis=0)).tolist()

    def _program(self) -> Program:
        program = Program([-INFINITE] * len(self.axes), [1.0] * len(self.axes))
        starts: list[int] = []
        rows: list[int] = []
        values: list[float] = []
        for item in range(len(self.useful)):
            starts.append(len(rows))
            for row, axis in enumerate(self.axes):
                if self.asks[item, axis]:
                    rows.append(row)
                    values.append(float(self.part[item, axis]))
        program.add((-self.value).tolist(), starts, rows, values)
        return program

    def load(self, put: Ints) -> Ints:
        whole = np.zeros(len(self.worth), dtype=np.int64)
        whole[self.useful] = put
        return whole

    def search(self) -> list[Ints]:
        """Good loads, the best first. Partial loads are judged by their worth and what the rest of the machine is
        worth to the linear program; items are added in one order only, so that no load is met twice."""
        if not len(self.useful):
            return []
        answer = self._program().solve()
        prices = np.zeros(len(self.capacity))
        prices[self.axes] = np.maximum(0.0, -answer.duals)
        loss = self.part @ prices - self.value
        order = np.lexsort((np.arange(len(loss)), -self.part.max(axis=1)))
        asks, value, limit, loss = self.asks[order], self.value[order], self.limit[order], loss[order]
        put = np.zeros((1, len(order)), dtype=np.int64)
        left, worth, score, last = self.capacity[None].copy(), np.zeros(1), np.zeros(1), np.zeros(1, dtype=np.int64)
        ended: list[tuple[float, Ints]] = []
        places = np.arange(len(order))
        while len(put):
            able = (asks[None] <= left[:, None]).all(axis=2) & (put < limit) & (places >= last[:, None])
            for done in np.flatnonzero(~able.any(axis=1)).tolist():
                ended.append((float(worth[done]), put[done]))
            rows, items = np.nonzero(able)
            if not len(rows):
                break
            scores = score[rows] - loss[items]
            if len(rows) > WIDTH:
                chosen = np.argpartition(-scores, WIDTH)[:WIDTH]
                rows, items, scores = rows[chosen], items[chosen], scores[chosen]
            put = put[rows]
            put[np.arange(len(rows)), items] += 1
            left, worth, score, last = left[rows] - asks[items], worth[rows] + value[items], scores, items
        ended.sort(key=lambda one: -one[0])
        back = np.empty(len(order), dtype=np.int64)
        back[order] = places
        return [self.load(one[back]) for _, one in ended[:FOUND]]

    def best(self, seconds: float, gap: float = 1e-4) -> tuple[Ints, float]:
        """The load worth most, and what no load is worth more than (they differ when time was short)."""
        none = np.zeros(len(self.worth), dtype=np.int64)
        if not len(self.useful):
            return none, 0.0
        program = self._program()
        program.whole(range(len(self.useful)), self.limit.astype(float).tolist())
        answer = program.solve(seconds, gap=gap)
        top = -program.best()
        if not answer.feasible or len(answer.values) != len(self.useful):
            return none, top if np.isfinite(top) else INFINITE
        load = self.load(np.round(answer.values).astype(np.int64))
        if ((load @ self.task.requests) > self.capacity).any():
            load = none
        return load, top if np.isfinite(top) else INFINITE
