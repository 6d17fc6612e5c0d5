"""The room there is: one row for each machine, of integers; filled, rolled back, and asked what still fits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from infra.autoscale.match import refusal
from infra.autoscale.snapshot import Labels, Needs, Taint

Ints: TypeAlias = npt.NDArray[np.int64]
Kind = tuple[tuple[tuple[str, str], ...], tuple[Taint, ...]]
"""The labels that decide for somebody, and the taints: machines of one kind take the same pods."""
MANY = 2**60


class Kinds:
    """Kinds of machines by number, and which needs they take, found out once for each pair."""

    def __init__(self, keys: frozenset[str]) -> None:
        self._keys = sorted(keys)
        self._numbers: dict[Kind, int] = {}
        self._labels: list[Labels] = []
        self._taints: list[tuple[Taint, ...]] = []
        self._masks: dict[Needs, npt.NDArray[np.bool_]] = {}

    def number(self, labels: Labels, taints: Sequence[Taint]) -> int:
        kind = (tuple((key, labels[key]) for key in self._keys if key in labels), tuple(sorted(taints)))
        found = self._numbers.setdefault(kind, len(self._numbers))
        if found == len(self._labels):
            self._labels.append(dict(kind[0]))
            self._taints.append(kind[1])
        return found

    def __len__(self) -> int:
        return len(self._labels)

    def labels(self, number: int) -> Labels:
        return self._labels[number]

    def why_not(self, needs: Needs, number: int) -> str:
        return refusal(needs, self._labels[number], self._taints[number])

    def mask(self, needs: Needs) -> npt.NDArray[np.bool_]:
        """Which kinds take a pod with these needs, by number."""
        # What it asks for does not matter to a kind; leaving that out lets shapes share answers.
        bare = needs._replace(requests=(), priority=0, gang=None, spreads=(), apart=())
        known = self._masks.get(bare)
        if known is None or len(known) < len(self):
            every = zip(self._labels, self._taints, strict=True)
            known = np.array([not refusal(bare, labels, taints) for labels, taints in every], dtype=bool)
            self._masks[bare] = known
        return known


def times(free: Ints, request: Ints) -> Ints:
    """How often a request fits into each row of ``free``; ``MANY`` for a request of nothing."""
    asked = np.flatnonzero(request)
    if not len(asked):
        return np.full(len(free), MANY, dtype=np.int64)
    result = free[:, asked[0]] // request[asked[0]]
    for axis in asked[1:]:
        np.minimum(result, free[:, axis] // request[axis], out=result)
    clipped: Ints = np.maximum(result, 0)
    return clipped


class Room:
    """Rows of free amounts. ``rank``: rows of a lower rank are filled first."""

    def __init__(self, axes: Sequence[str], scarce: Sequence[bool]) -> None:
        self.axes = tuple(axes)
        self.scarce = np.array(scarce, dtype=bool)
        self.free: Ints = np.zeros((64, len(self.axes)), dtype=np.int64)
        self.kind: Ints = np.zeros(64, dtype=np.int64)
        self.rank: Ints = np.zeros(64, dtype=np.int64)
        self.size = 0
        self.log: list[tuple[int, int, int]] = []
        self._undo: list[Ints] = []

    def vector(self, amounts: Mapping[str, int]) -> Ints:
        return np.array([amounts.get(axis, 0) for axis in self.axes], dtype=np.int64)

    def add(self, free: Ints, kind: int, rank: int) -> int:
        """A further row; its number."""
        if self.size == len(self.kind):
            self.free = np.concatenate([self.free, np.zeros_like(self.free)])
            self.kind = np.concatenate([self.kind, np.zeros_like(self.kind)])
            self.rank = np.concatenate([self.rank, np.zeros_like(self.rank)])
        self.free[self.size], self.kind[self.size], self.rank[self.size] = free, kind, rank
        self.size += 1
        return self.size - 1

    def put(self, row: int, item: int, request: Ints, count: int) -> None:
        self.free[row] -= request * count
        self.log.append((row, item, count))
        self._undo.append(request)

    def mark(self) -> tuple[int, int]:
        return len(self.log), self.size

    def back(self, mark: tuple[int, int]) -> None:
        """Undo everything since the mark, added rows included."""
        entries, size = mark
        for place in range(len(self.log) - 1, entries - 1, -1):
            row, _, count = self.log[place]
            self.free[row] += self._undo[place] * count
        del self.log[entries:], self._undo[entries:]
        self.size = size

    def fill(self, item: int, request: Ints, kinds: npt.NDArray[np.bool_], count: int) -> int:
        """Put up to ``count`` pods into the rows there are, the tightest first; how many found a place.

        Machines with GPUs that the pod does not ask for come last, so that they stay whole for who needs them.
        """
        if not self.size or count <= 0:
            return 0
        taking = np.flatnonzero(kinds[self.kind[: self.size]])
        if not len(taking):
            return 0
        free = self.free[taking]
        fit = times(free, request)
        good = np.flatnonzero(fit)
        if not len(good):
            return 0
        left, rows, most = count, taking[good], fit[good]
        for place in self._tightest(rows, free[good], request):
            here = min(left, int(most[place]))
            self.put(int(rows[place]), item, request, here)
            left -= here
            if not left:
                break
        return count - left

    def _tightest(self, rows: Ints, free: Ints, request: Ints) -> Ints:
        spare = self.scarce & (request == 0)
        wasted = (free[:, spare] > 0).any(axis=1) if spare.any() else np.zeros(len(rows), dtype=bool)
        asked = np.flatnonzero(request)
        # How often it would fit, summed over what it asks for: small is tight.
        loose = (free[:, asked] / request[asked]).sum(axis=1) if len(asked) else np.zeros(len(rows))
        return np.lexsort((rows, loose, self.rank[rows], wasted))
