"""Discrete events: jobs arrive, a policy looks and orders, machines come up, work is bound, runs and ends.

Everything that is drawn (how long a machine takes to join) comes from the seed and the machine's number alone, so
that two policies meet the same luck.
"""

from __future__ import annotations

import heapq
import math
import random
from collections import Counter, defaultdict
from dataclasses import dataclass, replace

from infra.autoscale.daemons import overhead
from infra.autoscale.market import labels_of
from infra.autoscale.simulate.floor import Floor
from infra.autoscale.simulate.policy import Launch, Orders, Policy, View
from infra.autoscale.simulate.queue import Queue
from infra.autoscale.simulate.results import Bill, Result, Track
from infra.autoscale.simulate.scene import Scene, Settings
from infra.autoscale.simulate.trace import GPU, Job
from infra.autoscale.snapshot import (
    HOSTNAME,
    NAME,
    Group,
    Node,
    Offer,
    Place,
    Pod,
    Snapshot,
    amounts,
)

ARRIVE, JOIN, DONE, LOOK, ACT = range(5)
PATIENCE = 2 * 3600.0
"""Seconds in which no work came, began or ended, after which what waits is taken to wait for ever: machines may well
come and go meanwhile, as for a gang for which there is never enough capacity."""


@dataclass
class _Machine:
    node: Node
    place: Place | None
    price: float
    launched: float
    ready: bool = False
    used: float = -1.0
    """When work last began on it."""

    def idle(self, since: float | None) -> None:
        if self.node.idle_since != since:
            self.node = replace(self.node, idle_since=since)


def simulate(scene: Scene, policy: Policy, settings: Settings | None = None) -> Result:
    """Run a policy over a scene until all work is done, or nothing moves any more."""
    return _Run(scene, policy, settings or Settings()).run()


