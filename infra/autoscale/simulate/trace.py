"""Work over time, read from CSV. Pure: the text comes from elsewhere.

Two forms, told apart by the header: ``name,arrival,duration,cpu,memory`` with ``gpu``, ``gang``, ``priority`` if
wanted (seconds, and quantities as Kubernetes writes them), and the pod lists of the openb trace (``cpu_milli`` …).
"""

from __future__ import annotations

import csv
import io
import math
import random
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from infra.autoscale.quantity import BadQuantity, quantity
from infra.autoscale.snapshot import Gang, Needs, Pod, Toleration, amounts
from infra.errors import Problem, UsageError

GPU = "nvidia.com/gpu"
OWN = ("name", "arrival", "duration", "cpu", "memory")
OPENB = ("name", "cpu_milli", "memory_mib", "num_gpu", "creation_time", "deletion_time", "scheduled_time")
TOLD = 20
TOLERATES = (Toleration(GPU, "Exists", "", ""),)
"""Work that asks for GPUs tolerates the taint that is usual on their machines."""


@dataclass(frozen=True, slots=True)
class Job:
    """A pod with its time: ``arrival`` and ``duration`` in seconds; a duration of infinity never ends."""

    pod: Pod
    arrival: float
    duration: float


def read_trace(text: str, where: str) -> tuple[Job, ...]:
    """The jobs of a trace, by arrival. Raises UsageError with every line that is wrong (the first twenty)."""
    rows = csv.DictReader(io.StringIO(text))
    have = tuple(rows.fieldnames or ())
    if set(OPENB) <= set(have):
        read = _openb
    elif set(OWN) <= set(have):
        read = _own
    else:
        raise UsageError(
            f"no trace: its first line is {','.join(have)[:80] or 'empty'}",
            where=f"{where}:1",
            fix=f"begin it with {','.join(OWN)} (and gpu, gang, priority), or give an openb pod list",
        )
    jobs, wrong, names = [], [], set()
    for row in rows:
        try:
            job = read(row)
            if job.pod.name in names:
                raise ValueError(f"the name {job.pod.name} is there twice")
        except (BadQuantity, TypeError, ValueError, KeyError, AttributeError) as error:
            wrong.append(Problem(f"no job: {error}", where=f"{where}:{rows.line_num}", rule="UsageError"))
            continue
        names.add(job.pod.name)
        jobs.append(job)
    if wrong:
        more = [Problem(f"and {len(wrong) - TOLD} lines more", where=where, rule="UsageError")] if wrong[TOLD:] else []
        raise UsageError("the trace is wrong", problems=[*wrong[:TOLD], *more])
    if not jobs:
        raise UsageError("the trace holds no jobs", where=where, fix="one line for each job, after the header")
    return _sized(sorted(jobs, key=lambda job: (job.arrival, job.pod.name)))


def _own(row: Mapping[str, str]) -> Job:
    asked = {"cpu": quantity("cpu", row["cpu"]), "memory": quantity("memory", row["memory"]), "pods": 1}
    asked[GPU] = quantity(GPU, row.get("gpu") or "0")
    gang = Gang(f"trace/{row['gang']}", 0, "zone") if row.get("gang") else None
    needs = Needs(
        amounts(asked),
        tolerations=TOLERATES if asked[GPU] else (),
        priority=int(row.get("priority") or 0),
        gang=gang,
    )
    duration = math.inf if row["duration"] in ("", "inf") else _seconds(row["duration"], "duration")
    return Job(Pod("trace", _name(row), needs, owner="Job"), _seconds(row["arrival"], "arrival"), duration)


def _openb(row: Mapping[str, str]) -> Job:
    """Shares of a GPU count as whole ones: Kubernetes' device plugin knows no others."""
    asked = {
        "cpu": int(row["cpu_milli"]),
        "memory": int(row["memory_mib"]) * 2**20,
        GPU: int(row["num_gpu"]),
        "pods": 1,
    }
    if min(asked.values()) < 0:
        raise ValueError("an amount is negative")
    began = _seconds(row["scheduled_time"] or row["creation_time"], "scheduled_time")
    duration = max(1.0, _seconds(row["deletion_time"], "deletion_time") - began)
    needs = Needs(amounts(asked), tolerations=TOLERATES if asked[GPU] else ())
    return Job(Pod("trace", _name(row), needs, owner="Job"), _seconds(row["creation_time"], "creation_time"), duration)


def _name(row: Mapping[str, str]) -> str:
    if not row["name"]:
        raise ValueError("its name is empty")
    return row["name"]


def _seconds(text: str, what: str) -> float:
    value = float(text)
    if not (0 <= value < 1e10):
        raise ValueError(f"{what}: {text} is no number of seconds")
    return value


def _sized(jobs: Sequence[Job]) -> tuple[Job, ...]:
    """The same with every gang as large as it has members."""
    sizes = Counter(job.pod.needs.gang.name for job in jobs if job.pod.needs.gang)
    return tuple(job if job.pod.needs.gang is None else _grown(job, sizes[job.pod.needs.gang.name]) for job in jobs)


def _grown(job: Job, size: int) -> Job:
    gang = job.pod.needs.gang
    assert gang is not None
    return replace(job, pod=replace(job.pod, needs=job.pod.needs._replace(gang=gang._replace(size=size))))


def faster(jobs: Sequence[Job], times: float) -> tuple[Job, ...]:
    """The same jobs, arriving so many times as fast; each runs as long as before."""
    return tuple(replace(job, arrival=job.arrival / times) for job in jobs)


def burst(jobs: Sequence[Job], seconds: float, seed: int = 0) -> tuple[Job, ...]:
    """The same jobs, all arriving within so many seconds from the start, at moments that the seed draws."""
    chance = random.Random(seed)
    moved = [replace(job, arrival=chance.random() * seconds) for job in jobs]
    return tuple(sorted(moved, key=lambda job: (job.arrival, job.pod.name)))


def lasting(jobs: Sequence[Job], longest: float) -> tuple[Job, ...]:
    """The same jobs, none running for more than so many seconds."""
    return tuple(replace(job, duration=min(job.duration, longest)) for job in jobs)


def ganged(jobs: Sequence[Job], size: int) -> tuple[Job, ...]:
    """The same jobs, with gangs in a trace that has none: of the pods with GPUs that ask for the same, every ``size``
    in the order of their arrival are a gang of one zone. They arrive with the first of them and run as long as the
    longest; those that are left over stay alone.
    """
    alike: dict[Needs, list[Job]] = defaultdict(list)
    for job in jobs:
        if job.pod.needs.gang is None and dict(job.pod.needs.requests).get(GPU):
            alike[job.pod.needs].append(job)
    found = {job.pod.key: job for job in jobs}
    number = 0
    for needs, some in alike.items():
        for start in range(0, len(some) - size + 1, size):
            members, number = some[start : start + size], number + 1
            own = needs._replace(gang=Gang(f"trace/gang-{number}", size, "zone"))
            longest = max(job.duration for job in members)
            for job in members:
                found[job.pod.key] = Job(replace(job.pod, needs=own), members[0].arrival, longest)
    return tuple(sorted(found.values(), key=lambda job: (job.arrival, job.pod.name)))
