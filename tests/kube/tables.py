"""Objects as the rows of a table: what ``kubectl get`` prints is decided by the server."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from tests.kube.resources import Resource

Obj = Mapping[str, Any]
# (heading, priority: 1 is for -o wide, value)
Column = tuple[str, int, Callable[[Obj], Any]]


def age(stamp: str | None) -> str:
    """How long ago, in few letters: 45s, 3m12s, 7h5m, 3d2h."""
    if not stamp:
        return "<unknown>"
    then = datetime.datetime.fromisoformat(stamp.replace("Z", "+00:00"))
    seconds = max(0, int((datetime.datetime.now(datetime.UTC) - then).total_seconds()))
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if seconds < 120:
        return f"{seconds}s"
    if minutes < 10:
        return f"{minutes}m{seconds % 60}s" if seconds % 60 else f"{minutes}m"
    if minutes < 180:
        return f"{minutes}m"
    if hours < 8:
        return f"{hours}h{minutes % 60}m" if minutes % 60 else f"{hours}h"
    if hours < 48:
        return f"{hours}h"
    return f"{days}d{hours % 24}h" if days < 8 and hours % 24 else f"{days}d"


def _age(obj: Obj) -> str:
    return age(obj["metadata"].get("creationTimestamp"))


def _get(obj: Any, path: str, absent: Any = "") -> Any:
    for step in path.split("."):
        obj = obj.get(step) if isinstance(obj, Mapping) else None
    return absent if obj is None else obj


def _at(path: str, absent: Any = "") -> Callable[[Obj], Any]:
    return lambda obj: _get(obj, path, absent)


def _count(path: str) -> Callable[[Obj], Any]:
    return lambda obj: len(_get(obj, path, ()))


def _node_status(obj: Obj) -> str:
    ready = next((item for item in _get(obj, "status.conditions", ()) if item["type"] == "Ready"), None)
    words = ["Unknown" if ready is None else "Ready" if ready["status"] == "True" else "NotReady"]
    if _get(obj, "spec.unschedulable"):
        words.append("SchedulingDisabled")
    return ",".join(words)


def _node_roles(obj: Obj) -> str:
    prefix = "node-role.kubernetes.io/"
    return ",".join(
        sorted(key[len(prefix) :] for key in _get(obj, "metadata.labels", {}) if key.startswith(prefix))
    ) or ("<none>")


def _address(kind: str) -> Callable[[Obj], str]:
    def find(obj: Obj) -> str:
        return next((item["address"] for item in _get(obj, "status.addresses", ()) if item["type"] == kind), "<none>")

    return find


def _pod_status(obj: Obj) -> str:
    if obj["metadata"].get("deletionTimestamp"):
        return "Terminating"
    reason = _get(obj, "status.reason") or _get(obj, "status.phase", "Unknown")
    if _get(obj, "spec.schedulingGates", ()) and reason == "Pending":
        return "SchedulingGated"
    for status in _get(obj, "status.containerStatuses", ()):
        for state in ("waiting", "terminated"):
            if _get(status, f"state.{state}.reason"):
                return str(_get(status, f"state.{state}.reason"))
    return str(reason)


def _pod_ready(obj: Obj) -> str:
    ready = sum(bool(status.get("ready")) for status in _get(obj, "status.containerStatuses", ()))
    return f"{ready}/{len(_get(obj, 'spec.containers', ()))}"


def _restarts(obj: Obj) -> str:
    return str(sum(status.get("restartCount", 0) for status in _get(obj, "status.containerStatuses", ())))


def _selector(obj: Obj) -> str:
    labels = _get(obj, "spec.selector.matchLabels", {})
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items())) or "<none>"


def _event_object(obj: Obj) -> str:
    return f"{_get(obj, 'involvedObject.kind').lower()}/{_get(obj, 'involvedObject.name')}"


def _default_class(obj: Obj) -> str:
    default = _get(obj, "metadata.annotations", {}).get("storageclass.kubernetes.io/is-default-class") == "true"
    return f"{obj['metadata']['name']} (default)" if default else obj["metadata"]["name"]


def _ratio(done: str, wanted: str) -> Callable[[Obj], str]:
    return lambda obj: f"{_get(obj, done, 0)}/{_get(obj, wanted, 1)}"


def _job_status(obj: Obj) -> str:
    for condition in _get(obj, "status.conditions", ()):
        if condition["status"] == "True" and condition["type"] in ("Complete", "Failed", "Suspended"):
            return str(condition["type"])
    return "Running"


_NAME: Column = ("Name", 0, _at("metadata.name"))
_AGE: Column = ("Age", 0, _age)
_SCALED: tuple[Column, ...] = (
    _NAME,
    ("Ready", 0, _ratio("status.readyReplicas", "spec.replicas")),
    ("Up-to-date", 0, _at("status.updatedReplicas", 0)),
    ("Available", 0, _at("status.availableReplicas", 0)),
    _AGE,
    ("Selector", 1, _selector),
)
_COLUMNS: dict[str, tuple[Column, ...]] = {
    "nodes": (
        _NAME,
        ("Status", 0, _node_status),
        ("Roles", 0, _node_roles),
        _AGE,
        ("Version", 0, _at("status.nodeInfo.kubeletVersion")),
        ("Internal-IP", 1, _address("InternalIP")),
        ("External-IP", 1, _address("ExternalIP")),
        ("OS-Image", 1, _at("status.nodeInfo.osImage", "<unknown>")),
        ("Kernel-Version", 1, _at("status.nodeInfo.kernelVersion", "<unknown>")),
        ("Container-Runtime", 1, _at("status.nodeInfo.containerRuntimeVersion", "<unknown>")),
    ),
    "pods": (
        _NAME,
        ("Ready", 0, _pod_ready),
        ("Status", 0, _pod_status),
        ("Restarts", 0, _restarts),
        _AGE,
        ("IP", 1, _at("status.podIP", "<none>")),
        ("Node", 1, _at("spec.nodeName", "<none>")),
        ("Nominated Node", 1, _at("status.nominatedNodeName", "<none>")),
        ("Readiness Gates", 1, lambda obj: "<none>"),
    ),
    "namespaces": (_NAME, ("Status", 0, _at("status.phase")), _AGE),
    "configmaps": (_NAME, ("Data", 0, _count("data")), _AGE),
    "secrets": (_NAME, ("Type", 0, _at("type")), ("Data", 0, _count("data")), _AGE),
    "events": (
        ("Last Seen", 0, lambda obj: age(obj.get("lastTimestamp") or obj["metadata"]["creationTimestamp"])),
        ("Type", 0, _at("type")),
        ("Reason", 0, _at("reason")),
        ("Object", 0, _event_object),
        ("Source", 1, _at("source.component")),
        ("Message", 0, _at("message")),
        ("Count", 1, _at("count", 1)),
        ("Name", 1, _at("metadata.name")),
    ),
    "leases.coordination.k8s.io": (_NAME, ("Holder", 0, _at("spec.holderIdentity")), _AGE),
    "poddisruptionbudgets.policy": (
        _NAME,
        ("Min Available", 0, lambda obj: str(_get(obj, "spec.minAvailable", "N/A"))),
        ("Max Unavailable", 0, lambda obj: str(_get(obj, "spec.maxUnavailable", "N/A"))),
        ("Allowed Disruptions", 0, _at("status.disruptionsAllowed", 0)),
        _AGE,
    ),
    "deployments.apps": _SCALED,
    "replicasets.apps": (
        _NAME,
        ("Desired", 0, _at("spec.replicas", 1)),
        ("Current", 0, _at("status.replicas", 0)),
        ("Ready", 0, _at("status.readyReplicas", 0)),
        _AGE,
    ),
    "daemonsets.apps": (
        _NAME,
        ("Desired", 0, _at("status.desiredNumberScheduled", 0)),
        ("Current", 0, _at("status.currentNumberScheduled", 0)),
        ("Ready", 0, _at("status.numberReady", 0)),
        _AGE,
    ),
    "jobs.batch": (
        _NAME,
        ("Status", 0, _job_status),
        ("Completions", 0, _ratio("status.succeeded", "spec.completions")),
        _AGE,
    ),
    "priorityclasses.scheduling.k8s.io": (
        _NAME,
        ("Value", 0, _at("value", 0)),
        ("Global-Default", 0, _at("globalDefault", False)),
        _AGE,
    ),
    "storageclasses.storage.k8s.io": (
        ("Name", 0, _default_class),
        ("Provisioner", 0, _at("provisioner")),
        ("ReclaimPolicy", 0, _at("reclaimPolicy", "Delete")),
        ("VolumeBindingMode", 0, _at("volumeBindingMode", "Immediate")),
        ("AllowVolumeExpansion", 0, _at("allowVolumeExpansion", False)),
        _AGE,
    ),
}


def table(
    resource: Resource,
    objects: Iterable[Obj],
    meta: Mapping[str, Any],
    include: str = "Metadata",
    headings: bool = True,
) -> dict[str, Any]:
    """A ``Table``; with every row its object, whole (``Object``), its metadata, or nothing (``None``)."""
    columns = _COLUMNS.get(resource.named, (_NAME, _AGE))
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": dict(meta),
        "columnDefinitions": [
            {
                "name": name,
                "type": "string",
                "format": "name" if name == "Name" else "",
                "description": name,
                "priority": priority,
            }
            for name, priority, _ in columns
        ]
        if headings
        else [],
        "rows": [_row(columns, obj, include) for obj in objects],
    }


def _row(columns: tuple[Column, ...], obj: Obj, include: str) -> dict[str, Any]:
    row: dict[str, Any] = {"cells": [value(obj) for _, _, value in columns]}
    if include == "Object":
        row["object"] = obj
    elif include != "None":
        row["object"] = {
            "kind": "PartialObjectMetadata",
            "apiVersion": "meta.k8s.io/v1",
            "metadata": obj["metadata"],
        }
    return row
