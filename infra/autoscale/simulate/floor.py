"""The machines that are ready, and who runs where: Kubernetes' scheduler in outline, the same beside every policy.

It knows requests, selectors, affinity, taints, host ports, pods that may not share a machine, and topology spread.
``pack`` prefers the fullest machine (NodeResourcesFit with MostAllocated), ``spread`` the emptiest (LeastAllocated,
Kubernetes' default). A pod that is nominated for a machine is tried there first, and its room is kept from others of
its priority or less (the scheduler's filters count nominated pods).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from infra.autoscale.match import all_hold, keys
from infra.autoscale.room import Ints, Kinds
from infra.autoscale.snapshot import REGION, ZONE, Labels, Needs, Node, Pod, Spread, Toleration

Scheduler = Literal["pack", "spread"]
Bools = npt.NDArray[np.bool_]
GONE = -1
_EVERYTHING = (Toleration("", "Exists", "", ""),)


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
        self._held: dict[int, Ints] = {}
        """By priority: what pods that are nominated ask for, by row."""
        self._nominated: dict[str, dict[str, Pod]] = defaultdict(dict)
        self._all: Ints = np.arange(0)
        self._labels: dict[int, Labels] = {}

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
            self._held = {of: np.concatenate([held, np.zeros_like(held)]) for of, held in self._held.items()}
        if row == len(self.names):
            self.names.append(node.name)
            self._all = np.arange(len(self.names))
        have = dict(node.allocatable)
        room = [1 if axis.startswith("hostport/") else have.get(axis, 0) for axis in self.axes]
        self.names[row], self.rows[node.name] = node.name, row
        self.free[row], self.size[row] = room, np.maximum(1, room)
        self.kind[row] = self.kinds.number(node.labels, node.taints)
        self._freed.add(row)
        self._labels[row] = node.labels
        for pod in self._nominated.get(node.name, {}).values():
            self._hold(pod, row, 1)

    def remove(self, name: str) -> None:
        row = self.rows.pop(name)
        self.free[row] = GONE
        for held in self._held.values():
            held[row] = 0
        self._nominated.pop(name, None)
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

    def nominate(self, pod: Pod, name: str) -> None:
        """Propose a machine for a waiting pod; it need not be there yet."""
        self._nominated[name][pod.key] = pod
        if name in self.rows:
            self._hold(pod, self.rows[name], 1)

    def forget(self, pod: Pod, name: str, where: str = "") -> None:
        """The nomination is taken back, or the pod is bound (``where``)."""
        if self._nominated.get(name, {}).pop(pod.key, None) is not None and name in self.rows:
            self._hold(pod, self.rows[name], -1)
            if name != where:
                self._freed.add(self.rows[name])

    def label(self, name: str, key: str) -> str:
        """A label of a machine that is ready, "" without it."""
        row = self.rows.get(name)
        return "" if row is None else self._labels[row].get(key, "")

    def nominated(self, row: int) -> list[Pod]:
        """The pods that are nominated for the machine of a row."""
        return list(self._nominated.get(self.names[row], {}).values())

    def _hold(self, pod: Pod, row: int, sign: int) -> None:
        if pod.needs.priority not in self._held:
            self._held[pod.needs.priority] = np.zeros_like(self.free)
        self._held[pod.needs.priority][row] += sign * self.vector(pod.needs)

    def _room(self, rows: Ints, priority: int) -> Ints:
        """What is free of these rows for a pod of a priority: less what is kept for nominated ones."""
        free = self.free[rows]
        for of, held in self._held.items():
            if of >= priority:
                free = free - held[rows]
        return free

    def find(self, pod: Pod, domain: Bools | None = None, among: Ints | None = None, nominated: str = "") -> str:
        """The machine that the scheduler would choose, "" for none; ``among`` are the rows that are looked at.

        One that the pod is ``nominated`` for is taken when it fits there, whatever its score.
        """
        own = self.rows.get(nominated)
        if own is not None and pod.key in self._nominated.get(nominated, {}):
            self._hold(pod, own, -1)
            found = self._best(pod, domain, np.array([own]))
            found = found or self._best(pod, domain, among)
            self._hold(pod, own, 1)
            return found
        return self._best(pod, domain, among)

    def _best(self, pod: Pod, domain: Bools | None, among: Ints | None) -> str:
        rows = self._all if among is None else among
        request = self.vector(pod.needs)
        fits = (self._room(rows, pod.needs.priority) >= request).all(axis=1)
        if not fits.any():
            return ""
        mask = self._mask(pod.needs)
        good = rows[fits & (mask if domain is None else mask & domain)[self.kind[rows]]]
        if pod.needs.apart:
            good = np.array([row for row in good.tolist() if not self._beside(pod, row)], dtype=np.int64)
        for spread in pod.needs.spreads:
            good = self._spread(pod, spread, good)
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

    def _spread(self, pod: Pod, spread: Spread, rows: Ints) -> Ints:
        """Those of the rows where a pod keeps its skew: PodTopologySpread with its default policies, by which nodes
        that the pod's affinity refuses do not count, and tainted ones do."""
        bare = pod.needs._replace(tolerations=_EVERYTHING)
        counted = self.kinds.mask(bare)
        counts: dict[str, int] = {}
        for name, row in self.rows.items():
            value = self._labels[row].get(spread.key)
            if value is not None and counted[self.kind[row]]:
                others = self.pods.get(name, {}).values()
                mine = sum(all_hold(spread.selector, {**one.labels, "": one.namespace}) for one in others)
                counts[value] = counts.get(value, 0) + mine
        least = min(counts.values(), default=0) if len(counts) >= spread.min_domains else 0
        itself = int(all_hold(spread.selector, {**pod.labels, "": pod.namespace}))
        most = spread.max_skew + least - itself
        able = [row for row in rows.tolist() if counts.get(self._labels[row].get(spread.key, ""), most + 1) <= most]
        return np.array(able, dtype=np.int64)

    def together(self, pods: Sequence[Pod], key: str, homes: set[str], nominated: Mapping[str, str]) -> dict[str, str]:
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
            freed = set(self._freed)
            for pod in pods:
                promised = nominated.get(pod.key, "")
                name = self.find(pod, values[value], nominated=promised)
                if not name:
                    break
                if promised in self.rows:
                    self._hold(pod, self.rows[promised], -1)
                self.put(pod, name)
                found[pod.key] = name
            for pod in pods[: len(found)]:
                self.take(pod, found[pod.key])
                if nominated.get(pod.key) in self.rows:
                    self._hold(pod, self.rows[nominated[pod.key]], 1)
            self._freed = freed  # nothing came free by a trial
            if len(found) == len(pods):
                return found
        return {}
