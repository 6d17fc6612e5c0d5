"""The planner: a snapshot in, decisions with their reasons and a certificate out.

    plan(snapshot)                 fast
    plan(snapshot, optimize=20)    up to so many seconds more for a cheaper plan and a better bound

Work is placed by priority on what is there and what is in flight; what is left is bought for in one go, over all
groups and regions. Only when some of it finds no place does each priority buy for itself, the highest first.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass

import numpy as np

from infra.autoscale.bound import Certificate, relaxed
from infra.autoscale.improve import improve
from infra.autoscale.knots import Gangs, place_spread, spreading
from infra.autoscale.pack import pack
from infra.autoscale.pattern import Pattern
from infra.autoscale.reasons import bought_for, waits
from infra.autoscale.snapshot import Place, Pod, Snapshot
from infra.autoscale.task import Items, items_of, task_of
from infra.autoscale.world import World, tiers

MANY_TIERS = 20
"""Priorities that buy for themselves; those below share the last turn."""


@dataclass(frozen=True, slots=True)
class Purchase:
    """``count`` machines more of a group, of one place. ``price`` is of one, in $/h."""

    group: str
    place: Place
    count: int
    price: float
    reason: str

    @property
    def cost(self) -> float:
        return self.count * self.price


@dataclass(frozen=True, slots=True)
class Waiting:
    """Pods (``namespace/name``) for which nothing was found, and why, in words: told once for all of them."""

    pods: tuple[str, ...]
    reason: str


@dataclass(frozen=True)
class Plan:
    """``placements`` says for each pod on which machine it was reckoned to run; Kubernetes' scheduler decides that."""

    purchases: tuple[Purchase, ...]
    placements: dict[str, str]
    waiting: tuple[Waiting, ...]
    certificate: Certificate
    warnings: tuple[str, ...]
    desired: dict[str, int]

    @property
    def cost(self) -> float:
        """$/h of what is bought."""
        return self.certificate.cost

    def explain(self, pod: str) -> str:
        """Why a pod waits, or where it is to run, in words."""
        if pod in self.placements:
            return f"{pod} is to run on {self.placements[pod]}"
        for one in self.waiting:
            if pod in one.pods:
                return f"{pod} waits: {one.reason}"
        return f"{pod} is not waiting"


def plan(snapshot: Snapshot, optimize: float = 0.0) -> Plan:
    """The cheapest plan that was found. Equal snapshots give equal plans, unless ``optimize`` limits by time."""
    turn = _Turn(snapshot, optimize)
    order = tiers(turn.world)
    turn.run(order, together=True)
    if len(order) > 1 and any(turn.world.left):
        turn = _Turn(snapshot, optimize)
        last = [shape for tier in order[MANY_TIERS:] for shape in tier]
        turn.run([*order[:MANY_TIERS], *([last] if last else [])], together=False)
    return turn.result()


