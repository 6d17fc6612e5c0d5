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
from infra.autoscale.simulate.policy import Launch, Policy, View
from infra.autoscale.simulate.results import Bill, Result, Track
from infra.autoscale.simulate.scene import Scene, Settings
from infra.autoscale.simulate.trace import GPU, Job
from infra.autoscale.snapshot import (
    HOSTNAME,
    NAME,
    REGION,
    ZONE,
    Group,
    Node,
    Offer,
    Place,
    Pod,
    Snapshot,
    amounts,
)

ARRIVE, JOIN, DONE, LOOK = range(4)
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
        self.waiting: dict[str, Job] = {}
        self.running: dict[str, tuple[Job, Pod, str]] = {}
        self.members: dict[str, set[str]] = defaultdict(set)
        self.generation: Counter[str] = Counter()
        self.failed: list[Launch] = []
        self.events: list[tuple[float, int, int, str, int]] = []
        self.jobs = {job.pod.key: job for job in scene.jobs}
        self.now, self.next_look, self.number = 0.0, math.inf, 0
        self.worked = 0.0
        self.patience = max(PATIENCE, 4 * (settings.launch + settings.join * (1 + settings.spread)))
        self.queues: dict[object, dict[str, None]] = defaultdict(dict)
        self.fresh: set[object] = set()
        self.wanted = 0
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
            self._bind()
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
        if beat < self.next_look:
            self.next_look = beat
            self._push(beat, LOOK, "")

    def _event(self, what: int, name: str, generation: int) -> bool:
        """Take one event in; True when it is the policy's look."""
        if what == LOOK:
            return self.now == self.next_look
        if what == ARRIVE:
            self.track.arrived += 1
            self.worked = self.now
            job = self.jobs[name]
            self._enqueue(name, job)
            if job.pod.needs.gang is not None:
                self.members[job.pod.needs.gang.name].add(name)
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
        self.generation[key] += 1
        self.floor.take(pod, name)
        self.track.gpus_used -= dict(pod.needs.requests).get(GPU, 0)
        self.track.running -= 1
        self.worked = self.now
        if not self._occupied(name):
            self.machines[name].idle(self.now)

    def _occupied(self, name: str) -> bool:
        return any(pod.owner != "DaemonSet" for pod in self.floor.pods.get(name, {}).values())

    def _bind(self) -> None:
        """One pass of the scheduler, by priority and age. Of equal pods the first that finds no room speaks for all;
        as long as no room came free, only what is new needs a look."""
        freed, fresh = self.floor.freed(), self.fresh
        self.fresh = set()
        queues = self.queues if len(freed) else {alike: self.queues[alike] for alike in fresh}
        heap = [(_turn(self.waiting[key]), alike) for alike, some in queues.items() if (key := next(iter(some), ""))]
        heapq.heapify(heap)
        while heap:
            (_, _, key), alike = heapq.heappop(heap)
            gang = self.waiting[key].pod.needs.gang
            if gang is not None and self.policy.gangs:
                self._bind_gang(gang.name)
                continue
            # What waited before found no room on the other machines, and they have no more now.
            name = self.floor.find(self.waiting[key].pod, among=None if alike in fresh else freed)
            if not name:
                continue
            self._start(self.waiting[key], name)
            after = next(iter(self.queues[alike]), "")
            if after:
                heapq.heappush(heap, (_turn(self.waiting[after]), alike))
        self._count_partial()

    def _enqueue(self, key: str, job: Job) -> None:
        self.waiting[key] = job
        alike = self._alike(job)
        self.queues[alike][key] = None
        self.fresh.add(alike)
        self.wanted += dict(job.pod.needs.requests).get(GPU, 0)

    def _alike(self, job: Job) -> object:
        needs = job.pod.needs
        return needs.gang.name if needs.gang and self.policy.gangs else needs

    def _bind_gang(self, name: str) -> bool:
        members = [self.waiting[key] for key in sorted(self.members[name]) if key in self.waiting]
        gang = members[0].pod.needs.gang
        assert gang is not None
        bound = [self.running[key][2] for key in self.members[name] if key in self.running]
        if len(members) + len(bound) < gang.size:
            return False
        key = ZONE if gang.within == "zone" else REGION
        homes = {self.machines[node].node.labels.get(key, "") for node in bound}
        where = self.floor.together([job.pod for job in members], key, homes)
        for job in members if where else ():
            self._start(job, where[job.pod.key])
        return bool(where)

    def _start(self, job: Job, name: str) -> None:
        key = job.pod.key
        pod = replace(job.pod, node=name)
        self.floor.put(pod, name)
        self.machines[name].idle(None)
        del self.waiting[key], self.queues[self._alike(job)][key]
        self.wanted -= dict(pod.needs.requests).get(GPU, 0)
        self.running[key] = (job, pod, name)
        self.generation[key] += 1
        self.track.start(pod, self.now)
        if math.isfinite(job.duration):
            self._push(self.now + job.duration, DONE, key, self.generation[key])
        self.worked = self.now

    def _count_partial(self) -> None:
        """A gang is partial when some of it runs, some waits, and fewer run than it needs."""
        for name in sorted(self.members):
            keys = self.members[name]
            running = sum(key in self.running for key in keys)
            if running and any(key in self.waiting for key in keys):
                gang = self.jobs[min(keys)].pod.needs.gang
                if gang is not None and running < (gang.size or len(keys)):
                    self.track.partial.add(name)

    def _look(self) -> None:
        self.next_look = math.inf
        orders = self.policy.decide(self._view())
        self.failed = []
        launched = [self._launch(one) for one in orders.launches if one.count > 0]
        if any(launched):
            self.track.rounds.append(self.now)
        for name in orders.remove:
            self._remove(name)
        if orders.again is not None:
            self._wake(max(orders.again, self.now + self.policy.interval / 2))

    def _view(self) -> View:
        flying: Counter[tuple[str, Place]] = Counter()
        nodes, launched = [], {}
        for name, machine in self.machines.items():
            launched[name] = machine.launched
            if machine.ready or machine.node.broken or machine.place is None:
                nodes.append(machine.node)
            else:
                flying[machine.node.group, machine.place] += 1
        groups = tuple(
            replace(
                group,
                desired=self.count[group.name],
                offers=tuple(replace(one, in_flight=flying[group.name, one.place]) for one in group.offers),
            )
            for group in self.scene.groups
        )
        pods = [job.pod for job in self.waiting.values()] + [pod for _, pod, _ in self.running.values()]
        snapshot = Snapshot(tuple(pods), tuple(nodes), groups, self.scene.daemons, now=self.now)
        since = {key: job.arrival for key, job in self.waiting.items()}
        return View(snapshot, since, tuple(self.failed), launched)

    def _launch(self, order: Launch) -> int:
        """How many come; the rest is refused for want of capacity. Over the maximum nothing can be ordered."""
        group = self.groups[order.group]
        if self.count[group.name] + order.count > group.maximum:
            raise ValueError(f"{order.count} machines more of {group.name} are over its maximum of {group.maximum}")
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
            self._enqueue(key, replace(job, pod=replace(job.pod, node="")))
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
        self.track.note(self.now, len(self.waiting), self.wanted, len(self.machines))

    def _result(self) -> Result:
        end = max(self.now, min(self._end(), self.worked + self.settings.tail))
        self.now = end if math.isfinite(end) else self.now
        for machine in self.machines.values():
            self._bill(machine)
        self.track.note(self.now, len(self.waiting), 0, len(self.machines))
        return self.track.result(len(self.waiting))


def _turn(job: Job) -> tuple[int, float, str]:
    """Where a pod stands in the scheduler's queue."""
    return -job.pod.needs.priority, job.arrival, job.pod.key


def _type(node: Node) -> str:
    return node.labels.get("node.kubernetes.io/instance-type", "")
