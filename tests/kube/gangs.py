"""Which pods are to start together: by PodGroups, native and Volcano's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.kube.resources import RESOURCES, Resource
from tests.kube.store import Object, Store

_NATIVE, _VOLCANO = (
    next(item for item in RESOURCES if item.plural == "podgroups" and item.group == group)
    for group in ("scheduling.k8s.io", "scheduling.volcano.sh")
)
_VOLCANO_NOTE = "scheduling.k8s.io/group-name"
Key = tuple[Resource, str, str]


@dataclass
class Group:
    """``least``: how many of these pods must be bound at once, or none; more than there are while some are missing."""

    pods: list[Object] = field(default_factory=list)
    least: int = 1

    @property
    def priority(self) -> int:
        return max(pod["spec"].get("priority") or 0 for pod in self.pods)


def key(pod: Mapping[str, Any]) -> Key | None:
    """The PodGroup that a pod names: (resource, namespace, name)."""
    meta = pod["metadata"]
    native = (pod["spec"].get("schedulingGroup") or {}).get("podGroupName")
    volcano = (meta.get("annotations") or {}).get(_VOLCANO_NOTE)
    if native:
        return _NATIVE, meta["namespace"], native
    return (_VOLCANO, meta["namespace"], volcano) if volcano else None


def _least(store: Store, group: Key) -> int:
    """How many pods the group wants at least; 0 for one that is not there (its pods wait for it)."""
    found = store.find(*group)
    if found is None:
        return 0
    spec = found.obj.get("spec") or {}
    if group[0] is _VOLCANO:
        return int(spec.get("minMember", 1))
    gang = (spec.get("schedulingPolicy") or {}).get("gang") or {}
    return int(gang.get("minCount", 1))


def groups(store: Store, waiting: Iterable[Object], bound: Iterable[Object]) -> list[Group]:
    """The waiting pods, those of a gang together, the most important first. ``bound`` ones count for their gang."""
    gangs: dict[Key, Group] = {}
    found: list[Group] = []
    for pod in waiting:
        named = key(pod)
        if named is None:
            found.append(Group([pod]))
        else:
            gangs.setdefault(named, Group()).pods.append(pod)
    there: dict[Key, int] = {}
    for pod in bound:
        named = key(pod)
        if named is not None:
            there[named] = there.get(named, 0) + 1
    for named, group in gangs.items():
        least = _least(store, named)
        group.least = max(1, least - there.get(named, 0)) if least else len(group.pods) + 1
        found.append(group)
    return sorted(found, key=lambda group: -group.priority)