class _Run:
    def __init__(self, scene: Scene, policy: Policy, settings: Settings) -> None:
        self.scene, self.policy, self.settings = scene, policy, settings
        self.groups = {group.name: group for group in scene.groups}
        needs = [job.pod.needs for job in scene.jobs] + [pod.needs for pod in scene.bound]
        self.floor = Floor(needs, settings.scheduler)
        self.machines: dict[str, _Machine] = {}
        self.count: Counter[str] = Counter()
        self.standing: Counter[Place] = Counter()
        self.pools = {group.name: group.pool or f" {place}" for place, group in enumerate(scene.groups)}
        self.limits: Counter[str] = Counter()
        for group in scene.groups:
            pool = self.pools[group.name]
            self.limits[pool] = max(self.limits[pool], group.maximum)
        self.queue = Queue(self.floor, policy.gangs)
        self.waiting = self.queue.waiting
        self.orders: Orders | None = None
        self.looked, self.missed = 0.0, False
        self.running: dict[str, tuple[Job, Pod, str]] = {}
        self.generation: Counter[str] = Counter()
        self.failed: list[Launch] = []
        self.events: list[tuple[float, int, int, str, int]] = []
        self.jobs = {job.pod.key: job for job in scene.jobs}
        self.now, self.next_look, self.number = 0.0, math.inf, 0
        self.worked = 0.0
        self.patience = max(PATIENCE, 4 * (settings.launch + settings.join * (1 + settings.spread)))
        self.track = Track(policy.name, settings.billing, len(scene.jobs))

    def run(self) -> Result:
        for job in self.scene.jobs:
            self._push(job.arrival, ARRIVE, job.pod.key)
        for node in sorted(self.scene.nodes, key=lambda node: node.name):
            self._there(node)
        for pod in self.scene.bound:
            if pod.node in self.floor.rows:
                self.floor.put(pod, pod.node)
                self.running[pod.key] = (Job(pod, 0.0, math.inf), pod, pod.node)
                self.machines[pod.node].idle(None)
                self.track.old(pod)
        self._touch()
        while self.events and self.events[0][0] <= self._end():
            now = self.events[0][0]
            self.now = now
            look = False
            while self.events and self.events[0][0] == now:
                _, what, _, name, generation = heapq.heappop(self.events)
                look = self._event(what, name, generation) or look
            self.queue.bind(self._start)
            self._count_partial()
            if look:
                self._look()
            self._note()
        return self._result()

    def _end(self) -> float:
        """Nothing counts after this moment."""
        if self._to_come():
            return self.settings.horizon
        rest = self.worked + (self.patience if self.waiting else self.settings.tail)
        return min(self.settings.horizon, rest)

    def _to_come(self) -> bool:
        return self.track.arrived < len(self.jobs) or any(
            math.isfinite(job.duration) for job, _, _ in self.running.values()
        )

    def _push(self, when: float, what: int, name: str, generation: int = 0) -> None:
        self.number += 1
        heapq.heappush(self.events, (when, what, self.number, name, generation))

    def _touch(self) -> None:
        """Something has happened: the scheduler and the policy are to look."""
        self._wake(self.now)

    def _wake(self, when: float) -> None:
        """A look at the next beat of the policy's interval, at ``when`` or later."""
        beat = math.ceil(when / self.policy.interval - 1e-9) * self.policy.interval
        if beat <= self.now and self.next_look != beat:
            beat += self.policy.interval
        if self.orders is not None:
            self.missed = True
        elif beat < self.next_look:
            self.next_look = beat
            self._push(beat, LOOK, "")

    def _event(self, what: int, name: str, generation: int) -> bool:
        """Take one event in; True when it is the policy's look."""
        if what == LOOK:
            return self.now == self.next_look and self.orders is None
        if what == ACT:
            self._act()
            return False
        if what == ARRIVE:
            self.track.arrived += 1
            self.worked = self.now
            job = self.jobs[name]
            self.queue.add(name, job)
            self.track.arrive(job.pod, self.now)
        elif what == JOIN:
            if name not in self.machines:
                return False
            self._ready(self.machines[name])
        elif what == DONE:
            if self.generation[name] != generation:
                return False
            self._over(name)
        self._touch()
        return False

    def _there(self, node: Node) -> None:
        """A machine that is there from the start."""
        group = self.groups.get(node.group)
        place, price = None, 0.0
        if group is not None:
            offers = [one for one in group.offers if one.place.type == _type(node)] or list(group.offers)
            place, price = (offers[0].place, offers[0].price) if offers else (None, 0.0)
            self.count[node.group] += 1
            if place is not None:
                self.standing[place] += 1
        machine = _Machine(node, place, price, 0.0)
        self.machines[node.name] = machine
        self.track.paid(price)
        if node.joining:
            self._push(self.settings.join, JOIN, node.name)
        elif not node.broken:
            self._ready(machine)

    def _ready(self, machine: _Machine) -> None:
        machine.ready, machine.node = True, replace(machine.node, joining=False, idle_since=self.now)
        self.floor.add(machine.node)
        self.track.gpus += dict(machine.node.allocatable).get(GPU, 0)

    def _over(self, key: str) -> None:
        """Work has ended, or was evicted."""
        _, pod, name = self.running.pop(key)
        self.queue.places.pop(key, None)
        self.generation[key] += 1
        self.floor.take(pod, name)
        self.track.gpus_used -= dict(pod.needs.requests).get(GPU, 0)
        self.track.running -= 1
        self.worked = self.now
        if not self._occupied(name):
            self.machines[name].idle(self.now)

    def _occupied(self, name: str) -> bool:
        return any(pod.owner != "DaemonSet" for pod in self.floor.pods.get(name, {}).values())

    def _start(self, job: Job, name: str) -> None:
        """The scheduler has bound a pod."""
        key = job.pod.key
        pod = replace(job.pod, node=name)
        self.machines[name].idle(None)
        self.machines[name].used = self.now
        self.running[key] = (job, pod, name)
        self.generation[key] += 1
        self.track.start(pod, self.now)
        if math.isfinite(job.duration):
            self._push(self.now + job.duration, DONE, key, self.generation[key])
        self.worked = self.now

    def _count_partial(self) -> None:
        """A gang is partial when some of it runs, some waits, and fewer run than it needs."""
        for name in sorted(self.queue.members):
            keys = self.queue.members[name]
            running = sum(key in self.running for key in keys)
            if running and any(key in self.waiting for key in keys):
                gang = self.jobs[min(keys)].pod.needs.gang
                if gang is not None and running < (gang.size or len(keys)):
                    self.track.partial.add(name)

    def _look(self) -> None:
        self.next_look, self.looked = math.inf, self.now
        self.orders = self.policy.decide(self._view())
        self.failed = []
        if self.settings.planning:
            self._push(self.now + self.settings.planning, ACT, "")
        else:
            self._act()

    def _act(self) -> None:
        """Carry out what was ordered. Machines that got work since the look stay: they would have been cordoned."""
        orders, self.orders, missed, self.missed = self.orders, None, self.missed, False
        assert orders is not None
        if self.settings.nominations:
            self.queue.nominate(orders.nominate)
        launched = [self._launch(one) for one in orders.launches if one.count > 0]
        if any(launched):
            self.track.rounds.append(self.now)
        for name in orders.remove:
            if self.machines[name].used <= self.looked:
                self._remove(name)
        if missed:
            self._touch()
        if orders.again is not None:
            self._wake(max(orders.again, self.now + self.policy.interval / 2))

    def _view(self) -> View:
        flying: dict[tuple[str, Place], list[str]] = defaultdict(list)
        nodes, launched = [], {}
        for name, machine in self.machines.items():
            launched[name] = machine.launched
            if machine.ready or machine.node.broken or machine.place is None:
                nodes.append(machine.node)
            else:
                flying[machine.node.group, machine.place].append(name)
        groups = tuple(
            replace(
                group,
                desired=self.count[group.name],
                offers=tuple(_flying(one, flying[group.name, one.place]) for one in group.offers),
            )
            for group in self.scene.groups
        )
        told = self.queue.nominated
        pods = [replace(job.pod, nominated=told[key]) if key in told else job.pod for key, job in self.waiting.items()]
        pods += [pod for _, pod, _ in self.running.values()]
        snapshot = Snapshot(tuple(pods), tuple(nodes), groups, self.scene.daemons, now=self.now)
        since = {key: job.arrival for key, job in self.waiting.items()}
        return View(snapshot, since, tuple(self.failed), launched)

    def _launch(self, order: Launch) -> int:
        """How many come; the rest is refused for want of capacity. Over the maximum nothing can be ordered."""
        group = self.groups[order.group]
        pool = self.pools[group.name]
        here = sum(many for name, many in self.count.items() if self.pools.get(name) == pool)
        if here + order.count > self.limits[pool]:
            raise ValueError(f"{order.count} machines more of {group.name} are over its maximum of {self.limits[pool]}")
        offer = next(one for one in group.offers if one.place == order.place)
        free = self.settings.capacity.get(order.place)
        here = order.count if free is None else max(0, min(order.count, free - self.standing[order.place]))
        for _ in range(here):
            self._machine(group, offer)
        if here < order.count:
            self.failed.append(Launch(group.name, order.place, order.count - here))
            self.track.refused += order.count - here
            self._wake(self.now + self.settings.launch)
        return here

    def _machine(self, group: Group, offer: Offer) -> None:
        self.track.machines += 1
        name = f"{group.name}-{self.track.machines}"
        chance = random.Random(f"{self.settings.seed}/{self.track.machines}")
        labels = {**labels_of(group, offer), HOSTNAME: name, NAME: name}
        taken = overhead(self.scene.daemons, labels, group.taints)
        room = amounts({what: max(0, many - taken.get(what, 0)) for what, many in offer.allocatable})
        node = Node(name, room, labels, group.taints, group.name, joining=True, created=self.now)
        self.machines[name] = _Machine(node, offer.place, offer.price, self.now)
        self.count[group.name] += 1
        self.standing[offer.place] += 1
        self.track.most[group.name] = max(self.track.most[group.name], self.count[group.name])
        self.track.paid(offer.price)
        wait = self.settings.launch + self.settings.join * (1 + self.settings.spread * chance.random())
        self._push(self.now + wait, JOIN, name)

    def _remove(self, name: str) -> None:
        """Terminate a machine; work on it waits anew. Nobody terminates what belongs to no group."""
        machine = self.machines[name]
        if machine.place is None:
            raise ValueError(f"{name} belongs to no group and cannot be terminated")
        for key in [key for key, (_, _, node) in self.running.items() if node == name]:
            job = self.running[key][0]
            self._over(key)
            self.track.evicted += 1
            self.queue.add(key, replace(job, pod=replace(job.pod, node="")))
        del self.machines[name]
        self.count[machine.node.group] -= 1
        self.standing[machine.place] -= 1
        if machine.ready:
            self.floor.remove(name)
            self.track.gpus -= dict(machine.node.allocatable).get(GPU, 0)
        self._bill(machine)
        self._touch()

    def _bill(self, machine: _Machine) -> None:
        self.track.bill(Bill(machine.node.name, machine.node.group, machine.price, machine.launched, self.now))

    def _note(self) -> None:
        self.track.note(self.now, len(self.waiting), self.queue.wanted, len(self.machines))

    def _result(self) -> Result:
        end = max(self.now, min(self._end(), self.worked + self.settings.tail))
        self.now = end if math.isfinite(end) else self.now
        for machine in self.machines.values():
            self._bill(machine)
        self.track.note(self.now, len(self.waiting), 0, len(self.machines))
        return self.track.result(len(self.waiting))


def _flying(offer: Offer, names: list[str]) -> Offer:
    """EC2 names a machine as soon as it is launched, long before it is a node."""
    return replace(offer, in_flight=len(names), coming=tuple(names))


def _type(node: Node) -> str:
    return node.labels.get("node.kubernetes.io/instance-type", "")
