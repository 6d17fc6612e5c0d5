"""What a simulation measured: money, waits, launch rounds, fragmentation, partial gangs; and the course of it."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from infra.autoscale.simulate.trace import GPU
from infra.autoscale.snapshot import Pod

Billing = Literal["second", "hour"]
LEAST = 60.0
"""Seconds that EC2 bills of a machine at least."""


class Bill(NamedTuple):
    """One machine from its launch to its end: ``price`` in $/h, times in seconds of the simulation."""

    machine: str
    group: str
    price: float
    began: float
    ended: float

    def dollars(self, billing: Billing) -> float:
        seconds = self.ended - self.began
        if billing == "hour":
            return self.price * math.ceil(seconds / 3600 - 1e-9)
        return self.price * max(seconds, LEAST) / 3600


class Moment(NamedTuple):
    """The world from ``when`` (seconds) on: what all machines cost in $/h, how many pods wait and how many run."""

    when: float
    rate: float
    waiting: int
    running: int
    machines: int


@dataclass(frozen=True)
class Result:
    """What a policy did with a scene. Waits in seconds, from arrival to the start, of the work that started."""

    policy: str
    dollars: float
    wait_p50: float
    wait_p99: float
    wait_max: float
    started: int
    waiting: int
    rounds: int
    machines: int
    refused: int
    evicted: int
    fragmentation: float
    gpu_use: float
    partial_gangs: int
    rate_max: float
    seconds: float
    most: dict[str, int]
    bills: tuple[Bill, ...]
    course: tuple[Moment, ...]
    round_times: tuple[float, ...]

    def data(self) -> dict[str, Any]:
        """As JSON, without the course."""
        return {
            "policy": self.policy,
            "dollars": round(self.dollars, 4),
            "wait_p50_seconds": round(self.wait_p50, 3),
            "wait_p99_seconds": round(self.wait_p99, 3),
            "wait_max_seconds": round(self.wait_max, 3),
            "started": self.started,
            "waiting": self.waiting,
            "launch_rounds": self.rounds,
            "machines": self.machines,
            "refused": self.refused,
            "evicted": self.evicted,
            "fragmentation": round(self.fragmentation, 6),
            "gpu_use": round(self.gpu_use, 6),
            "partial_gangs": self.partial_gangs,
            "dollars_per_hour_max": round(self.rate_max, 4),
            "seconds": round(self.seconds, 3),
        }


class Track:
    """Gathers as the simulation goes; times never go back."""

    def __init__(self, policy: str, billing: Billing, jobs: int) -> None:
        self.policy, self.billing, self.jobs = policy, billing, jobs
        self.arrived = self.running = self.machines = self.refused = self.evicted = 0
        self.gpus = self.gpus_used = 0
        self.rounds: list[float] = []
        self.partial: set[str] = set()
        self.most: Counter[str] = Counter()
        self._arrivals: dict[str, float] = {}
        self._waits: dict[str, float] = {}
        self._bills: list[Bill] = []
        self._rate = 0.0
        self._course: list[Moment] = []
        self._last: tuple[float, int, int, int] = (0.0, 0, 0, 0)
        self._lost = self._had = self._used = self._all = 0.0

    def arrive(self, pod: Pod, now: float) -> None:
        self._arrivals[pod.key] = now

    def start(self, pod: Pod, now: float) -> None:
        """Only the first start of a pod is waited for; one that was evicted starts again."""
        self.running += 1
        self.gpus_used += dict(pod.needs.requests).get(GPU, 0)
        self._waits.setdefault(pod.key, now - self._arrivals.get(pod.key, now))

    def old(self, pod: Pod) -> None:
        """Work that ran before the simulation began: nobody waited for it here."""
        self.running += 1
        self.gpus_used += dict(pod.needs.requests).get(GPU, 0)

    def paid(self, price: float) -> None:
        self._rate += price

    def bill(self, bill: Bill) -> None:
        self._rate -= bill.price
        self._bills.append(bill)

    def note(self, now: float, waiting: int, waiting_gpus: int, machines: int) -> None:
        """The world has changed: what was true until now is summed up."""
        then, wanted, gpus, used = self._last
        span = now - then
        self._all += span * gpus
        self._used += span * used
        if wanted:
            self._had += span * gpus
            self._lost += span * (gpus - used)
        self._last = (now, waiting_gpus, self.gpus, self.gpus_used)
        moment = Moment(now, max(0.0, self._rate), waiting, self.running, machines)
        if self._course and self._course[-1].when == now:
            self._course[-1] = moment
        else:
            self._course.append(moment)

    def result(self, waiting: int) -> Result:
        waits = sorted(self._waits.values())
        return Result(
            policy=self.policy,
            dollars=math.fsum(bill.dollars(self.billing) for bill in self._bills),
            wait_p50=percentile(waits, 50),
            wait_p99=percentile(waits, 99),
            wait_max=waits[-1] if waits else 0.0,
            started=len(waits),
            waiting=waiting,
            rounds=len(self.rounds),
            machines=self.machines,
            refused=self.refused,
            evicted=self.evicted,
            fragmentation=self._lost / self._had if self._had else 0.0,
            gpu_use=self._used / self._all if self._all else 0.0,
            partial_gangs=len(self.partial),
            rate_max=max((moment.rate for moment in self._course), default=0.0),
            seconds=self._course[-1].when if self._course else 0.0,
            most=dict(sorted(self.most.items())),
            bills=tuple(self._bills),
            course=tuple(self._course),
            round_times=tuple(self.rounds),
        )


def percentile(ordered: list[float], share: float) -> float:
    """The smallest value that so many percent are not above (nearest rank); 0 of nothing."""
    if not ordered:
        return 0.0
    return ordered[max(0, math.ceil(len(ordered) * share / 100) - 1)]
