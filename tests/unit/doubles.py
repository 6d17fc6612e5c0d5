"""Doubles of the controller's ports: an API server, Auto Scaling groups and a clock in memory; and of a sudden death.

The API server keeps resource versions and refuses stale ones; the cloud has so many machines of each place and fails
what it cannot launch. ``tests/kube`` and the embedded AWS are the truer ones; these are for thousands of loops in
seconds.
"""

from __future__ import annotations

import itertools
import json
import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeVar, cast

from infra.autoscale.ports import Failure, Fleet, FleetId, Machine, Sight
from infra.autoscale.snapshot import Market, Taint
from infra.errors import CloudError, KubeConflict, KubeError, KubeGone

Raw = dict[str, Any]
Raws = list[Raw]
START = 1_700_000_000.0
JOIN, DIE = 90.0, 60.0
"""Seconds until a machine's node is ready, and until one that was terminated is gone."""
SIZES = {
    "m5.xlarge": ("4", "15Gi", 0, 0.192),
    "g5.xlarge": ("4", "15Gi", 1, 1.006),
    "g5.48xlarge": ("191", "700Gi", 8, 16.288),
    "p4d.24xlarge": ("95", "1100Gi", 8, 32.77),
}
GPU = "nvidia.com/gpu"


def price(region: str, kind: str, market: Market) -> float:
    """The first region is the cheapest, and spot a third of it."""
    worth = SIZES[kind][3] * (1.0 if region == "us-west-2" else 1.1)
    return worth / 3 if market == "spot" else worth


class ManualClock:
    """A double of ``ports.Clock``: time passes when somebody says so, or waits."""

    def __init__(self, now: float = START) -> None:
        self.time = now
        self.stop_after: int | None = None

    def now(self) -> float:
        return self.time

    def wait(self, seconds: float) -> bool:
        self.time += seconds
        if self.stop_after is None:
            return False
        self.stop_after -= 1
        return self.stop_after <= 0


T = TypeVar("T")


def copied(raw: T) -> T:
    """A deep copy; quicker than ``copy.deepcopy``."""
    return cast(T, pickle.loads(pickle.dumps(raw)))


