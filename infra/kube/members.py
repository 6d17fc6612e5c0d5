"""The nodes of a cluster beside the machines of the inventory: who is who, and who is missing. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol

GPUS = ("nvidia.com/gpu", "amd.com/gpu")
CONTROL_PLANE = "node-role.kubernetes.io/control-plane"
Origin = Literal["cloud", "metal", "stranger"]


class Machine(Protocol):
    """What of a machine of the inventory is used here."""

    @property
    def name(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def group(self) -> str: ...
    @property
    def instance(self) -> str: ...
    @property
    def address(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Member:
    """A node, or a machine that should be one (``node`` ""). ``machine`` is its name here, "" when nobody knows it.

    ``ready``: yes, no, or unknown (its kubelet is silent); "" for a machine that is none. ``age`` in seconds.
    """

    node: str
    machine: str
    origin: Origin
    group: str
    ready: str
    version: str
    gpus: int
    taints: tuple[str, ...]
    cordoned: bool
    age: int | None
    control_plane: bool = False

    def data(self) -> dict[str, Any]:
        return {
            "node": self.node,
            "machine": self.machine,
            "origin": self.origin,
            "group": self.group,
            "ready": self.ready,
            "version": self.version,
            "gpus": self.gpus,
            "taints": list(self.taints),
            "cordoned": self.cordoned,
            "age": self.age,
            "control_plane": self.control_plane,
        }


def members(nodes: Iterable[Mapping[str, Any]], machines: Sequence[Machine], now: datetime) -> list[Member]:
    """A row a node, the control plane first; then machines that should be nodes and are not."""
    by_id = {machine.instance: machine for machine in machines if machine.instance}
    by_name = {name: machine for machine in machines if not machine.instance for name in _names(machine)}
    found, seen = [], set()
    for raw in nodes:
        machine = by_id.get(instance(raw)) or by_name.get(_name(raw)) or by_name.get(_name(raw).partition(".")[0])
        if machine is not None:
            seen.add(machine.name)
        found.append(_member(raw, machine, now))
    found.sort(key=lambda item: (not item.control_plane, item.origin, item.group, item.node))
    # A host is a machine to log in to, not one of the cluster's.
    away = [machine for machine in machines if machine.name not in seen and machine.kind != "host"]
    return [*found, *(_missing(machine) for machine in away)]


def instance(node: Mapping[str, Any]) -> str:
    """``i-…`` of ``aws:///us-west-2a/i-…``; "" for a node of no cloud."""
    ident = str((node.get("spec") or {}).get("providerID") or "")
    return ident.rpartition("/")[2] if ident.startswith("aws://") else ""


def version_of(node: Mapping[str, Any]) -> str:
    """``1.36.2``, of its kubelet; "" when it did not say."""
    return str(((node.get("status") or {}).get("nodeInfo") or {}).get("kubeletVersion") or "").removeprefix("v")


def _member(raw: Mapping[str, Any], machine: Machine | None, now: datetime) -> Member:
    meta, spec, status = raw.get("metadata") or {}, raw.get("spec") or {}, raw.get("status") or {}
    ready = next((item.get("status") for item in status.get("conditions") or () if item.get("type") == "Ready"), "")
    has = status.get("allocatable") or {}
    made = str(meta.get("creationTimestamp") or "")
    return Member(
        node=_name(raw),
        machine=machine.name if machine else "",
        origin=_origin(machine) if machine else "cloud" if instance(raw) else "stranger",
        group=machine.group if machine else "",
        ready={"True": "yes", "False": "no"}.get(str(ready), "unknown"),
        version=version_of(raw),
        gpus=sum(_count(has.get(name)) for name in GPUS),
        taints=tuple(_taint(item) for item in spec.get("taints") or ()),
        cordoned=bool(spec.get("unschedulable")),
        age=max(0, int((now - datetime.fromisoformat(made)).total_seconds())) if made else None,
        control_plane=CONTROL_PLANE in (meta.get("labels") or {}),
    )


def _missing(machine: Machine) -> Member:
    plane = machine.kind == "control-plane"
    return Member("", machine.name, _origin(machine), machine.group, "", "", 0, (), False, None, plane)


def _origin(machine: Machine) -> Origin:
    return "cloud" if machine.instance else "metal"


def _names(machine: Machine) -> set[str]:
    return {machine.name.lower(), machine.address.lower(), machine.address.lower().partition(".")[0]} - {""}


def _name(raw: Mapping[str, Any]) -> str:
    return str((raw.get("metadata") or {}).get("name") or "")


def _taint(item: Mapping[str, Any]) -> str:
    value = f"={item['value']}" if item.get("value") else ""
    return f"{item.get('key')}{value}:{item.get('effect')}"


def _count(amount: object) -> int:
    text = str(amount or "0")
    return int(text) if text.isdigit() else 0
