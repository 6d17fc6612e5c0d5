"""Binding, eviction and scale; and the deletion that an eviction is."""

from __future__ import annotations

from typing import Any

from tests.kube import budgets, errors, patches
from tests.kube.listing import Target
from tests.kube.messages import Answer, Request
from tests.kube.resources import PODS
from tests.kube.store import Item, Object, Store, now

_SUCCESS = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}


def act(store: Store, target: Target, request: Request) -> Answer:
    if target.sub == "scale":
        return _scale(store, target, request)
    if request.method != "POST":
        raise errors.method_not_allowed()
    return _bind(store, target, request) if target.sub == "binding" else _evict(store, target, request)


def _bind(store: Store, target: Target, request: Request) -> Answer:
    binding = request.object()
    name = target.name or (binding.get("metadata") or {}).get("name", "")
    node = (binding.get("target") or {}).get("name", "")
    if not node:
        raise errors.invalid("pods", "Binding", name, [("target.name", "Required value")])

    def bound(pod: Object) -> None:
        why = ""
        if pod["metadata"].get("deletionTimestamp"):
            why = f"pod {name} is being deleted, cannot be assigned to a host"
        elif pod["spec"].get("nodeName"):
            why = f'pod {name} is already assigned to node "{pod["spec"]["nodeName"]}"'
        elif pod["spec"].get("schedulingGates"):
            why = f"pod {name} has non-empty .spec.schedulingGates"
        if why:
            raise errors.conflict("pods/binding", name, why)
        pod["spec"]["nodeName"] = node
        condition = {"type": "PodScheduled", "status": "True", "lastTransitionTime": now()}
        conditions = [item for item in pod["status"].get("conditions") or () if item["type"] != "PodScheduled"]
        pod["status"]["conditions"] = [*conditions, condition]
        pod["status"].pop("nominatedNodeName", None)

    store.change(PODS, target.namespace, name, bound, request.dry)
    return Answer(_SUCCESS, 201)


def _evict(store: Store, target: Target, request: Request) -> Answer:
    eviction = request.object()
    named = (eviction.get("metadata") or {}).get("name") or target.name
    if named != target.name:
        raise errors.bad_request("name in URL does not match name in Eviction object")
    options = eviction.get("deleteOptions") or {}
    dry = request.dry or options.get("dryRun") == ["All"]
    with store.lock:
        pod = store.get(PODS, target.namespace, target.name).obj
        _check_preconditions(target, pod, options)
        budgets.spend(store, pod, dry)
        remove(store, target, options, dry)
    return Answer(_SUCCESS, 201)


def _check_preconditions(target: Target, obj: Object, options: Object) -> None:
    wanted = options.get("preconditions") or {}
    for field, told in (("uid", "UID"), ("resourceVersion", "ResourceVersion")):
        have = obj["metadata"][field]
        if wanted.get(field) and wanted[field] != have:
            why = f"Precondition failed: {told} in precondition: {wanted[field]}, {told} in object meta: {have}"
            raise errors.conflict(target.resource.named, target.name, why)


def remove(store: Store, target: Target, options: Object, dry: bool = False) -> Item:
    """Delete with the options of a deletion: a pod that runs is given its time to end."""
    with store.lock:
        item = store.get(target.resource, target.namespace, target.name)
        _check_preconditions(target, item.obj, options)
        grace = 0
        if target.resource is PODS:
            asked = options.get("gracePeriodSeconds")
            grace = item.obj["spec"].get("terminationGracePeriodSeconds", 30) if asked is None else asked
            ended = (item.obj.get("status") or {}).get("phase") in ("Succeeded", "Failed")
            if ended or not item.obj["spec"].get("nodeName"):
                grace = 0
        return store.delete(target.resource, target.namespace, target.name, grace, dry)


def _scale(store: Store, target: Target, request: Request) -> Answer:
    """The replicas of a deployment or replica set, as an object of its own."""
    item = store.get(target.resource, target.namespace, target.name)
    if request.method in ("PUT", "PATCH"):
        change: Any = request.json()

        def scaled(obj: Object) -> None:
            scale = _scale_of(obj)
            if request.method == "PUT":
                wanted = change
            elif request.content == "application/json-patch+json":
                wanted = patches.json_patch(scale, change)
            else:
                wanted = patches.merge(scale, change)
            version = (wanted.get("metadata") or {}).get("resourceVersion")
            if version and version != obj["metadata"]["resourceVersion"]:
                raise errors.conflict(target.resource.named, target.name)
            obj["spec"]["replicas"] = int((wanted.get("spec") or {}).get("replicas", 0))

        item = store.change(target.resource, target.namespace, target.name, scaled, request.dry)
    elif request.method != "GET":
        raise errors.method_not_allowed()
    return Answer(_scale_of(item.obj))


def _scale_of(obj: Object) -> Object:
    spec, meta = obj.get("spec") or {}, obj["metadata"]
    labels = (spec.get("selector") or {}).get("matchLabels") or {}
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {
            key: meta[key]
            for key in ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
            if key in meta
        },
        "spec": {"replicas": spec.get("replicas", 1)},
        "status": {
            "replicas": (obj.get("status") or {}).get("replicas", 0),
            "selector": ",".join(f"{key}={value}" for key, value in sorted(labels.items())),
        },
    }
