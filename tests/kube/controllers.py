"""The controllers that tests need: Deployments, ReplicaSets, Jobs and DaemonSets have the pods that they want."""

from __future__ import annotations

import collections
import contextlib
from collections.abc import Iterable, Mapping
from typing import Any

from tests.kube import errors, fit
from tests.kube.resources import DAEMONSETS, DEPLOYMENTS, JOBS, NODES, REPLICASETS, Resource
from tests.kube.server import KubeServer
from tests.kube.store import Item, Object, now

_ENDED = ("Succeeded", "Failed")
_EVERYWHERE = [{"key": "node.kubernetes.io/unschedulable", "operator": "Exists", "effect": "NoSchedule"}]


def step(kube: KubeServer, nodes: Mapping[str, Object], pods: Iterable[Object]) -> None:
    """Make what is missing and say in every status what is there. What is changing meanwhile is for the next step."""
    owned: dict[str, list[Object]] = collections.defaultdict(list)
    for pod in pods:
        for owner in pod["metadata"].get("ownerReferences") or ():
            owned[owner["uid"]].append(pod)
    for resource, act in ((DEPLOYMENTS, _deploy), (REPLICASETS, _replicate), (JOBS, _work), (DAEMONSETS, _cover)):
        for item in kube.store.items(resource):
            with contextlib.suppress(errors.ApiError):
                act(kube, item, owned[item.obj["metadata"]["uid"]], nodes)
    _orphans(kube, pods)


def _orphans(kube: KubeServer, pods: Iterable[Object]) -> None:
    """What belongs to something deleted goes, too."""
    alive = {
        item.obj["metadata"]["uid"]
        for resource in (DEPLOYMENTS, REPLICASETS, JOBS, DAEMONSETS, NODES)
        for item in kube.store.items(resource)
    }
    sets = [("/apis/apps/v1", "replicasets", item.obj) for item in kube.store.items(REPLICASETS)]
    for start, plural, obj in [*sets, *(("/api/v1", "pods", pod) for pod in pods)]:
        meta = obj["metadata"]
        owners = meta.get("ownerReferences") or ()
        ours = [owner for owner in owners if owner["kind"] in ("Deployment", "ReplicaSet", "Job", "DaemonSet")]
        if ours and not meta.get("deletionTimestamp") and not any(owner["uid"] in alive for owner in ours):
            kube.delete(f"{start}/namespaces/{meta['namespace']}/{plural}/{meta['name']}")


def _owner(resource: Resource, obj: Object) -> Object:
    meta = obj["metadata"]
    named = {"apiVersion": resource.api_version(), "kind": resource.kind, "name": meta["name"], "uid": meta["uid"]}
    return {**named, "controller": True, "blockOwnerDeletion": True}


def _make(kube: KubeServer, resource: Resource, obj: Object, **spec: Any) -> None:
    template = obj["spec"]["template"]
    meta = {"generateName": f"{obj['metadata']['name']}-", "namespace": obj["metadata"]["namespace"]}
    meta["ownerReferences"] = [_owner(resource, obj)]
    found = {**(template.get("metadata") or {}), **meta}
    found.pop("name", None)
    kube.put({"apiVersion": "v1", "kind": "Pod", "metadata": found, "spec": {**template["spec"], **spec}})


def _tell(kube: KubeServer, resource: Resource, item: Item, status: Object) -> None:
    if item.obj.get("status") != status:
        kube.store.change(resource, *item.key, lambda obj: {**obj, "status": status})


def _is(pod: Object, condition: str) -> bool:
    found = pod["status"].get("conditions") or ()
    return any(item["type"] == condition and item["status"] == "True" for item in found)


def _alive(pods: Iterable[Object]) -> list[Object]:
    return [
        pod for pod in pods if not pod["metadata"].get("deletionTimestamp") and pod["status"].get("phase") not in _ENDED
    ]


def _remove(kube: KubeServer, pods: Iterable[Object]) -> None:
    for pod in pods:
        meta = pod["metadata"]
        kube.delete(f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}")


