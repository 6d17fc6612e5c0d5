"""What a node says of itself, made a taint: conditions in, taints out; and one round over all nodes.

The API server makes taints of its own conditions (Ready, MemoryPressure…) and of no others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from infra.autoscale.ports import Kube
from infra.errors import KubeConflict, KubeGone

Raw = dict[str, Any]
NODES = "/api/v1/nodes"
TAINT = "infra/ill"
EFFECT = "NoSchedule"
"""Nothing new comes to the node; what runs goes on: a job on the other seven GPUs may well end in peace."""
GPU_FAULT, GPU_MISSING = "GpuFault", "GpuMissing"
CONDITIONS = (GPU_FAULT, GPU_MISSING, "KernelDeadlock", "ReadonlyFilesystem", "XfsShutdown", "CperHardwareErrorFatal")
"""Those of the node problem detector that mean: give this node nothing more. The taint's value is the first that
holds."""


@dataclass(frozen=True, slots=True)
class Change:
    """A taint that was set (``reason`` is the condition, ``message`` what the node says) or taken away ("")."""

    node: str
    reason: str
    message: str = ""

    def data(self) -> dict[str, str]:
        return {"node": self.node, "reason": self.reason, "message": self.message}


def illness(node: Mapping[str, Any]) -> tuple[str, str]:
    """(condition, message) of the first condition that holds, in the order of ``CONDITIONS``; ("", "") for none.

    A condition that is Unknown changes nothing: see ``due``.
    """
    said = _conditions(node)
    for name in CONDITIONS:
        if str(said.get(name, {}).get("status")) == "True":
            return name, str(said[name].get("message") or "")
    return "", ""


def due(node: Mapping[str, Any]) -> Change | None:
    """What is to be done about a node; None for nothing.

    A taint is only taken away when its own condition is there and says False: a detector that is silent, restarted or
    gone does not make a node well.
    """
    name = str((node.get("metadata") or {}).get("name") or "")
    ours = next((taint for taint in _taints(node) if taint.get("key") == TAINT), None)
    reason, message = illness(node)
    if reason:
        return None if ours and ours.get("value") == reason else Change(name, reason, message)
    if ours is None:
        return None
    held = _conditions(node).get(str(ours.get("value")), {})
    return Change(name, "") if held.get("status") == "False" else None


def taints(node: Mapping[str, Any], change: Change) -> list[Raw]:
    """All taints of the node after the change."""
    others = [dict(taint) for taint in _taints(node) if taint.get("key") != TAINT]
    return [*others, {"key": TAINT, "value": change.reason, "effect": EFFECT}] if change.reason else others


def sweep(kube: Kube, *, dry: bool = False) -> list[Change]:
    """Look at every node once and do what is due; what was changed (or would be, if ``dry``).

    Taints are one list that others write, too, so the patch names the version that it was made from; a node that moved
    meanwhile waits for the next round. Raises KubeError.
    """
    done = []
    for node in sorted(kube.list(NODES), key=lambda item: str(item["metadata"]["name"])):
        change = due(node)
        if change is None:
            continue
        if not dry:
            version = node["metadata"].get("resourceVersion")
            body: Raw = {"metadata": {"resourceVersion": version}, "spec": {"taints": taints(node, change) or None}}
            try:
                kube.patch(f"{NODES}/{change.node}", body)
            except (KubeConflict, KubeGone):
                continue
        done.append(change)
    return done


def _conditions(node: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    found: Sequence[Mapping[str, Any]] = (node.get("status") or {}).get("conditions") or ()
    return {str(item.get("type")): item for item in found}


def _taints(node: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    return (node.get("spec") or {}).get("taints") or ()
