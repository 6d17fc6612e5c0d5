"""The policy ``reference``: the tool of 2016 (kubernetes-ec2-autoscaler) in outline, with its defaults and its faults.

Work is taken class by class (equal node selectors), groups in a fixed order, here the cheapest type first. Each class
sets a group's size from the machines that have registered, plus five, and the largest of the classes' sizes stands:
not their sum, and nothing for machines on their way. Five idle machines of each group stay for a week, the others
until the second half of an hour that is paid; when more than a tenth of all would go at once, none goes.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from dataclasses import replace

from infra.autoscale.market import Option
from infra.autoscale.simulate.fitting import Bins, first_fit
from infra.autoscale.simulate.policy import Launch, Orders, View
from infra.autoscale.snapshot import Group, Place, Snapshot
from infra.autoscale.world import World

OVER_PROVISION = 5
IDLE_COUNT, TYPE_IDLE, IDLE = 5, 7 * 24 * 3600.0, 3300.0
"""Idle machines of a type that stay, and for how long; and the others (age in seconds)."""
HALF_HOUR = 1800.0
FRACTION = 0.1
TIMED_OUT = 3600.0
"""Seconds that a group is left alone after a launch failed."""


class Reference:
    name = "reference"
    gangs = False

    def __init__(self, interval: float = 60) -> None:
        self.interval = interval
        self._away: dict[Place, float] = {}
        self._cordoned: set[str] = set()

    def decide(self, view: View) -> Orders:
        now = view.snapshot.now
        for one in view.failed:
            self._away[one.place] = now + TIMED_OUT
        starved = frozenset(place for place, until in self._away.items() if until > now)
        snapshot = replace(view.snapshot, starved=starved)
        launches = self._grow(snapshot) if view.since else ()
        removed = self._shrink(snapshot, view)
        # It looks once a minute whatever happens, as long as there is anything to look at.
        idle = any(node.group and node.idle_since is not None for node in snapshot.nodes)
        return Orders(launches, removed, now + self.interval if view.since or idle else None)

    def _grow(self, snapshot: Snapshot) -> tuple[Launch, ...]:
        # It knows nothing of machines on their way.
        bare = replace(snapshot, groups=tuple(_registered(group) for group in snapshot.groups))
        world = World(bare)
        rows, left = world.room.free[: world.room.size].copy(), list(world.left)
        classes: dict[tuple[tuple[str, str], ...], list[int]] = defaultdict(list)
        for shape in range(len(world.shapes)):
            may = world.masks[shape][world.room.kind[: world.room.size]]
            left[shape] -= first_fit(rows, may, world.requests[shape], left[shape])
            if left[shape]:
                classes[world.shapes[shape].needs.selector].append(shape)
        actual = Counter(node.group for node in snapshot.nodes)
        desired = {group.name: group.desired for group in snapshot.groups}
        places: dict[str, Place] = {}
        for shapes in classes.values():
            for option in sorted(world.market.options, key=lambda option: (option.price, option.number)):
                group = snapshot.groups[option.group]
                if desired[group.name] >= group.maximum or (
                    group.name in places and places[group.name] != option.offer.place
                ):
                    continue
                wanted = self._fulfil(world, option, shapes, left, group.maximum - actual[group.name])
                if wanted:
                    places[group.name] = option.offer.place
                    size = min(group.maximum, actual[group.name] + wanted + OVER_PROVISION)
                    desired[group.name] = max(desired[group.name], size)
        # Only AWS would tell it that groups of a pool share their maximum.
        left = list(world.market.left)
        found = []
        for number, group in enumerate(snapshot.groups):
            pool = world.market.pool[number]
            more = min(desired[group.name] - group.desired, left[pool])
            if more > 0:
                left[pool] -= more
                found.append(Launch(group.name, places[group.name], more))
        return tuple(found)

    @staticmethod
    def _fulfil(world: World, option: Option, shapes: list[int], left: list[int], most: int) -> int:
        """Machines of a group that a class takes, first fit; what they take is accounted for."""
        bins = Bins(option.capacity, max(0, most))
        for shape in shapes:
            if left[shape] and world.masks[shape][option.kind]:
                left[shape] -= bins.put(world.requests[shape], left[shape])
        return len(bins.free)

    def _shrink(self, snapshot: Snapshot, view: View) -> tuple[str, ...]:
        """Machines cordoned at the look before go now: all of them, or none when they are too many."""
        now, idle_of = snapshot.now, Counter[str]()
        minimum = {group.name: group.minimum for group in snapshot.groups}
        sizes = Counter(node.group for node in snapshot.nodes)
        going, cordoned = [], set()
        for node in snapshot.nodes:
            if not node.group or node.idle_since is None or sizes[node.group] <= minimum[node.group]:
                continue
            if node.name in self._cordoned:
                going.append(node.name)
                continue
            age = now - view.launched.get(node.name, 0.0)
            if view.since or age % 3600 < HALF_HOUR:
                continue
            spare = idle_of[node.group] < IDLE_COUNT
            if age <= (TYPE_IDLE if spare else IDLE):
                idle_of[node.group] += 1 if spare else 0
                continue
            cordoned.add(node.name)
        if len(going) > math.ceil(FRACTION * len(view.launched)):
            cordoned.update(going)
            going = []
        self._cordoned = cordoned
        return tuple(going)


def _registered(group: Group) -> Group:
    return replace(group, offers=tuple(replace(one, in_flight=0) for one in group.offers))
