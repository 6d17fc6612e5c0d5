"""``infra autoscale run`` as a process that is killed at chosen requests, again and again, and started anew."""

from __future__ import annotations

import collections
import functools
import itertools
import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from infra.autoscale.controller.notes import LEAVING
from tests.e2e.autoscaled import World
from tests.e2e.faulty_aws import Call, FaultyAws, Refusal
from tests.kube.resources import JOBS, NODES, PODS, Resource
from tests.kube.store import Change, Object

REQUESTS: Mapping[str, Mapping[str, str]] = {
    "lead": {"method": "POST", "path": "/leases$"},
    "intent": {"method": "POST", "path": "/configmaps$"},
    "buy": {"action": "SetDesiredCapacity"},
    "nominate": {"method": "PATCH", "path": "/pods/.*/status$"},
    "state": {"method": "PUT", "path": "/configmaps/"},
    "note": {"method": "PATCH", "path": "/nodes/", "body": "infra/fleet"},
    "leave": {"method": "PATCH", "path": "/nodes/", "body": LEAVING},
    "evict": {"method": "POST", "path": "/eviction$"},
    "terminate": {"action": "TerminateInstanceInAutoScalingGroup"},
    "forget": {"method": "DELETE", "path": "/nodes/"},
}
"""Every kind of request by which the autoscaler changes something, in the order of a life."""


@dataclass(frozen=True)
class Point:
    """The process dies at the request of this kind that comes after ``skip`` others: before anything is done, or when
    all is done and the answer is lost."""

    kind: str
    skip: int
    after: bool

    def __str__(self) -> str:
        return f"{'after' if self.after else 'before'} {self.kind} {self.skip + 1}"


@dataclass
class Life:
    """One cluster, and the processes that were its autoscaler, one after the other. While ``held`` is set, no machine
    of it joins."""

    place: World
    faulty: FaultyAws
    folder: Path
    env: Mapping[str, str]
    held: threading.Event
    died: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    """Nodes that were seen cordoned without the intent that they go."""

    def __post_init__(self) -> None:
        self.place.kube.store.watchers.append(self._seen)

    def _seen(self, change: Change) -> None:
        if change.resource is NODES and not change.deleted:
            node = change.after.obj
            notes = node["metadata"].get("annotations") or {}
            if node["spec"].get("unschedulable") and LEAVING not in notes:
                self.wrong.append(node["metadata"]["name"])

    def live(self, points: list[Point], seconds: float) -> None:
        """Through all points, and then on until nothing is left to do."""
        limit = time.monotonic() + seconds
        for point in points:
            if point.kind == "nominate":  # for machines that are to come: it must not be too late for it
                self.held.set()
            with self._process() as process:
                sprung = self._arm(point, process)
                self._until(functools.partial(self._sprung_or_over, sprung), limit, f"died {point}", process)
                assert sprung.is_set(), f"all is over, and never: died {point}; {self.died}\n{self.said}"
            self._disarm()
            self.held.clear()
            self.died.append(str(point))
        with self._process() as process:
            self._until(self.over, limit, "all is gone", process)
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0, self.said

    def _sprung_or_over(self, sprung: threading.Event) -> bool:
        return sprung.is_set() or self.over()

    def over(self) -> bool:
        """All work has ended, and no node and no machine is there any more."""
        if self.objects(NODES) or not self.worked():
            return False
        return not any(fleet.desired or fleet.machines for fleet in self.place.fleets.look().fleets)

    def worked(self) -> bool:
        ends = [one.get("type") for job in self.objects(JOBS) for one in job.get("status", {}).get("conditions") or ()]
        return ends == ["Complete"] * len(self.objects(JOBS))

    def objects(self, resource: Resource) -> list[Object]:
        with self.place.kube.store.lock:
            return [item.obj for item in self.place.kube.store.items(resource)]

    @property
    def said(self) -> str:
        return (self.folder / "said.txt").read_text(encoding="utf-8", errors="replace")

    def tend(self) -> None:
        """What people do meanwhile: each CPU machine gets a pod that may be moved; the last such pod is deleted."""
        ready = [node for node in self.objects(NODES) if _is_ready(node) and not _leaves(node)]
        cpu = [node["metadata"]["name"] for node in ready if _type(node).startswith("m5")]
        mine = [pod for pod in self.objects(PODS) if pod["metadata"]["name"].startswith("moved-")]
        if not self.worked() and len(cpu) == 2 and not mine:
            for name in cpu:
                self.place.kube.put(_moved(name))
        elif self.worked() and len(mine) == 1:
            self.place.kube.delete(f"/api/v1/namespaces/default/pods/{mine[0]['metadata']['name']}")

    def _process(self) -> _Killed:
        return _Killed(self.folder, self.env)

    def _arm(self, point: Point, process: subprocess.Popen[bytes]) -> threading.Event:
        sprung = threading.Event()

        def kill() -> None:
            process.kill()
            process.wait()
            sprung.set()

        asked = dict(REQUESTS[point.kind])
        if "action" in asked:
            self._arm_aws(point, asked["action"], kill)
        else:
            cut = "after" if point.after else "before"
            self.place.kube.fault(**asked, skip=point.skip, cut=cut, then=kill)
        return sprung

    def _arm_aws(self, point: Point, action: str, kill: Callable[[], None]) -> None:
        count = itertools.count()

        def due(call: Call) -> bool:
            if call.action != action or next(count) != point.skip:
                return False
            kill()
            return True

        if point.after:
            self.faulty.answered = due
        else:
            self.faulty.refusals[:] = [Refusal("", hang=0.001, when=due)]

    def _disarm(self) -> None:
        self.place.kube.faults.clear()
        self.faulty.refusals.clear()
        self.faulty.answered = lambda call: None

    def _until(self, done: Callable[[], bool], limit: float, what: str, process: subprocess.Popen[bytes]) -> None:
        while not done():
            assert time.monotonic() < limit, f"never: {what}; {self.died}\n{self.view()}\n{self.said}"
            assert process.poll() in (None, -signal.SIGKILL), self.said
            self.tend()
            time.sleep(0.1)

    def view(self) -> str:
        """What there is, for a test that fails."""
        pods = collections.Counter(
            (pod["metadata"]["name"].partition("-")[0], pod["status"].get("phase"), pod["spec"].get("nodeName"))
            for pod in self.objects(PODS)
        )
        nodes = [(node["metadata"]["name"], _is_ready(node), _leaves(node)) for node in self.objects(NODES)]
        fleets = [(str(one.id), one.desired, one.machines) for one in self.place.fleets.look().fleets if one.desired]
        return f"pods {pods}\nnodes {nodes}\nfleets {fleets}"