def merged(into: Any, patch: Any) -> Any:
    """RFC 7386."""
    if not isinstance(patch, dict):
        return copied(patch)
    result = dict(into) if isinstance(into, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


class MemoryKube:
    """A double of ``ports.Kube``. ``budgets``: how many pods of an app must stay; ``broken`` fails every call."""

    def __init__(self) -> None:
        self.objects: dict[str, Raw] = {}
        self.budgets: dict[str, int] = {}
        self.version = 0
        self.writes: list[str] = []
        self.broken: KubeError | None = None
        self.meddle: Callable[[str], None] = lambda path: None
        """Called before each versioned write: somebody else's chance to be faster."""

    def put(self, path: str, body: Raw) -> Raw:
        self.version += 1
        body = json.loads(json.dumps(body))
        meta = body.setdefault("metadata", {})
        meta["resourceVersion"] = str(self.version)
        meta.setdefault("uid", f"uid-{self.version}")
        self.objects[path] = body
        return copied(body)

    def _ask(self) -> None:
        if self.broken is not None:
            raise self.broken

    def list(self, path: str) -> Raws:
        self._ask()
        plural = path.rsplit("/", 1)[-1]
        prefix = path[: -len(plural)]
        return [
            copied(one)
            for key, one in list(self.objects.items())
            if key.startswith(prefix) and key.rsplit("/", 2)[-2] == plural
        ]

    def get(self, path: str) -> Raw | None:
        self._ask()
        return copied(self.objects[path]) if path in self.objects else None

    def create(self, path: str, body: Raw) -> Raw:
        self._ask()
        key = f"{path}/{body['metadata']['name']}"
        if key in self.objects:
            raise KubeConflict(f"{key} is there already")
        self.writes.append(f"create {key}")
        return self.put(key, body)

    def replace(self, path: str, body: Raw) -> Raw:
        self._ask()
        self._same(path, body)
        self.writes.append(f"replace {path}")
        return self.put(path, body)

    def patch(self, path: str, body: Raw | Sequence[Raw], kind: Literal["merge", "strategic", "json"] = "merge") -> Raw:
        self._ask()
        assert isinstance(body, dict)
        self._same(path, body)
        self.writes.append(f"patch {path}")
        return self.put(path, merged(self.objects[path], body))

    def patch_all(self, many: Sequence[tuple[str, Raw]]) -> Sequence[KubeError | None]:
        return [self._patched(path.removesuffix("/status"), body) for path, body in many]

    def _patched(self, path: str, body: Raw) -> KubeError | None:
        try:
            self.patch(path, body)
        except (KubeConflict, KubeGone) as error:
            return error
        return None

    def _same(self, path: str, body: Raw) -> None:
        version = body.get("metadata", {}).get("resourceVersion")
        if version is not None:
            self.meddle(path)
        if path not in self.objects:
            raise KubeGone(f"{path} is not there")
        if version is not None and version != self.objects[path]["metadata"]["resourceVersion"]:
            raise KubeConflict(f"{path} was changed")

    def delete(self, path: str) -> None:
        self._ask()
        self.writes.append(f"delete {path}")
        self.objects.pop(path, None)

    def evict(self, namespace: str, name: str) -> str:
        self._ask()
        path = f"/api/v1/namespaces/{namespace}/pods/{name}"
        pod = self.objects.get(path)
        if pod is None:
            return ""
        app = pod["metadata"]["labels"]["app"]
        bound = [one for one in self.pods() if one["metadata"]["labels"]["app"] == app and one["spec"].get("nodeName")]
        if len(bound) <= self.budgets.get(app, 0):
            return f"the disruption budget {app} needs {self.budgets[app]} healthy pods and has {len(bound)}"
        self.writes.append(f"evict {namespace}/{name}")
        del self.objects[path]
        self.again(pod)
        return ""

    def again(self, pod: Raw) -> None:
        """What a pod's controller does when it is gone."""
        if not pod["metadata"].get("ownerReferences"):
            return
        fresh = copied(pod)
        name = f"{pod['metadata']['labels']['app']}-again{self.version}"
        fresh["metadata"] = {
            **{key: pod["metadata"][key] for key in pod["metadata"] if key not in ("uid", "resourceVersion")},
            "name": name,
        }
        fresh["spec"].pop("nodeName", None)
        self.put(f"/api/v1/namespaces/{pod['metadata']['namespace']}/pods/{name}", fresh)

    def pods(self) -> Raws:
        return [one for key, one in self.objects.items() if "/pods/" in key]

    def nodes(self) -> dict[str, Raw]:
        return {one["metadata"]["name"]: one for key, one in self.objects.items() if key.startswith("/api/v1/nodes/")}


@dataclass
class Group:
    """A group of ``MemoryCloud``, with its machines by id."""

    fleet: Fleet
    machines: dict[str, Machine] = field(default_factory=dict)
    ends: dict[str, float] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)
    tried: set[str] = field(default_factory=set)


