"""The kubelets of the embedded AWS's machines: a double, since none of those machines boots.

It sees machines as anybody does, over AWS's API, and makes on the test API server what their kubelets would: a Node
that is not ready at first, then is, and whose GPUs come some time after that, when a device plugin has spoken. When the
machine is gone its node goes silent: Ready is Unknown, with the taints that the node controller then sets. The Node
object stays, as it does without a cloud controller.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tests.kube import errors
from tests.kube.resources import NODES
from tests.kube.server import KubeServer
from tests.kube.store import Object, now

TAG = "k8s.io/cluster-autoscaler/"
TEMPLATE = TAG + "node-template/"
NOT_READY, SILENT = "node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"
GPU = "nvidia.com/gpu"
Instance = Mapping[str, Any]


@dataclass
class _Machine:
    """``stage``: booting, joining, ready, whole (with its GPUs), gone; ``since`` when."""

    name: str
    region: str
    stage: str
    since: float


class Machines:
    """Runs while inside ``with``. ``client(service, region)`` are boto3's on the embedded AWS.

    Seconds: ``join_after`` from running to a Node object, ``ready_after`` to Ready, ``gpu_after`` to its GPUs.
    ``never`` says of an instance that it never joins.
    """

    def __init__(
        self,
        kube: KubeServer,
        client: Callable[[str, str], Any],
        cluster: str,
        regions: Iterable[str],
        join_after: float = 0.3,
        ready_after: float = 0.3,
        gpu_after: float = 0.3,
        every: float = 0.25,
        never: Callable[[Instance], bool] = lambda _: False,
    ) -> None:
        self.kube, self.client, self.tag, self.regions = kube, client, TAG + cluster, tuple(regions)
        self.after = {"booting": join_after, "joining": ready_after, "ready": gpu_after}
        self.every, self.never = every, never
        self.known: dict[str, _Machine] = {}
        self.errors: list[BaseException] = []
        self._types: dict[str, Any] = {}
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)

    def __enter__(self) -> Machines:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join(30)
        assert not self.errors, self.errors

    def _work(self) -> None:
        try:
            while not self._ending.wait(self.every):
                for region in self.regions:
                    self.step(region)
        except BaseException as error:  # noqa: BLE001 (told where the test looks)
            self.errors.append(error)

    def step(self, region: str) -> None:
        """See to the machines of one region."""
        only = [{"Name": "tag-key", "Values": [self.tag]}]
        groups = self.client("autoscaling", region).describe_auto_scaling_groups(Filters=only)["AutoScalingGroups"]
        tags = {group["AutoScalingGroupName"]: _tags(group["Tags"]) for group in groups}
        only = [
            {"Name": "instance-state-name", "Values": ["running"]},
            {"Name": "tag:aws:autoscaling:groupName", "Values": list(tags)},
        ]
        said = self.client("ec2", region).describe_instances(Filters=only)["Reservations"] if tags else []
        running = {one["InstanceId"]: one for reservation in said for one in reservation["Instances"]}
        for name, one in self.known.items():
            if one.region == region and name not in running and one.stage != "gone":
                self._lose(one)
        for name, instance in running.items():
            if name not in self.known:
                host = str(instance["PrivateDnsName"])
                self.known[name] = _Machine(host, region, "booting", time.monotonic())
            if not self.never(instance):
                self._grow(self.known[name], instance, tags[_tags(instance["Tags"])["aws:autoscaling:groupName"]])

    def _grow(self, machine: _Machine, instance: Instance, tags: Mapping[str, str]) -> None:
        if machine.stage not in self.after or time.monotonic() - machine.since < self.after[machine.stage]:
            return
        if machine.stage == "booting":
            if self.kube.store.find(NODES, "", machine.name):
                return  # of one before it, that had the same address
            self._join(machine, instance, tags)
        elif machine.stage == "joining":
            self._change(machine, _well)
        else:
            self._plug(machine, instance)
        stages = [*self.after, "whole"]
        machine.stage, machine.since = stages[stages.index(machine.stage) + 1], time.monotonic()

    def _join(self, machine: _Machine, instance: Instance, tags: Mapping[str, str]) -> None:
        zone, kind = instance["Placement"]["AvailabilityZone"], instance["InstanceType"]
        facts = self._facts(kind, machine.region)
        has = {
            "cpu": str(facts["VCpuInfo"]["DefaultVCpus"]),
            "memory": f"{int(facts['MemoryInfo']['SizeInMiB'] * 0.95)}Mi",
            "ephemeral-storage": "80Gi",
            "pods": "110",
        }
        labels = {
            "kubernetes.io/hostname": machine.name,
            "kubernetes.io/os": "linux",
            "node.kubernetes.io/instance-type": kind,
            "topology.kubernetes.io/zone": zone,
            "topology.kubernetes.io/region": machine.region,
            **_under(tags, "label/"),
        }
        taints: list[Object] = [{"key": NOT_READY, "effect": "NoSchedule"}]
        for key, value in _under(tags, "taint/").items():
            content, _, effect = value.rpartition(":")
            taints.append({"key": key, "value": content, "effect": effect})
        self.kube.put(
            {
                "apiVersion": "v1",
                "kind": "Node",
                "metadata": {"name": machine.name, "labels": labels},
                "spec": {"providerID": f"aws:///{zone}/{instance['InstanceId']}", "taints": taints},
                "status": {
                    "capacity": has,
                    "allocatable": has,
                    "conditions": [_ready("False", "KubeletNotReady", "network plugin is not ready")],
                    "addresses": [{"type": "InternalIP", "address": instance["PrivateIpAddress"]}],
                    "nodeInfo": {"kubeletVersion": "v1.37.0", "operatingSystem": "linux", "architecture": "amd64"},
                },
            }
        )

    def _plug(self, machine: _Machine, instance: Instance) -> None:
        facts = self._facts(instance["InstanceType"], machine.region)
        gpus = sum(gpu["Count"] for gpu in facts.get("GpuInfo", {}).get("Gpus", ()) if gpu["Manufacturer"] == "NVIDIA")

        def plugged(node: Object) -> None:
            for part in ("capacity", "allocatable"):
                node["status"][part] = {**node["status"][part], GPU: str(gpus)}

        if gpus:
            self._change(machine, plugged)

    def _lose(self, machine: _Machine) -> None:
        joined = machine.stage != "booting"
        machine.stage, machine.since = "gone", time.monotonic()
        if joined:
            self._change(machine, _silent)

    def _change(self, machine: _Machine, change: Callable[[Object], None]) -> None:
        with contextlib.suppress(errors.ApiError):  # somebody deleted the node
            self.kube.store.change(NODES, "", machine.name, change)

    def _facts(self, kind: str, region: str) -> Any:
        if kind not in self._types:
            said = self.client("ec2", region).describe_instance_types(InstanceTypes=[kind])
            self._types[kind] = said["InstanceTypes"][0]
        return self._types[kind]


def _tags(tags: Iterable[Mapping[str, str]]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in tags}


def _under(tags: Mapping[str, str], kind: str) -> dict[str, str]:
    prefix = TEMPLATE + kind
    return {key[len(prefix) :]: value for key, value in tags.items() if key.startswith(prefix)}


def _ready(status: str, reason: str, message: str) -> Object:
    at = now()
    told = {"type": "Ready", "status": status, "reason": reason, "message": message}
    return {**told, "lastHeartbeatTime": at, "lastTransitionTime": at}


def _well(node: Object) -> None:
    node["status"]["conditions"] = [_ready("True", "KubeletReady", "kubelet is posting ready status")]
    _taint(node, ())


def _silent(node: Object) -> None:
    node["status"]["conditions"] = [_ready("Unknown", "NodeStatusUnknown", "Kubelet stopped posting node status.")]
    _taint(node, [{"key": SILENT, "effect": effect, "timeAdded": now()} for effect in ("NoSchedule", "NoExecute")])


def _taint(node: Object, taints: Iterable[Object]) -> None:
    """These are the node controller's taints from now on; those of others stay."""
    others = [one for one in node["spec"].get("taints") or () if one["key"] not in (NOT_READY, SILENT)]
    node["spec"]["taints"] = [*others, *taints]
    if not node["spec"]["taints"]:
        del node["spec"]["taints"]
