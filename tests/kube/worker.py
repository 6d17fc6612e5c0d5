"""A tiny scheduler, kubelet and controllers, so that pods on the test API server run and end.

One thread, woken by every change. It binds pods where they fit, first node first, says ``Unschedulable`` where none
fits, runs them for as long as the annotation ``test/seconds`` says (for ever without it; ``test/exit`` is the exit
code; nothing goes on where the node's Ready is Unknown), and keeps the pods of Deployments, ReplicaSets, Jobs and
DaemonSets at their number. A gang is bound when all of it fits. A nominated pod is tried on its node first, and its
room is kept from others of its priority or less, also before that node is there: as Kubernetes from 1.35 does it. A
machine joins with ``join`` and is lost with ``leave``; ``machines`` does both for those of the embedded AWS.
"""

from __future__ import annotations

import collections
import contextlib
import json
import threading
import time
from collections.abc import Mapping
from typing import Any

from tests.kube import controllers, errors, fit, gangs
from tests.kube.messages import Request
from tests.kube.resources import LEASES, NODES, PODS
from tests.kube.server import KubeServer
from tests.kube.store import Object, now

_NOT_READY = "node.kubernetes.io/not-ready"
_UNSCHEDULABLE = "node.kubernetes.io/unschedulable"


class Worker:
    """Runs while inside ``with``. ``start_after``, ``stop_after``: seconds a pod takes to begin and to end."""

    def __init__(self, kube: KubeServer, start_after: float = 0.05, stop_after: float = 0.05) -> None:
        self.kube = kube
        self.store = kube.store
        self.start_after = start_after
        self.stop_after = stop_after
        self._since: dict[tuple[str, str], float] = {}  # (uid, what) → when it was first seen so
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)

    def __enter__(self) -> Worker:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        with self.store.changed:
            self.store.changed.notify_all()
        self._thread.join(10)

    # Machines

    def join(
        self,
        name: str,
        resources: Mapping[str, str] | None = None,
        labels: Mapping[str, str] | None = None,
        taints: list[Object] | None = None,
        provider_id: str = "",
    ) -> Object:
        """A machine registers as a node and is ready. ``resources`` are what pods may use of it."""
        has = {"cpu": "4", "memory": "16Gi", "pods": "110", "ephemeral-storage": "100Gi", **(resources or {})}
        self.kube.put(
            {
                "apiVersion": "coordination.k8s.io/v1",
                "kind": "Lease",
                "metadata": {"name": name, "namespace": "kube-node-lease"},
                "spec": {"holderIdentity": name, "leaseDurationSeconds": 40},
            }
        )
        return self.kube.put(
            {
                "apiVersion": "v1",
                "kind": "Node",
                "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, **(labels or {})}},
                "spec": {
                    **({"taints": taints} if taints else {}),
                    **({"providerID": provider_id} if provider_id else {}),
                },
                "status": {
                    "capacity": has,
                    "allocatable": has,
                    "conditions": [
                        {
                            "type": "Ready",
                            "status": "True",
                            "reason": "KubeletReady",
                            "message": "kubelet is posting ready status",
                            "lastHeartbeatTime": now(),
                            "lastTransitionTime": now(),
                        }
                    ],
                    "nodeInfo": {"kubeletVersion": "v1.37.0", "operatingSystem": "linux", "architecture": "amd64"},
                },
            }
        )

    def leave(self, name: str) -> None:
        """The machine is gone for good: its node, its lease, and every pod on it."""
        for resource, namespace in ((NODES, ""), (LEASES, "kube-node-lease")):
            with contextlib.suppress(errors.ApiError):
                self.store.delete(resource, namespace, name)

    def set_ready(self, name: str, ready: bool) -> None:
        """The node is well, or its kubelet says that it is not: the condition and the taint that goes with it."""

        def changed(obj: Object) -> None:
            for item in obj["status"]["conditions"]:
                if item["type"] == "Ready":
                    item.update(status="True" if ready else "False", lastTransitionTime=now())
            taints = [item for item in obj["spec"].get("taints") or () if item["key"] != _NOT_READY]
            if not ready:
                taints.append({"key": _NOT_READY, "effect": "NoSchedule", "timeAdded": now()})
            obj["spec"]["taints"] = taints
            if not taints:
                del obj["spec"]["taints"]

        self.store.change(NODES, "", name, changed)

    # What goes on

    def _work(self) -> None:
        seen = -1
        while not self._ending.is_set():
            with self.store.changed:
                if self.store.version == seen:
                    self.store.changed.wait(0.05)
            seen = self.store.version
            self.step()
            # Changes that come together are looked at together.
            self._ending.wait(0.01)

    def step(self) -> None:
        """Do everything that is due now."""
        with self.store.lock:
            nodes = {item.obj["metadata"]["name"]: item.obj for item in self.store.items(NODES)}
            pods = [item.obj for item in self.store.items(PODS)]
        for node in nodes.values():
            self._mark(node)
        for pod in pods:
            # Whatever else happened to the pod in between: it is looked at again in the next step.
            with contextlib.suppress(errors.ApiError):
                self._run(pod, nodes)
        controllers.step(self.kube, nodes, pods)
        self._schedule(nodes, pods)

    def _after(self, pod: Object, what: str, seconds: float) -> bool:
        """Whether ``what`` is true of the pod for this long."""
        since = self._since.setdefault((pod["metadata"]["uid"], what), time.monotonic())
        return time.monotonic() - since >= seconds

    def _mark(self, node: Object) -> None:
        """The taint that goes with a cordon, as the node controller keeps it."""
        taints = node.get("spec", {}).get("taints") or []
        others = [item for item in taints if item["key"] != _UNSCHEDULABLE]
        cordoned = bool(node.get("spec", {}).get("unschedulable"))
        if cordoned is (len(others) == len(taints)):

            def marked(obj: Object) -> None:
                here = [item for item in obj["spec"].get("taints") or () if item["key"] != _UNSCHEDULABLE]
                if obj["spec"].get("unschedulable"):
                    here.append({"key": _UNSCHEDULABLE, "effect": "NoSchedule", "timeAdded": now()})
                obj["spec"]["taints"] = here
                if not here:
                    del obj["spec"]["taints"]

            with contextlib.suppress(errors.ApiError):
                self.store.change(NODES, "", node["metadata"]["name"], marked)

    def _run(self, pod: Object, nodes: Mapping[str, Object]) -> None:
        meta, place = pod["metadata"], pod["spec"].get("nodeName")
        if not place:
            return
        key = (meta.get("namespace", ""), meta["name"])
        phase = pod["status"].get("phase")
        if place not in nodes:
            # A moment's patience: a node may be named before it is there.
            if self._after(pod, "lost", 0.2):
                self.store.delete(PODS, *key)
        elif meta.get("deletionTimestamp") and not _silent(nodes[place]):
            if self._after(pod, "ending", min(self.stop_after, meta.get("deletionGracePeriodSeconds", 0))):
                self.store.delete(PODS, *key)
        elif _silent(nodes[place]):
            return
        elif phase == "Pending" and self._after(pod, "bound", self.start_after):
            self._set_phase(key, "Running", True)
        elif phase == "Running":
            notes = meta.get("annotations") or {}
            if "test/seconds" in notes and self._after(pod, "running", float(notes["test/seconds"])):
                self._set_phase(key, "Failed" if notes.get("test/exit", "0") != "0" else "Succeeded", False)

    def _set_phase(self, key: tuple[str, str], phase: str, ready: bool) -> None:
        def changed(obj: Object) -> None:
            status = obj["status"]
            code = int((obj["metadata"].get("annotations") or {}).get("test/exit", "0"))
            state: Object = {"running": {"startedAt": now()}}
            if not ready:
                reason = "Completed" if phase == "Succeeded" else "Error"
                state = {"terminated": {"exitCode": code, "reason": reason, "finishedAt": now()}}
            wanted = ("Initialized", "Ready", "ContainersReady")
            others = [item for item in status.get("conditions") or () if item["type"] not in wanted]
            status.update(
                phase=phase,
                conditions=others
                + [
                    {
                        "type": name,
                        "status": "True" if ready or name == "Initialized" else "False",
                        "lastTransitionTime": now(),
                    }
                    for name in wanted
                ],
                containerStatuses=[
                    {
                        "name": item["name"],
                        "image": item["image"],
                        "imageID": "",
                        "ready": ready,
                        "restartCount": 0,
                        "started": ready,
                        "state": state,
                    }
                    for item in obj["spec"]["containers"]
                ],
            )
            status.setdefault("startTime", now())

        self.store.change(PODS, *key, changed)

    def _schedule(self, nodes: Mapping[str, Object], pods: list[Object]) -> None:
        on: dict[str, list[Object]] = collections.defaultdict(list)
        waiting = []
        for pod in pods:
            if pod["status"].get("phase") in ("Succeeded", "Failed"):
                continue
            if pod["spec"].get("nodeName"):
                on[pod["spec"]["nodeName"]].append(pod)
            elif not pod["spec"].get("schedulingGates") and pod["spec"].get("schedulerName") == "default-scheduler":
                waiting.append(pod)
        left = {name: fit.free(node, on[name]) for name, node in nodes.items()} if waiting else {}
        kept = _Kept(waiting)
        refused: dict[bytes, Mapping[str, int]] = {}
        for group in gangs.groups(self.store, waiting, [pod for there in on.values() for pod in there]):
            alone = len(group.pods) == 1 and not _nominated(group.pods[0])
            shape = fit.shape(group.pods[0]) if alone else b""
            if shape in refused:
                # Rooms only shrink while we go on: who is like one that was refused is refused.
                self._tell_unschedulable(group.pods[0], len(nodes), refused[shape])
                continue
            why = self._place(group, nodes, left, kept)
            if why and shape:
                refused[shape] = why

    def _place(
        self, group: gangs.Group, nodes: Mapping[str, Object], left: dict[str, fit.Amounts], kept: _Kept
    ) -> Mapping[str, int] | None:
        """Bind the pods of a group where they fit: all that must be together, or none. Why the last one is refused."""
        why: collections.Counter[str] = collections.Counter()
        last: Mapping[str, int] | None = None
        trial = {name: dict(amounts) for name, amounts in left.items()} if group.least > 1 else left
        places: list[tuple[Object, str]] = []
        for pod in group.pods:
            why = collections.Counter()
            own = _nominated(pod)
            for name in [own, *nodes] if own in nodes else nodes:
                refusal = fit.refusal(pod, nodes[name], kept.less(trial[name], name, pod))
                if not refusal:
                    for what, value in fit.requests(pod).items():
                        trial[name][what] -= value
                    places.append((pod, name))
                    break
                why[refusal] += 1
            else:
                last = why
                self._tell_unschedulable(pod, len(nodes), why)
        if len(places) < group.least:
            for pod, _ in places:
                self._tell_unschedulable(pod, len(nodes), {"pod group does not fit whole": 1})
            return last
        left.update(trial)
        for pod, name in places:
            self._bind(pod, name)
            kept.drop(pod)
        return last

    def _bind(self, pod: Object, node: str) -> None:
        meta = pod["metadata"]
        body = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": meta["name"]}, "target": {"name": node}}
        path = f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}/binding"
        self.kube.api.handle(Request("POST", path, body=json.dumps(body).encode()))

    def _tell_unschedulable(self, pod: Object, nodes: int, why: Mapping[str, int]) -> None:
        told = ", ".join(f"{count} {reason}" for reason, count in sorted(why.items()))
        message = f"0/{nodes} nodes are available: {told}." if nodes else "no nodes available to schedule pods"
        conditions = pod["status"].get("conditions") or []
        if any(item["type"] == "PodScheduled" and item.get("message") == message for item in conditions):
            return
        condition: dict[str, Any] = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
        condition.update(message=message, lastTransitionTime=now())

        def changed(obj: Object) -> None:
            others = [item for item in obj["status"].get("conditions") or () if item["type"] != "PodScheduled"]
            if not obj["spec"].get("nodeName"):
                obj["status"]["conditions"] = [*others, condition]

        with contextlib.suppress(errors.ApiError):
            self.store.change(PODS, pod["metadata"]["namespace"], pod["metadata"]["name"], changed)


