"""Which gang a pod belongs to, in the words of everybody who has some: ours, Kubernetes', Kueue's, Volcano's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from infra.autoscale.snapshot import Gang, Within

PodGroups = Mapping[str, int]
"""``namespace/name`` of a PodGroup (of any of the kinds) and how many members it needs at least."""

GANG, SIZE, WITHIN = "infra/gang", "infra/gang-size", "infra/gang-within"
KUEUE_NAME, KUEUE_SIZE = "kueue.x-k8s.io/pod-group-name", "kueue.x-k8s.io/pod-group-total-count"
BY_LABEL = ("scheduling.x-k8s.io/pod-group", "pod-group.scheduling.sigs.k8s.io")
BY_NOTE = ("scheduling.k8s.io/group-name", "scheduling.volcano.sh/group-name")


def gang_of(spec: Mapping[str, Any], meta: Mapping[str, Any], groups: PodGroups) -> Gang | None:
    """The pod's gang. Raises ValueError when a size is no number or a reach is neither zone nor region."""
    labels, notes = meta.get("labels") or {}, meta.get("annotations") or {}
    both = {**labels, **notes}
    home = str(meta.get("namespace") or "default")
    name, size = _named(spec, labels, notes, both)
    if not name:
        return None
    within = both.get(WITHIN, "zone")
    if within not in ("zone", "region"):
        raise ValueError(f"{WITHIN}: {within!r} is neither zone nor region")
    full = f"{home}/{name}"
    return Gang(full, size or groups.get(full, 0), cast(Within, within))


def _named(
    spec: Mapping[str, Any], labels: Mapping[str, Any], notes: Mapping[str, Any], both: Mapping[str, Any]
) -> tuple[str, int]:
    if both.get(GANG):
        return str(both[GANG]), _count(SIZE, both.get(SIZE))
    native = spec.get("schedulingGroup") or {}
    if native.get("podGroupName"):
        return str(native["podGroupName"]), 0
    workload = spec.get("workloadRef") or {}
    if workload.get("name"):
        parts = (workload["name"], workload.get("podGroup"), workload.get("podGroupReplicaKey"))
        return "/".join(str(part) for part in parts if part), 0
    if labels.get(KUEUE_NAME):
        return str(labels[KUEUE_NAME]), _count(KUEUE_SIZE, notes.get(KUEUE_SIZE))
    for where, names in ((labels, BY_LABEL), (notes, BY_NOTE)):
        for name in names:
            if where.get(name):
                return str(where[name]), 0
    return "", 0


def _count(key: str, raw: object) -> int:
    if raw is None:
        return 0
    text = str(raw)
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 10**6):
        raise ValueError(f"{key}: {text!r} is not a number of pods")
    return int(text)


def read_groups(raw: list[Mapping[str, Any]]) -> dict[str, int]:
    """PodGroup objects (native, of the scheduler plugins, of Volcano) and Workloads: name and least number."""
    found: dict[str, int] = {}
    for one in raw:
        meta, spec = one.get("metadata") or {}, one.get("spec") or {}
        name = f"{meta.get('namespace') or 'default'}/{meta.get('name')}"
        policy = spec.get("schedulingPolicy") or spec.get("policy") or {}
        least = spec.get("minMember") or (policy.get("gang") or {}).get("minCount")
        if isinstance(least, int):
            found[name] = least
        for part in spec.get("podGroups") or ():
            least = ((part.get("policy") or {}).get("gang") or {}).get("minCount")
            if isinstance(least, int):
                found[f"{name}/{part.get('name')}"] = least
    return found