class _Turn:
    """One try at a plan, in a world of its own."""

    def __init__(self, snapshot: Snapshot, optimize: float) -> None:
        self.world = World(snapshot)
        self.snapshot, self.optimize = snapshot, optimize
        self.gangs = Gangs(self.world)
        self.why: dict[int, str] = {}
        self._items: Items | None = None
        self._bound = 0.0

    @property
    def items(self) -> Items:
        if self._items is None:
            world = self.world
            self._items = items_of([shape.needs for shape in world.shapes], world.room, world.kinds)
        return self._items

    def run(self, order: list[list[int]], together: bool) -> None:
        for tier in order:
            self.place(tier)
            if not together:
                self.buy(tier)
        if together:
            self.buy([shape for tier in order for shape in tier])

    def place(self, tier: list[int]) -> None:
        """First who was promised a place; then gangs and spread, for they are the hardest; then the rest on what is
        there."""
        world, done = self.world, set()
        for shape in tier:
            if self.loose(shape):
                world.sit(shape)
        for shape in tier:
            gang = world.shapes[shape].needs.gang
            if gang is not None and gang.name not in done:
                done.add(gang.name)
                self.gangs.place(gang)
        for shape in tier:
            needs = world.shapes[shape].needs
            if needs.gang is None and spreading(needs.spreads) and world.left[shape]:
                self.why[shape] = place_spread(world, shape)
        for shape in tier:
            if self.loose(shape) and world.left[shape]:
                world.fill(shape, world.left[shape])

    def loose(self, shape: int) -> bool:
        needs = self.world.shapes[shape].needs
        return needs.gang is None and not spreading(needs.spreads)

    def buy(self, tier: list[int]) -> None:
        """Machines for whatever of the tier found no place."""
        world = self.world
        loose = [shape for shape in tier if self.loose(shape) and world.left[shape]]
        if not loose or not world.market.options:
            return
        demand = np.zeros(len(self.items.requests), dtype=np.int64)
        for shape in loose:
            demand[self.items.of[shape]] += world.left[shape]
        task = task_of(self.items, demand, world.market, world.room, world.market.left).alone()
        patterns, _ = pack(task)
        if self.optimize > 0:
            patterns, self._bound = improve(task, patterns, self.optimize)
        waiting: dict[int, list[int]] = defaultdict(list)
        for shape in reversed(loose):
            waiting[self.items.of[shape]].append(shape)
        for pattern in sorted(patterns, key=lambda one: (task.options[one.option].number, one.load)):
            for _ in range(pattern.times):
                self._load(world.market.buy(task.options[pattern.option], world.room), pattern, waiting)

    def _load(self, row: int, pattern: Pattern, waiting: dict[int, list[int]]) -> None:
        for item, count in pattern.load:
            while count and waiting[item]:
                shape = waiting[item][-1]
                here = min(count, self.world.left[shape])
                self.world.put(row, shape, here)
                count -= here
                if not self.world.left[shape]:
                    waiting[item].pop()

    def certificate(self) -> Certificate:
        """The bound is of placing the very pods that the plan places, from where the plan started."""
        world = self.world
        cost = world.spent()
        if not world.market.bought:
            return Certificate(0.0, 0.0)
        demand = np.zeros(len(self.items.requests), dtype=np.int64)
        for place, shape in enumerate(world.shapes):
            demand[self.items.of[place]] += shape.count - world.left[place]
        size, free = world.room.size, world.room.free
        world.room.size, world.room.free = len(world.first_free), world.first_free
        task = task_of(self.items, demand, world.market, world.room, world.first_left)
        world.room.size, world.room.free = size, free
        bound = relaxed(task).bound
        alone = not len(world.first_free) and all(self.loose(shape) for shape in range(len(world.shapes)))
        if alone and not any(world.left):
            bound = max(bound, self._bound)
        return Certificate(cost, min(bound, cost))

    def result(self) -> Plan:
        world = self.world
        placements, left = world.assigned()
        return Plan(
            purchases=self.purchases(),
            placements=placements,
            waiting=self.waiting(left),
            certificate=self.certificate(),
            warnings=(*self.snapshot.warnings, *self.priceless()),
            desired=self.desired(),
        )

    def priceless(self) -> list[str]:
        """A warning for each place whose price nobody knows: it would look like a gift."""
        places = {option.offer.place for option in self.world.market.options if option.price <= 0}
        return [f"{place} has no price: it is reckoned as free" for place in sorted(places)]

    def purchases(self) -> tuple[Purchase, ...]:
        world = self.world
        loads: dict[int, Counter[int]] = defaultdict(Counter)
        options = {row: number for number, row in world.market.bought}
        for row, shape, count in world.room.log:
            if row in options:
                loads[options[row]][shape] += count
        found = []
        for number, count in sorted(Counter(options.values()).items()):
            option = world.market.options[number]
            reason = bought_for(world, option, loads[number], self.gangs.homes)
            group = world.market.groups[option.group].name
            found.append(Purchase(group, option.offer.place, count, option.price, reason))
        return tuple(found)

    def desired(self) -> dict[str, int]:
        more = Counter(self.world.market.options[number].group for number, _ in self.world.market.bought)
        return {
            group.name: min(max(group.minimum, group.desired + more[place]), max(group.maximum, group.desired))
            for place, group in enumerate(self.snapshot.groups)
        }

    def waiting(self, left: list[list[Pod]]) -> tuple[Waiting, ...]:
        world = self.world
        pods: dict[str, list[Pod]] = defaultdict(list)
        for place, shape in enumerate(world.shapes):
            if world.left[place]:
                gang = shape.needs.gang
                why = self.gangs.why.get(gang.name, "") if gang else self.why.get(place, "")
                text = waits(world, place)
                reason = f"{why} ({text})" if why and text else why or text
                pods[reason].extend(left[place])
        for pod in world.problems:
            pods[pod.problem].append(pod)
        return tuple(Waiting(tuple(sorted(pod.key for pod in some)), reason) for reason, some in sorted(pods.items()))
