"""The pods that wait, and one pass of the scheduler over them."""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import replace

from infra.autoscale.room import Ints
from infra.autoscale.simulate.floor import Floor
from infra.autoscale.simulate.trace import GPU, Job
from infra.autoscale.snapshot import REGION, ZONE

Turn = tuple[int, float, str]


class Queue:
    """``gangs``: whether gangs are bound whole. ``nominated`` is the machine that each pod is nominated for, ``wanted``
    the GPUs that all ask for, ``members`` who ever came of each gang."""

    def __init__(self, floor: Floor, gangs: bool) -> None:
        self.floor, self.gangs = floor, gangs
        self.waiting: dict[str, Job] = {}
        self.nominated: dict[str, str] = {}
        self.members: dict[str, set[str]] = defaultdict(set)
        self.places: dict[str, str] = {}
        """Where each pod runs that was bound here; who ends it takes it out."""
        self.wanted = 0
        self._alike: dict[object, dict[str, None]] = defaultdict(dict)
        self._fresh: set[object] = set()
        self._likeness: dict[str, object] = {}

    def add(self, key: str, job: Job) -> None:
        self.waiting[key] = job
        kind = self._kind(job)
        self._alike[kind][key] = None
        self._fresh.add(kind)
        self.wanted += dict(job.pod.needs.requests).get(GPU, 0)
        if job.pod.needs.gang is not None:
            self.members[job.pod.needs.gang.name].add(key)
            self._likeness.pop(job.pod.needs.gang.name, None)

    def nominate(self, wanted: Mapping[str, str]) -> None:
        """Nominate pods that wait still for machines, which need not be there yet; "" takes a nomination back. Nobody
        is woken by it, as in Kubernetes: the scheduler tries again when something happens to a machine."""
        for key, name in wanted.items():
            if key in self.waiting:
                pod = self.waiting[key].pod
                if key in self.nominated:
                    self.floor.forget(pod, self.nominated.pop(key))
                if name:
                    self.nominated[key] = name
                    self.floor.nominate(pod, name)

    def bind(self, told: Callable[[Job, str], None]) -> None:
        """One pass of the scheduler, by priority and age; ``told`` hears who begins where. Of equal pods the first that
        finds no room speaks for all; as long as no room came free, only what is new needs a look."""
        freed, fresh = self.floor.freed(), self._fresh
        self._fresh = set()
        queues = self._alike if len(freed) else {kind: self._alike[kind] for kind in fresh}
        heap: list[tuple[Turn, bool, object]] = [
            (_turn(self.waiting[key]), True, kind) for kind, some in queues.items() if (key := next(iter(some), ""))
        ]
        # Who is nominated speaks for nobody else.
        heap += [(_turn(self.waiting[pod.key]), False, None) for row in freed for pod in self.floor.nominated(row)]
        heapq.heapify(heap)
        tried: set[object] = set()
        while heap:
            (_, _, key), many, kind = heapq.heappop(heap)
            job = self.waiting.get(key)
            if job is None:
                continue
            gang = job.pod.needs.gang
            if gang is not None and self.gangs:
                alike = self._alike_gang(gang.name) if many else gang.name
                if alike in tried:
                    continue
                if many and kind not in fresh and not self._could_now(gang.name, freed):
                    tried.add(alike)
                elif not self._bind_gang(gang.name, told):
                    tried.update((alike, gang.name))
                continue
            # What waited before found no room on the other machines, and they have no more now.
            among = None if kind in fresh else freed
            name = self.floor.find(job.pod, among=among, nominated=self.nominated.get(key, ""))
            if name:
                self._start(job, name, told)
            after = next(iter(self._alike[kind]), "") if many and name else ""
            if after:
                heapq.heappush(heap, (_turn(self.waiting[after]), True, kind))

    def _kind(self, job: Job) -> object:
        needs = job.pod.needs
        return needs.gang.name if needs.gang and self.gangs else needs

    def _alike_gang(self, name: str) -> object:
        """Gangs of which the one finds no room when the other finds none."""
        if any(key in self.places for key in self.members[name]):
            return name
        known = self._likeness.get(name)
        if known is None:
            some = (self.waiting[key].pod.needs for key in self.members[name] if key in self.waiting)
            bare = Counter(one._replace(gang=one.gang and one.gang._replace(name="")) for one in some)
            known = self._likeness[name] = frozenset(bare.items())
        return known

    def _could_now(self, name: str, freed: Ints) -> bool:
        """Whether any pod of a gang that found no room before fits on what came free."""
        some = {job.pod.needs: job.pod for key in self.members[name] if (job := self.waiting.get(key))}
        return any(self.floor.find(pod, among=freed) for pod in some.values())

    def _bind_gang(self, name: str, told: Callable[[Job, str], None]) -> bool:
        members = [self.waiting[key] for key in sorted(self.members[name]) if key in self.waiting]
        gang = members[0].pod.needs.gang
        assert gang is not None
        bound = [self.places[key] for key in self.members[name] if key in self.places]
        if len(members) + len(bound) < gang.size:
            return False
        key = ZONE if gang.within == "zone" else REGION
        homes = {self.floor.label(node, key) for node in bound}
        where = self.floor.together([job.pod for job in members], key, homes, self.nominated)
        for job in members if where else ():
            self._start(job, where[job.pod.key], told)
        return bool(where)

    def _start(self, job: Job, name: str, told: Callable[[Job, str], None]) -> None:
        key = job.pod.key
        if key in self.nominated:
            self.floor.forget(job.pod, self.nominated.pop(key), name)
        self.floor.put(replace(job.pod, node=name), name)
        del self.waiting[key], self._alike[self._kind(job)][key]
        self.wanted -= dict(job.pod.needs.requests).get(GPU, 0)
        self.places[key] = name
        told(job, name)


def _turn(job: Job) -> Turn:
    """Where a pod stands in the scheduler's queue."""
    return -job.pod.needs.priority, job.arrival, job.pod.key