class _Killed:
    """A process of the autoscaler, which is dead when the block ends. Restarted in place, a pod keeps its name."""

    def __init__(self, folder: Path, env: Mapping[str, str]) -> None:
        self.folder, self.env = folder, env
        self.process: subprocess.Popen[bytes] | None = None
        self.out: IO[bytes] | None = None

    def __enter__(self) -> subprocess.Popen[bytes]:
        words = ["autoscale", "run", "--interval", "1", "--settle", "0", "--idle", "0.02"]
        self.out = (self.folder / "said.txt").open("ab")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "infra", *words],
            cwd=self.folder,
            env={**self.env, "POD_NAME": "infra-autoscaler-0"},
            stdin=subprocess.DEVNULL,
            stdout=self.out,
            stderr=subprocess.STDOUT,
        )
        return self.process

    def __exit__(self, *_: object) -> None:
        assert self.process is not None and self.out is not None
        self.process.kill()
        self.process.wait(10)
        self.out.close()


def kinds(said: str) -> collections.Counter[str]:
    """How many decisions of each kind were told."""
    lines = (json.loads(line) for line in said.splitlines() if line.startswith("{"))
    return collections.Counter(str(one["kind"]) for one in lines)


def _is_ready(node: Object) -> bool:
    conditions = node.get("status", {}).get("conditions") or ()
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def _leaves(node: Object) -> bool:
    return LEAVING in (node["metadata"].get("annotations") or {})


def _type(node: Object) -> str:
    return str(node["metadata"]["labels"].get("node.kubernetes.io/instance-type", ""))


def _moved(node: str) -> dict[str, Any]:
    meta = {"name": f"moved-{node}", "annotations": {"infra/safe-to-evict": "true"}}
    container = {"name": "main", "image": "busybox", "resources": {"requests": {"cpu": "100m"}}}
    spec = {"containers": [container], "nodeName": node, "terminationGracePeriodSeconds": 1}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}
