"""What a machine of a type will have for pods: as a live one says, else estimated from the data on instance types."""

from __future__ import annotations

from collections.abc import Iterable

from infra.autoscale.snapshot import TYPE, Amounts, Node, amounts
from infra.spec import catalog

KERNEL = 0.075
"""The share of memory that hypervisor, firmware and kernel keep; small types lose the most. An estimate is to be low:
pods then find a little more room than they were promised."""
EVICTION = 100 * 2**20
"""Bytes that the kubelet keeps free."""
PODS = 110
"""The kubelet's usual limit."""
SYSTEM_DISK = 0.85
"""The share of the root volume that is left for pods, before the kubelet evicts them."""


def allocatable(kind: str, nodes: Iterable[Node] = (), disk_gib: int = 0) -> tuple[Amounts | None, str]:
    """Allocatable of a type, and a warning ("" for none); None when nobody knows the type.

    ``nodes`` are live ones: of those of the type that have joined, the least of each resource counts. ``disk_gib`` is
    the root volume's size, 0 when it is not known.
    """
    live = [
        dict(node.allocatable) for node in nodes if node.labels.get(TYPE) == kind and not (node.joining or node.broken)
    ]
    if live:
        shared = set(live[0]).intersection(*live)
        return amounts({name: min(one[name] for one in live) for name in shared}), ""
    known = catalog.instance(kind)
    if known is None:
        return None, f"the instance type {kind} is not known and no node of it is there: nothing is planned on it"
    found = {
        "cpu": known.vcpus * 1000,
        "memory": int(known.memory_mib * 2**20 * (1 - KERNEL)) - EVICTION,
        "pods": PODS,
        "ephemeral-storage": int(disk_gib * 2**30 * SYSTEM_DISK),
    }
    for gpu in known.gpus:
        name = {"NVIDIA": "nvidia.com/gpu", "AMD": "amd.com/gpu"}.get(gpu.manufacturer)
        if name:
            found[name] = found.get(name, 0) + gpu.count
    return amounts(found), ""
