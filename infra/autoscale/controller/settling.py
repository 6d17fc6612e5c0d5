"""A burst is bought for once: while new work still arrives, nothing is bought yet.

Each launch round is a plan of its own, and the joint plan of a whole burst is cheaper than the sum of plans for its
parts. Work that was planned for before is not held up by it: a launch that failed is planned elsewhere at once.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from infra.autoscale.controller.settings import Settings
from infra.autoscale.snapshot import Snapshot


def held_until(
    since: Mapping[str, float], planned: Collection[str], now: float, settle: float, longest: float
) -> float | None:
    """Until when work that arrives is to be waited for; None when it has settled.

    ``since`` is when each waiting pod came; those ``planned`` for before hold nothing up. ``settle`` seconds after the
    newest, and at most ``longest`` after the first.
    """
    fresh = [when for key, when in since.items() if key not in planned]
    if not fresh:
        return None
    until = min(max(fresh) + settle, min(fresh) + longest)
    return until if until > now else None


@dataclass
class Settling:
    """What arrived when, as we saw it: clocks of others are not asked. Nobody misses it after a restart."""

    settings: Settings
    _since: dict[str, float] = field(default_factory=dict)
    _planned: set[str] = field(default_factory=set)

    def until(self, snapshot: Snapshot) -> float | None:
        """Until when nothing is to be bought, in seconds since the epoch; None when it is time."""
        waiting = [pod.key for pod in snapshot.pods if not pod.node and pod.owner != "DaemonSet" and not pod.problem]
        self._since = {key: self._since.get(key, snapshot.now) for key in waiting}
        settings = self.settings
        until = held_until(self._since, self._planned, snapshot.now, settings.settle, settings.settle_most)
        if until is None:
            self._planned = set(waiting)
        return until
