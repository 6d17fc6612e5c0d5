"""Linear programs, handed to HiGHS. The only module that knows it; it is loaded when a plan is first made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
INFINITE = float("inf")


class Answer(NamedTuple):
    """``values`` of the columns and ``duals`` of the rows; ``solved`` is False when there is no optimum in time,
    ``feasible`` False when there is no answer at all."""

    solved: bool
    cost: float
    values: Floats
    duals: Floats
    feasible: bool


class Program:
    """Minimise ``cost · x`` with ``lower ≤ A x ≤ upper`` by rows and x ≥ 0; columns can be added to a solved one."""

    def __init__(self, lower: Sequence[float], upper: Sequence[float]) -> None:
        import highspy

        self._highspy = highspy
        make: Any = highspy.Highs
        self._highs = make()
        self._highs.silent()
        for option, value in (("threads", 1), ("random_seed", 0), ("parallel", "off")):
            self._highs.setOptionValue(option, value)
        self.rows, self.columns = len(lower), 0
        empty = np.zeros(0)
        self._highs.addRows(
            self.rows,
            np.array(lower, dtype=np.float64),
            np.array(upper, dtype=np.float64),
            0,
            np.zeros(self.rows, dtype=np.int32),
            empty.astype(np.int32),
            empty,
        )

    def add(
        self,
        costs: Sequence[float],
        starts: Sequence[int],
        rows: Sequence[int],
        values: Sequence[float],
        upper: Sequence[float] | None = None,
    ) -> None:
        """Columns in compressed form: the k-th has its entries at ``starts[k]`` until the next start."""
        count = len(costs)
        if not count:
            return
        self._highs.addCols(
            count,
            np.array(costs, dtype=np.float64),
            np.zeros(count),
            np.full(count, self._highspy.kHighsInf) if upper is None else np.array(upper, dtype=np.float64),
            len(rows),
            np.array(starts, dtype=np.int32),
            np.array(rows, dtype=np.int32),
            np.array(values, dtype=np.float64),
        )
        self.columns += count

    def cut(self, rows: Sequence[tuple[npt.NDArray[np.int32], Floats]]) -> None:
        """Rows more: each ``values · x[columns] ≤ 0``."""
        starts = np.cumsum([0, *(len(columns) for columns, _ in rows)])[:-1].astype(np.int32)
        columns = np.concatenate([columns for columns, _ in rows]).astype(np.int32)
        values = np.concatenate([values for _, values in rows])
        count = len(rows)
        lower, upper = np.full(count, -self._highspy.kHighsInf), np.zeros(count)
        self._highs.addRows(count, lower, upper, len(columns), starts, columns, values)
        self.rows += count

    def whole(self, columns: Sequence[int], upper: Sequence[float] | None = None) -> None:
        """These columns are integers from now on."""
        kind = self._highspy.HighsVarType.kInteger
        places = np.array(columns, dtype=np.int32)
        self._highs.changeColsIntegrality(len(columns), places, np.array([kind] * len(columns)))
        if upper is not None:
            self._highs.changeColsBounds(len(columns), places, np.zeros(len(columns)), np.array(upper, dtype=float))

    def demand(self, row: int, lower: float, upper: float) -> None:
        self._highs.changeRowBounds(row, lower, upper)

    def start(self, values: Floats) -> None:
        """Of a program with whole columns: a solution to begin with."""
        solution = self._highspy.HighsSolution()
        solution.col_value = values.tolist()
        self._highs.setSolution(solution)

    def solve(self, seconds: float = 600.0, target: float = -INFINITE) -> Answer:
        """``target``: of a program with whole columns, a solution that costs no more is good enough."""
        self._highs.setOptionValue("time_limit", self._highs.getRunTime() + max(0.01, seconds))
        self._highs.setOptionValue("objective_target", max(target, -self._highspy.kHighsInf))
        self._highs.setOptionValue("mip_rel_gap", 0.0)
        # What it jumps to is so dear that it leads the later heuristics astray.
        self._highs.setOptionValue("mip_heuristic_run_feasibility_jump", False)
        self._highs.run()
        status = self._highs.getModelStatus()
        found = self._highs.getSolution()
        solved = status == self._highspy.HighsModelStatus.kOptimal
        info = self._highs.getInfo()
        feasible = info.primal_solution_status == self._highspy.SolutionStatus.kSolutionStatusFeasible
        return Answer(
            solved, info.objective_function_value, np.array(found.col_value), np.array(found.row_dual), feasible
        )
