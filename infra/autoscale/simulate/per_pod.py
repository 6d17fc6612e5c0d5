"""The policy ``per-pod``: Cluster Autoscaler in outline, with its defaults.

At each look, what fits on machines that are there or coming is left out. For what remains every group is tried alone,
first fit, the largest first; the one group that wastes least CPU and memory (the expander least-waste, which knows no
prices) grows, and the rest of the work has to wait for a further look. Empty machines go after ten minutes.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from infra.autoscale.market import Option
from infra.autoscale.simulate.fitting import Bins, first_fit
from infra.autoscale.simulate.policy import Launch, Orders, View
from infra.autoscale.snapshot import Place, Snapshot
from infra.autoscale.world import World

UNNEEDED = 600.0
"""scale-down-unneeded-time and scale-down-delay-after-add, in seconds."""
EMPTY = 10
"""max-empty-bulk-delete."""
BACKOFF, LONGEST_BACKOFF = 300.0, 1800.0
"""initial- and max-node-group-backoff-duration."""


class PerPod:
    name = "per-pod"
    gangs = False

    def __init__(self, interval: float = 10) -> None:
        self.interval = interval
        self._grown = -UNNEEDED
        self._backoff: dict[Place, tuple[float, float]] = {}

    def decide(self, view: View) -> Orders:
        now = view.snapshot.now
        for one in view.failed:
            _, length = self._backoff.get(one.place, (0.0, BACKOFF / 2))
            length = min(LONGEST_BACKOFF, 2 * length)
            self._backoff[one.place] = (now + length, length)
        away = {place: until for place, (until, _) in self._backoff.items() if until > now}
        launch = self._grow(replace(view.snapshot, starved=frozenset(away))) if view.since else None
        if launch is not None:
            self._grown = now
            return Orders((launch,), again=now + self.interval)
        removed, again = self._shrink(view.snapshot, now)
        moments = [*again, *(away.values() if view.since else ())]
        return Orders(remove=removed, again=min(moments, default=None))

    def _grow(self, snapshot: Snapshot) -> Launch | None:
        world = World(snapshot)
        rows, left = world.room.free[: world.room.size].copy(), list(world.left)
        for shape in range(len(world.shapes)):
            may = world.masks[shape][world.room.kind[: world.room.size]]
            left[shape] -= first_fit(rows, may, world.requests[shape], left[shape])
        best: tuple[float, Launch] | None = None
        tried: set[int] = set()
        for option in world.market.options:
            if option.group in tried:
                continue  # a group's first type that is not starved stands for the group
            tried.add(option.group)
            bins = self._estimate(world, option, left)
            if not len(bins.free):
                continue
            group = world.market.groups[option.group].name
            waste = _waste(world, option, bins)
            if best is None or waste < best[0]:
                best = (waste, Launch(group, option.offer.place, len(bins.free)))
        return best[1] if best else None

    @staticmethod
    def _estimate(world: World, option: Option, left: list[int]) -> Bins:
        """How many machines of a group what is left would take, as far as it fits there."""
        bins = Bins(option.capacity, world.market.left[option.pool])
        scale = np.maximum(1, option.capacity)
        axes = [place for place, axis in enumerate(world.room.axes) if axis in ("cpu", "memory")]
        order = sorted(
            (shape for shape in range(len(left)) if left[shape] and world.masks[shape][option.kind]),
            key=lambda shape: (-float((world.requests[shape] / scale)[axes].sum()), shape),
        )
        for shape in order:
            bins.put(world.requests[shape], left[shape])
        return bins

    def _shrink(self, snapshot: Snapshot, now: float) -> tuple[tuple[str, ...], list[float]]:
        """Machines that were empty for long enough, and when to look again."""
        since = {node.name: node.idle_since for node in snapshot.nodes if node.group and node.idle_since is not None}
        room = {group.name: group.desired - group.minimum for group in snapshot.groups}
        groups = {node.name: node.group for node in snapshot.nodes}
        removed: list[str] = []
        moments = []
        for name, when in sorted(since.items(), key=lambda item: (item[1], item[0])):
            ripe = max(when, self._grown) + UNNEEDED
            if ripe > now:
                moments.append(ripe)
            elif room[groups[name]] <= 0:
                continue
            elif len(removed) >= EMPTY:
                moments.append(now + self.interval)
            else:
                room[groups[name]] -= 1
                removed.append(name)
        return tuple(removed), moments


def _waste(world: World, option: Option, bins: Bins) -> float:
    """The shares of CPU and of memory that would lie idle, added up; GPUs do not count."""
    wasted = 0.0
    for place, axis in enumerate(world.room.axes):
        have = int(option.capacity[place]) * len(bins.free)
        if axis in ("cpu", "memory") and have:
            wasted += 1 - int(bins.used[place]) / have
    return wasted