def _nominated(pod: Object) -> str:
    return str(pod["status"].get("nominatedNodeName") or "")


class _Kept:
    """What nominated pods keep of their nodes, by node and uid."""

    def __init__(self, waiting: list[Object]) -> None:
        self._by: dict[str, dict[str, Object]] = collections.defaultdict(dict)
        for pod in waiting:
            if name := _nominated(pod):
                self._by[name][pod["metadata"]["uid"]] = pod

    def less(self, left: fit.Amounts, node: str, pod: Object) -> fit.Amounts:
        """What a node has for a pod."""
        if node not in self._by:
            return left
        least, left = pod["spec"].get("priority") or 0, dict(left)
        for other in self._by[node].values():
            if other["metadata"]["uid"] != pod["metadata"]["uid"] and (other["spec"].get("priority") or 0) >= least:
                for what, value in fit.requests(other).items():
                    left[what] = left.get(what, value) - value
        return left

    def drop(self, pod: Object) -> None:
        self._by.get(_nominated(pod), {}).pop(pod["metadata"]["uid"], None)


def _silent(node: Object) -> bool:
    """Whether nobody is there who would begin, end or stop a pod."""
    conditions = (node.get("status") or {}).get("conditions") or ()
    return any(item["type"] == "Ready" and item["status"] == "Unknown" for item in conditions)