class MemoryCloud:
    """A double of ``ports.Cloud``. ``capacity``: machines left of (region, type); a place not in it has plenty."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.groups: dict[FleetId, Group] = {}
        self.capacity: dict[tuple[str, str], int] = {}
        self.code = "InsufficientInstanceCapacity"
        self.blind: dict[str, str] = {}
        self.refuses: set[str] = set()
        """Regions in which every change fails."""
        self.lazy = False
        """Whether a group tries its next type only when it is looked at again."""
        self.skew = 0.0
        """Seconds by which the cloud's clock is ahead of ours."""
        self.launched: list[str] = []
        self.calls: list[tuple[str, str, object]] = []
        self._number = itertools.count(1)

    def add(self, name: str, kind: str | tuple[str, ...], **more: Any) -> FleetId:
        types = (kind,) if isinstance(kind, str) else kind
        fleet_id = FleetId(name)
        gpus = SIZES[types[0]][2]
        given: dict[str, Any] = {
            "zones": (f"{fleet_id.region}a",),
            "market": "on-demand",
            "minimum": 0,
            "maximum": 20,
            "desired": 0,
            "labels": {"pool": fleet_id.name},
            "taints": (Taint(GPU, "", "NoSchedule"),) if gpus else (),
            "resources": {GPU: str(gpus)} if gpus else {},
            **more,
        }
        self.groups[fleet_id] = Group(Fleet(fleet_id, fleet_id.name, types, **given))
        return fleet_id

    @property
    def now(self) -> float:
        return self.clock.now() + self.skew

    def look(self) -> Sight:
        return Sight(
            tuple(
                replace(
                    group.fleet,
                    machines=tuple(group.machines.values()),
                    failures=tuple(reversed([one for one in group.failures if one.when > self.now - 3600])),
                )
                for name, group in sorted(self.groups.items())
                if name.region not in self.blind
            ),
            dict(self.blind),
        )

    def _change(self, what: str, fleet: FleetId, value: object) -> Group:
        self.calls.append((what, fleet, value))
        if fleet.region in self.refuses or fleet.region in self.blind:
            raise CloudError(f"{what} failed", why=f"{fleet.region} is down")
        return self.groups[fleet]

    def resize(self, fleet: FleetId, desired: int) -> None:
        group = self._change("resize", fleet, desired)
        assert group.fleet.minimum <= desired <= group.fleet.maximum, (fleet, desired)
        alive = [one for one in group.machines.values() if one.state != "leaving"]
        assert desired >= len(alive), "the group would have to choose a machine"
        group.fleet = replace(group.fleet, desired=desired)

    def terminate(self, fleet: FleetId, machine: str) -> None:
        group = self._change("terminate", fleet, machine)
        if machine in group.machines:
            assert group.machines[machine].state != "leaving", "terminated twice"
            assert group.fleet.desired > group.fleet.minimum
            group.fleet = replace(group.fleet, desired=group.fleet.desired - 1)
            self.end(fleet, machine)

    def replace(self, fleet: FleetId, machine: str) -> None:
        group = self._change("replace", fleet, machine)
        if machine in group.machines:
            assert group.machines[machine].state != "leaving", "terminated twice"
            self.end(fleet, machine)

    def end(self, fleet: FleetId, machine: str) -> None:
        group = self.groups[fleet]
        group.machines[machine] = replace(group.machines[machine], state="leaving")
        group.ends[machine] = self.clock.now() + DIE

    def interrupt(self, fleet: FleetId, machine: str) -> None:
        group = self.groups[fleet]
        group.machines[machine] = replace(group.machines[machine], state="interrupted")

    def step(self) -> None:
        """What the groups do by themselves."""
        for name, group in self.groups.items():
            for machine, when in list(group.ends.items()):
                if self.clock.now() >= when:
                    kind = group.machines.pop(machine).type
                    del group.ends[machine]
                    if (name.region, kind) in self.capacity:
                        self.capacity[name.region, kind] += 1
            alive = sum(one.state != "leaving" for one in group.machines.values())
            for _ in range(group.fleet.desired - alive):
                if not self._launch(name, group):
                    break

    def _launch(self, name: FleetId, group: Group) -> bool:
        fleet = group.fleet
        for kind in fleet.types:
            left = self.capacity.get((name.region, kind), 1000)
            if left:
                if (name.region, kind) in self.capacity:
                    self.capacity[name.region, kind] -= 1
                machine = f"i-{next(self._number):05d}"
                zone = fleet.zones[len(group.machines) % len(fleet.zones)]
                group.machines[machine] = Machine(
                    machine, kind, zone, "pending", self.now, fleet.market, f"ip-{machine[2:]}"
                )
                self.launched.append(machine)
                return True
            number = next(self._number)
            words = f"there is no capacity for {kind}"
            failure = Failure(f"activity-{number}", self.now, self.code, words, fleet.zones[0], kind)
            group.failures.append(failure)
            if self.lazy and kind not in group.tried:
                group.tried.add(kind)
                return False
        return False


class Killed(BaseException):
    """The controller's process is no more."""


class Fragile:
    """Wraps ports, and kills whoever makes the call at which ``left`` reaches 0: before or after it is carried out."""

    def __init__(self, left: int, after: bool = False) -> None:
        self.left, self.after, self.made = left, after, 0

    def wrap(self, port: Any) -> Any:
        outer = self

        class Port:
            def __getattr__(self, name: str) -> Any:
                def call(*given: Any, **named: Any) -> Any:
                    outer.made += 1
                    outer.left -= 1
                    if outer.left == 0 and not outer.after:
                        raise Killed
                    result = getattr(port, name)(*given, **named)
                    if outer.left == 0:
                        raise Killed
                    return result

                return call

        return Port()
