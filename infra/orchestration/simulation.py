"""``infra autoscale simulate`` (and a dump for ``explain``): a file read, machines to be bought, policies let loose."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from infra import files
from infra.autoscale.dump import read_dump
from infra.autoscale.simulate.engine import simulate
from infra.autoscale.simulate.ours import Ours
from infra.autoscale.simulate.per_pod import PerPod
from infra.autoscale.simulate.policy import Policy
from infra.autoscale.simulate.reference import Reference
from infra.autoscale.simulate.results import Result
from infra.autoscale.simulate.scene import Scene, Settings
from infra.autoscale.simulate.trace import Job, burst, faster, ganged, lasting, read_trace
from infra.autoscale.snapshot import Group, Snapshot
from infra.errors import UsageError
from infra.orchestration import offers

POLICIES: dict[str, Callable[[], Policy]] = {"infra": Ours, "per-pod": PerPod, "reference": Reference}


@dataclass(frozen=True, slots=True)
class Wishes:
    """How the file is to be taken: ``burst`` seconds in which everything arrives (None: as it says), ``times`` as
    fast, no job longer than ``longest`` seconds, ``gangs`` of so many pods with GPUs (0: as it says); ``duration`` of a
    dump's waiting pods, which do not say theirs."""

    burst: float | None = None
    times: float = 1.0
    longest: float = math.inf
    duration: float = 3600.0
    seed: int = 0
    gangs: int = 0


def groups(types: Sequence[str], region: str, file: Path, endpoint: str | None) -> tuple[tuple[Group, ...], list[str]]:
    """What may be bought: the types named, else the autoscaled pools of cluster.yaml; and warnings."""
    if types:
        return offers.of_types(types, region), []
    if not file.is_file():
        raise UsageError(
            "nothing says which machines may be bought",
            where="command line",
            why=f"no --types, and there is no {file}",
            fix="give --types g5.12xlarge,m5.16xlarge, or -f cluster.yaml",
        )
    from infra.spec.load import load

    found, warnings = offers.of_cluster(load(file, endpoint).cluster, str(file))
    return found, list(warnings)


def scene(path: Path, some: tuple[Group, ...], wishes: Wishes) -> Scene:
    """The file as a scene: a trace is CSV, a dump is JSON."""
    text = files.read_text(path)
    if text.lstrip()[:1] in ("{", "["):
        return _of_dump(read_dump(text, str(path), some), wishes)
    jobs = read_trace(text, str(path))
    if wishes.burst is not None:
        jobs = burst(jobs, wishes.burst, wishes.seed)
    jobs = lasting(faster(jobs, wishes.times), wishes.longest)
    return Scene(ganged(jobs, wishes.gangs) if wishes.gangs else jobs, some)


def _of_dump(snapshot: Snapshot, wishes: Wishes) -> Scene:
    """What waits arrives at once; what runs stays."""
    waiting = [pod for pod in snapshot.pods if not pod.node and not pod.problem and pod.owner != "DaemonSet"]
    if not waiting:
        raise UsageError(
            "no pod waits in it", where="DUMP", fix="there is nothing to simulate: nothing would be bought"
        )
    jobs = tuple(Job(pod, 0.0, min(wishes.duration, wishes.longest)) for pod in waiting)
    bound = tuple(pod for pod in snapshot.pods if pod.node)
    nodes = tuple(replace(node, idle_since=None) for node in snapshot.nodes)
    return Scene(jobs, snapshot.groups, nodes, bound, snapshot.daemons)


def capacity(some: tuple[Group, ...], limits: Mapping[str, int], settings: Settings) -> Settings:
    """The settings with so many machines of a type in each of its places."""
    known = {offer.place.type for group in some for offer in group.offers}
    for name in limits:
        if name not in known:
            raise UsageError(f"{name} is no type that may be bought", where="--capacity", fix=", ".join(sorted(known)))
    places = {
        offer.place: limits[offer.place.type] for group in some for offer in group.offers if offer.place.type in limits
    }
    return replace(settings, capacity=places)


def run(what: Scene, names: Sequence[str], settings: Settings, told: Callable[[str], None]) -> list[Result]:
    """The result of each policy, in their order; ``told`` hears of each before it starts."""
    found = []
    for name in dict.fromkeys(names):
        told(name)
        found.append(simulate(what, POLICIES[name](), settings))
    return found
