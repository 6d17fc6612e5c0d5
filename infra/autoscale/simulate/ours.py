"""The policy ``infra``: the planner over everything that waits, once a burst has settled; what it plans is proposed to
the scheduler, as the controller does it; the shrinker for the rest."""

from __future__ import annotations

from dataclasses import replace

from infra.autoscale.controller.settling import held_until
from infra.autoscale.nominations import MANY, Nominations
from infra.autoscale.plan import plan
from infra.autoscale.seating import Seating
from infra.autoscale.shrink import SERVICES, Shrinking, shrink
from infra.autoscale.simulate.policy import Launch, Orders, View
from infra.autoscale.snapshot import Place, Snapshot

BACKOFF, LONGEST_BACKOFF = 120.0, 3600.0
"""Seconds that a place is left alone after it refused; doubled at each further refusal."""


class Ours:
    """``settle``: seconds without a new pod after which machines are bought, ``longest`` after the first one at the
    latest. ``idle_minutes`` and ``cap`` are the shrinker's; ``optimize`` the planner's seconds for a cheaper plan."""

    name = "infra"
    gangs = True

    def __init__(
        self,
        interval: float = 10,
        settle: float = 15,
        longest: float = 150,
        idle_minutes: float = 10,
        cap: int = 10,
        optimize: float = 0,
    ) -> None:
        self.interval, self.settle, self.longest = interval, settle, longest
        self.idle_minutes, self.cap, self.optimize = idle_minutes, cap, optimize
        self._planned: set[str] = set()
        self._seating, self._nominations = Seating(), Nominations()
        self._backoff: dict[Place, tuple[float, float]] = {}

    def decide(self, view: View) -> Orders:
        now = view.snapshot.now
        self._refused(view)
        starved = frozenset(place for place, (until, _) in self._backoff.items() if until > now)
        snapshot = replace(view.snapshot, starved=starved)
        if view.since:
            snapshot = replace(snapshot, seats=self._seating.seats(snapshot))
        held = held_until(view.since, self._planned, now, self.settle, self.longest)
        if held is not None:
            return Orders(again=held, nominate=self._nominate(snapshot))
        launches: tuple[Launch, ...] = ()
        needed: set[str] = set()
        if view.since:
            found = plan(snapshot, self.optimize)
            launches = tuple(Launch(one.group, one.place, one.count) for one in found.purchases)
            needed = set(found.placements.values())
            self._seating.keep(snapshot, found, found.purchases)
        self._planned = set(view.since)
        gone = Shrinking((), {})
        if self._ripe(snapshot):
            gone = shrink(snapshot, cap=self.cap, idle_minutes=self.idle_minutes, needed=needed)
        moments = [until for until, _ in self._backoff.values() if until > now and view.since]
        moments += [
            max(now + self.interval, node.idle_since + self.idle_minutes * 60)
            for node in snapshot.nodes
            if node.group and node.idle_since is not None and node.name not in {one.node for one in gone.departures}
        ]
        removed = tuple(one.node for one in gone.departures)
        told = self._nominate(snapshot) if view.since else {}
        if launches or len(told) == MANY:
            moments.append(now + self.interval)
        return Orders(launches, removed, min(moments, default=None), told)

    def _nominate(self, snapshot: Snapshot) -> dict[str, str]:
        wanted = self._nominations.changes(snapshot, self._seating.of)
        self._nominations.said(wanted)
        return wanted

    def _ripe(self, snapshot: Snapshot) -> bool:
        """Whether the shrinker could find anything at all: it takes a while over thousands of pods."""
        before = snapshot.now - self.idle_minutes * 60
        idle = any(node.idle_since is not None and node.idle_since <= before for node in snapshot.nodes if node.group)
        return idle or any(pod.node and (pod.evictable or pod.owner in SERVICES) for pod in snapshot.pods)

    def _refused(self, view: View) -> None:
        now = view.snapshot.now
        for one in view.failed:
            _, length = self._backoff.get(one.place, (0.0, BACKOFF / 2))
            length = min(LONGEST_BACKOFF, 2 * length)
            self._backoff[one.place] = (now + length, length)
