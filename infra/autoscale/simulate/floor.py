"""The machines that are ready, and who runs where: Kubernetes' scheduler in outline, the same beside every policy.

It knows requests, selectors, affinity, taints, host ports and pods that may not share a machine; topology spread it
does not know. ``pack`` prefers the fullest machine (NodeResourcesFit with MostAllocated), ``spread`` the emptiest
(LeastAllocated, Kubernetes' default).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from infra.autoscale.match import all_hold, keys
from infra.autoscale.room import Ints, Kinds
from infra.autoscale.snapshot import REGION, ZONE, Needs, Node, Pod

Scheduler = Literal["pack", "spread"]
Bools = npt.NDArray[np.bool_]
GONE = -1


class Floor:
    """Rows of free room; a row of a machine that went is taken by the next one."""

    def __init__(self, needs: Iterable[Needs], scheduler: Scheduler) -> None:
        some = set(needs)
        self.axes = sorted({name for one in some for name, _ in one.requests} | {"cpu"})
        self.kinds = Kinds(keys(some) | {ZONE, REGION})
        self.scheduler = scheduler
        self.free: Ints = np.full((16, len(self.axes)), GONE, dtype=np.int64)
        self.size: npt.NDArray[np.float64] = np.ones((16, len(self.axes)))
        self.kind: Ints = np.zeros(16, dtype=np.int64)
        self.names: list[str] = []
        self.rows: dict[str, int] = {}
        self.pods: dict[str, dict[str, Pod]] = defaultdict(dict)
        self._spare: list[int] = []
        self._vectors: dict[Needs, Ints] = {}
        self._masks: dict[Needs, Bools] = {}
        self._freed: set[int] = set()
        self._all: Ints = np.arange(0)

    def vector(self, needs: Needs) -> Ints:
        found = self._vectors.get(needs)
        if found is None:
            asked = dict(needs.requests)
            found = self._vectors[needs] = np.array([asked.get(axis, 0) for axis in self.axes], dtype=np.int64)
        return found

    def add(self, node: Node) -> None:
        """A machine that is ready. Each has one of every host port."""
        row = self._spare.pop() if self._spare else len(self.names)
        if row == len(self.kind):
            self.free = np.concatenate([self.free, np.full_like(self.free, GONE)])
            self.size = np.concatenate([self.size, np.ones_like(self.size)])
            self.kind = np.concatenate([self.kind, np.zeros_like(self.kind)])
        if row == len(self.names):
            self.names.append(node.name)
            self._all = np.arange(len(self.names))
        have = dict(node.allocatable)
        room = [1 if axis.startswith("hostport/") else have.get(axis, 0) for axis in self.axes]
        self.names[row], self.rows[node.name] = node.name, row
        self.free[row], self.size[row] = room, np.maximum(1, room)
        self.kind[row] = self.kinds.number(node.labels, node.taints)
        self._freed.add(row)

    def remove(self, name: str) -> None:
        row = self.rows.pop(name)
        self.free[row] = GONE
        self._freed.discard(row)
        self._spare.append(row)
        self.pods.pop(name, None)

    def put(self, pod: Pod, name: str) -> None:
        self.free[self.rows[name]] -= self.vector(pod.needs)
        self.pods[name][pod.key] = pod

    def take(self, pod: Pod, name: str) -> None:
        self.free[self.rows[name]] += self.vector(pod.needs)
        self._freed.add(self.rows[name])
        del self.pods[name][pod.key]

    def find(self, pod: Pod, domain: Bools | None = None, among: Ints | None = None) -> str:
        """The machine that the scheduler would choose, "" for none; ``among`` are the rows that are looked at."""
        rows = self._all if among is None else among
        request = self.vector(pod.needs)
        fits = (self.free[rows] >= request).all(axis=1)
        if not fits.any():
            return ""
        mask = self._mask(pod.needs)
        good = rows[fits & (mask if domain is None else mask & domain)[self.kind[rows]]]
        if pod.needs.apart:
            good = np.array([row for row in good.tolist() if not self._beside(pod, row)], dtype=np.int64)
        if not len(good):
            return ""
        asked = np.flatnonzero(request)
        left = ((self.free[good] - request)[:, asked] / self.size[good][:, asked]).sum(axis=1)
        best = np.lexsort((good, left if self.scheduler == "pack" else -left))[0]
        return self.names[int(good[best])]

    def freed(self) -> Ints:
        """The rows with more room than at the last call."""
        rows, self._freed = np.array(sorted(self._freed), dtype=np.int64), set()
        return rows

    def _mask(self, needs: Needs) -> Bools:
        mask = self._masks.get(needs)
        if mask is None or len(mask) < len(self.kinds):
            mask = self._masks[needs] = self.kinds.mask(needs)
        return mask

    def _beside(self, pod: Pod, row: int) -> bool:
        others = self.pods.get(self.names[row], {}).values()
        return any(all_hold(term, {**one.labels, "": one.namespace}) for term in pod.needs.apart for one in others)

    def together(self, pods: Sequence[Pod], key: str, homes: set[str]) -> dict[str, str]:
        """A machine for each of these pods, all within one value of the label; empty when no value has room for all.

        ``homes``: the values where members run already; when there are some, it is only there.
        """
        values: dict[str, Bools] = {}
        for kind in range(len(self.kinds)):
            value = self.kinds.labels(kind).get(key, "")
            values.setdefault(value, np.zeros(len(self.kinds), dtype=bool))[kind] = True
        for value in sorted(values):
            if homes and homes != {value}:
                continue
            found: dict[str, str] = {}
            for pod in pods:
                name = self.find(pod, values[value])
                if not name:
                    break
                self.put(pod, name)
                found[pod.key] = name
            for pod in pods[: len(found)]:
                self.take(pod, found[pod.key])
            if len(found) == len(pods):
                return found
        return {}
