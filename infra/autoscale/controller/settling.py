"""A burst is bought for once: while new work still arrives, nothing is bought yet.

Each launch round is a plan of its own, and the joint plan of a whole burst is cheaper than the sum of plans for its
parts. Work that was planned for before is not held up by it: a launch that failed is planned elsewhere at once.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from infra.autoscale.controller.settings import Settings
from infra.autoscale.snapshot import Snapshot


@dataclass
class Settling:
    """What arrived when, as we saw it: clocks of others are not asked. Nobody misses it after a restart."""

    settings: Settings
    _since: dict[str, float] = field(default_factory=dict)
    _planned: set[str] = field(default_factory=set)

    def until(self, snapshot: Snapshot) -> float | None:
        """Until when nothing is to be bought, in seconds since the epoch; None when it is time.

        That is ``settle`` seconds after the newest work came, and at most ``settle_most`` after the first of it.
        """
        waiting = [pod.key for pod in snapshot.pods if not pod.node and pod.owner != "DaemonSet" and not pod.problem]
        self._since = {key: self._since.get(key, snapshot.now) for key in waiting}
        fresh = [when for key, when in self._since.items() if key not in self._planned]
        if fresh:
            until = min(max(fresh) + self.settings.settle, min(fresh) + self.settings.settle_most)
            if until > snapshot.now:
                return until
        self._planned = set(waiting)
        return None