def _deploy(kube: KubeServer, item: Item, _: list[Object], __: Mapping[str, Object]) -> None:
    """One ReplicaSet with the deployment's own name and pods; a new template changes its pods as they are replaced."""
    obj, spec = item.obj, item.obj["spec"]
    wanted = {name: spec[name] for name in ("replicas", "selector", "template") if name in spec}
    key = (obj["metadata"]["namespace"], obj["metadata"]["name"])
    found = kube.store.find(REPLICASETS, *key)
    if found is None:
        meta = {"name": key[1], "namespace": key[0], "ownerReferences": [_owner(DEPLOYMENTS, obj)]}
        kube.put({"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": meta, "spec": wanted})
        return
    if found.obj["spec"] != wanted:
        kube.store.change(REPLICASETS, *key, lambda old: {**old, "spec": wanted})
    have = found.obj.get("status") or {}
    ready = have.get("readyReplicas", 0)
    status = {"observedGeneration": obj["metadata"].get("generation", 1), "replicas": have.get("replicas", 0)}
    status.update(updatedReplicas=have.get("replicas", 0), readyReplicas=ready, availableReplicas=ready)
    _tell(kube, DEPLOYMENTS, item, status)


def _replicate(kube: KubeServer, item: Item, pods: list[Object], _: Mapping[str, Object]) -> None:
    alive = _alive(pods)
    wanted = item.obj["spec"].get("replicas", 1)
    for _number in range(wanted - len(alive)):
        _make(kube, REPLICASETS, item.obj)
    # Those that do not run yet go first.
    _remove(kube, sorted(alive, key=lambda pod: _is(pod, "Ready"))[: max(0, len(alive) - wanted)])
    ready = sum(_is(pod, "Ready") for pod in alive)
    status = {"replicas": len(alive), "readyReplicas": ready, "availableReplicas": ready}
    _tell(kube, REPLICASETS, item, {**status, "observedGeneration": item.obj["metadata"].get("generation", 1)})


def _work(kube: KubeServer, item: Item, pods: list[Object], _: Mapping[str, Object]) -> None:
    obj, spec = item.obj, item.obj["spec"]
    status = dict(obj.get("status") or {})
    if any(condition["type"] in ("Complete", "Failed") for condition in status.get("conditions") or ()):
        return
    alive = _alive(pods)
    done = sum(pod["status"].get("phase") == "Succeeded" for pod in pods)
    failed = sum(pod["status"].get("phase") == "Failed" for pod in pods)
    completions = spec.get("completions", spec.get("parallelism", 1))
    end = "Complete" if done >= completions else "Failed" if failed > spec.get("backoffLimit", 6) else ""
    if not end and not spec.get("suspend"):
        for _number in range(min(spec.get("parallelism", 1), completions - done) - len(alive)):
            _make(kube, JOBS, obj)
    status.update(active=len(alive), succeeded=done, failed=failed)
    status.setdefault("startTime", now())
    if end:
        status["conditions"] = [{"type": end, "status": "True", "lastTransitionTime": now()}]
        _remove(kube, alive)
    _tell(kube, JOBS, item, status)


def _cover(kube: KubeServer, item: Item, pods: list[Object], nodes: Mapping[str, Object]) -> None:
    """One pod on every node that it may run on, bound by affinity to the node's name as the real ones are."""
    template = item.obj["spec"]["template"]["spec"]
    tolerations = [*(template.get("tolerations") or ()), *_EVERYWHERE]
    pod = {"metadata": {}, "spec": {**template, "tolerations": tolerations, "containers": []}}
    right = {
        name for name, node in nodes.items() if not fit.refusal(pod, node, {**fit.free(node, ()), "pods": fit.ONE})
    }
    alive = _alive(pods)
    covered = {_place(pod) for pod in alive}
    for name in sorted(right - covered):
        rule = {"key": "metadata.name", "operator": "In", "values": [name]}
        needed = {"nodeSelectorTerms": [{"matchFields": [rule]}]}
        affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": needed}}
        _make(kube, DAEMONSETS, item.obj, affinity=affinity, tolerations=tolerations)
    _remove(kube, [pod for pod in alive if _place(pod) not in right])
    ready = sum(_is(pod, "Ready") for pod in alive)
    status = {"desiredNumberScheduled": len(right), "currentNumberScheduled": len(alive), "numberMisscheduled": 0}
    _tell(kube, DAEMONSETS, item, {**status, "numberReady": ready, "numberAvailable": ready})


def _place(pod: Object) -> str:
    """The node that a DaemonSet's pod is for."""
    affinity = pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    return str(affinity["nodeSelectorTerms"][0]["matchFields"][0]["values"][0])
