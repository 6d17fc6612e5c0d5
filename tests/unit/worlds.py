"""A world in memory for the controller: doubles of its ports, machines that join after a while, and a scheduler."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from infra.autoscale.match import refusal
from infra.autoscale.objects import read_node, read_pod
from infra.autoscale.ports import Machine
from infra.autoscale.snapshot import Pod
from tests.unit.doubles import GPU, JOIN, SIZES, ManualClock, MemoryCloud, MemoryKube, copied


class World:
    """All of it. ``tick`` lets time pass: groups launch, machines join, the scheduler binds, dead nodes fall silent."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.kube = MemoryKube()
        self.cloud = MemoryCloud(self.clock)
        self.never_join: set[str] = set()
        """Fleets whose machines come and never join."""
        self.gpu_less: set[str] = set()

    def node(self, name: str, kind: str, zone: str, **spec: Any) -> str:
        """A node; metal, unless ``spec`` gives it a providerID."""
        cpu, memory, gpus, _ = SIZES[kind]
        labels = {
            "topology.kubernetes.io/zone": zone,
            "topology.kubernetes.io/region": zone[:-1],
            "node.kubernetes.io/instance-type": kind,
            "kubernetes.io/hostname": name,
            **spec.pop("labels", {}),
        }
        room = {"cpu": cpu, "memory": memory, "pods": "110", **({GPU: str(gpus)} if gpus else {})}
        self.kube.put(
            f"/api/v1/nodes/{name}",
            {
                "metadata": {"name": name, "labels": labels, "creationTimestamp": "2023-11-14T22:13:20Z"},
                "spec": spec,
                "status": {"allocatable": room, "conditions": [{"type": "Ready", "status": "True"}]},
            },
        )
        return name

    def pod(self, name: str, cpu: str = "1", gpus: int = 0, owner: str = "ReplicaSet", **more: Any) -> str:
        """A waiting pod; ``more``: node, gang (name, size), and fields of the spec."""
        requests = {"cpu": cpu, "memory": "1Gi", **({GPU: str(gpus)} if gpus else {})}
        notes: dict[str, str] = dict(more.pop("notes", {}))
        if gang := more.pop("gang", None):
            notes |= {"infra/gang": gang[0], "infra/gang-size": str(gang[1])}
        owners = [{"kind": owner, "name": name.split("-")[0], "controller": True}] if owner else []
        spec = {
            "containers": [{"name": "main", "resources": {"requests": requests, "limits": requests}}],
            "tolerations": [{"key": GPU, "operator": "Exists"}],
            **more,
        }
        self.kube.put(
            f"/api/v1/namespaces/default/pods/{name}",
            {
                "metadata": {
                    "namespace": "default",
                    "name": name,
                    "labels": {"app": name.split("-")[0]},
                    "annotations": notes,
                    "ownerReferences": owners,
                },
                "spec": spec,
                "status": {"phase": "Pending"},
            },
        )
        return name

    def pods(self, name: str, count: int, **more: Any) -> list[str]:
        return [self.pod(f"{name}-{number}", **more) for number in range(count)]

    def bind(self, homes: Mapping[str, str]) -> None:
        """Bind pods to nodes, whatever the scheduler would say."""
        for name, node in homes.items():
            path = f"/api/v1/namespaces/default/pods/{name}"
            self.kube.objects[path]["spec"]["nodeName"] = node
            self.kube.put(path, self.kube.objects[path])

    def finish(self, app: str) -> None:
        """All pods of an app are over and gone."""
        for key, one in list(self.kube.objects.items()):
            if "/pods/" in key and one["metadata"]["labels"]["app"] == app:
                del self.kube.objects[key]

    def running(self, app: str = "") -> dict[str, str]:
        """Bound pods and their nodes."""
        return {
            one["metadata"]["name"]: one["spec"]["nodeName"]
            for one in self.kube.pods()
            if one["spec"].get("nodeName") and one["metadata"]["labels"]["app"].startswith(app)
        }

    def machines(self, fleet: str = "") -> dict[str, Machine]:
        """Those that are not terminated."""
        return {
            machine: one
            for name, group in self.cloud.groups.items()
            for machine, one in group.machines.items()
            if name.startswith(fleet) and one.state != "leaving"
        }

    def desired(self) -> dict[str, int]:
        return {name: group.fleet.desired for name, group in self.cloud.groups.items() if group.fleet.desired}

    def tick(self, seconds: float = 15.0) -> None:
        self.clock.time += seconds
        self.cloud.step()
        self._join()
        self._die()
        self.schedule()

    def _join(self) -> None:
        there = {one["spec"].get("providerID", "").rsplit("/", 1)[-1] for one in self.kube.nodes().values()}
        for name, group in self.cloud.groups.items():
            for machine, one in list(group.machines.items()):
                up = self.cloud.now - one.launched >= JOIN and one.state == "pending"
                if up:
                    group.machines[machine] = replace(one, state="in-service")
                if up and machine not in there and name not in self.never_join:
                    taints = [taint._asdict() for taint in group.fleet.taints]
                    provider = f"aws:///{one.zone}/{machine}"
                    labels = dict(group.fleet.labels)
                    made = self.node(
                        f"ip-{machine[2:]}", one.type, one.zone, labels=labels, providerID=provider, taints=taints
                    )
                    if name in self.gpu_less:
                        self.kube.objects[f"/api/v1/nodes/{made}"]["status"]["allocatable"].pop(GPU, None)

    def _die(self) -> None:
        alive = {
            machine
            for group in self.cloud.groups.values()
            for machine, one in group.machines.items()
            if one.state != "leaving"
        }
        for name, one in self.kube.nodes().items():
            provider = one["spec"].get("providerID", "").rsplit("/", 1)[-1]
            if provider and provider not in alive:
                self.fall_silent(name)
        # The garbage collector of pods whose node is no more.
        for key, pod in list(self.kube.objects.items()):
            if "/pods/" in key and pod["spec"].get("nodeName") and pod["spec"]["nodeName"] not in self.kube.nodes():
                del self.kube.objects[key]
                self.kube.again(pod)

    def fall_silent(self, node: str) -> None:
        self.kube.objects[f"/api/v1/nodes/{node}"]["status"]["conditions"][0]["status"] = "Unknown"

    def schedule(self) -> None:
        """A double of the scheduler: first fit, gangs all or nothing. Who is nominated is tried there first, and its
        room is kept from others (of its priority or less), as Kubernetes from 1.35 does it."""
        nodes = [read_node(one) for one in self.kube.nodes().values()]
        able = {node.name: node for node in nodes if not (node.joining or node.broken)}
        free = {name: dict(node.allocatable) for name, node in able.items()}
        waiting: dict[str, list[Pod]] = defaultdict(list)
        kept: dict[str, dict[str, Pod]] = defaultdict(dict)
        for raw in self.kube.pods():
            pod = read_pod(raw)
            if pod is None:
                continue
            if pod.node:
                for what, amount in pod.needs.requests:
                    if pod.node in free:
                        free[pod.node][what] = free[pod.node].get(what, 0) - amount
            else:
                waiting[pod.needs.gang.name if pod.needs.gang else pod.key].append(pod)
                kept[pod.nominated][pod.key] = pod
        for some in waiting.values():
            gang = some[0].needs.gang
            if gang and len(some) < gang.size:
                continue
            zones = sorted({node.labels["topology.kubernetes.io/zone"] for node in able.values()}) if gang else [""]
            for zone in zones:
                left, homes = copied(free), {}
                for pod in some:
                    for name, node in sorted(able.items(), key=lambda item: (item[0] != pod.nominated, item[0])):
                        good = not zone or node.labels["topology.kubernetes.io/zone"] == zone
                        others = [
                            one
                            for one in kept[name].values()
                            if one.name not in homes and one is not pod and one.needs.priority >= pod.needs.priority
                        ]
                        asked = Counter(dict(pod.needs.requests))
                        for one in others:
                            asked.update(dict(one.needs.requests))
                        fits = all(left[name].get(what, 0) >= amount for what, amount in asked.items())
                        if good and fits and not refusal(pod.needs, node.labels, node.taints):
                            for what, amount in pod.needs.requests:
                                left[name][what] -= amount
                            homes[pod.name] = name
                            break
                if len(homes) == len(some):
                    free = left
                    for one in some:
                        kept[one.nominated].pop(one.key, None)
                    self.bind(homes)
                    break
