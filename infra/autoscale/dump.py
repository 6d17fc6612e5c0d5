"""A cluster from a file: what ``kubectl get pods,nodes,daemonsets -A -o json`` prints, read into a snapshot. Pure.

Pod groups of any kind may be in it too. Groups to buy from are not: they are given beside it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from infra.autoscale.gang_labels import read_groups
from infra.autoscale.objects import read_daemons, read_node, read_pod
from infra.autoscale.snapshot import REGION, TYPE, Group, Node, Snapshot
from infra.errors import UsageError

GANGS = ("PodGroup", "Workload")


def read_dump(text: str, where: str, groups: Sequence[Group] = ()) -> Snapshot:
    """The snapshot at the moment that the newest object tells of. Raises UsageError for what is no dump."""
    objects = _objects(text, where)
    kinds: dict[str, list[dict[str, Any]]] = {}
    for one in objects:
        kinds.setdefault(str(one.get("kind")), []).append(one)
    if "Pod" not in kinds:
        raise UsageError(
            "there are no pods in it",
            where=where,
            fix="write it with: kubectl get pods,nodes,daemonsets -A -o json > FILE",
        )
    now = max((_moment(one) for one in objects), default=0.0)
    gangs = read_groups([one for kind in GANGS for one in kinds.get(kind, ()) if isinstance(one.get("spec"), dict)])
    pods = tuple(pod for raw in kinds["Pod"] if (pod := read_pod(raw, gangs)) is not None)
    daemons, warnings = read_daemons(kinds.get("DaemonSet", ()))
    nodes = [read_node(raw, now=now, created=_created(raw)) for raw in kinds.get("Node", ())]
    owned = tuple(replace(node, group=group_of(node, groups)) for node in nodes)
    return Snapshot(pods, owned, tuple(_sized(groups, owned)), daemons, now=now, warnings=warnings)


def group_of(node: Node, groups: Iterable[Group]) -> str:
    """The first group whose machines look like the node: its labels, and a type in the same region; "" for none."""
    for group in groups:
        alike = all(node.labels.get(key) == value for key, value in group.labels.items())
        if alike and any(
            one.place.type == node.labels.get(TYPE) and one.place.region == node.labels.get(REGION)
            for one in group.offers
        ):
            return group.name
    return ""


def _sized(groups: Iterable[Group], nodes: Sequence[Node]) -> Iterable[Group]:
    for group in groups:
        count = sum(node.group == group.name for node in nodes)
        yield replace(group, desired=count, maximum=max(group.maximum, count))


def _objects(text: str, where: str) -> list[dict[str, Any]]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        fix = "write it with: kubectl get -o json"
        raise UsageError("it is no JSON", where=where, why=str(error), fix=fix) from None
    queue, objects = [found], []
    while queue:
        one = queue.pop()
        if isinstance(one, list):
            queue.extend(reversed(one))
        elif isinstance(one, dict) and isinstance(one.get("items"), list):
            kind = str(one.get("kind") or "").removesuffix("List")
            queue.extend(reversed([_kind(item, kind) for item in one["items"]]))
        elif isinstance(one, dict) and isinstance(one.get("metadata"), dict):
            objects.append(one)
    return objects


def _kind(item: Any, kind: str) -> Any:
    """Items of a PodList as the API server sends it do not say their kind themselves."""
    return {"kind": kind, **item} if isinstance(item, dict) and kind else item


def _created(raw: Mapping[str, Any]) -> float:
    return _time((raw.get("metadata") or {}).get("creationTimestamp"))


def _moment(raw: Mapping[str, Any]) -> float:
    """The newest time that an object tells of."""
    status = raw.get("status")
    conditions = (status if isinstance(status, dict) else {}).get("conditions")
    some = [one for one in conditions if isinstance(one, dict)] if isinstance(conditions, list) else []
    times = [_time(one.get(name)) for one in some for name in ("lastHeartbeatTime", "lastTransitionTime")]
    return max([_created(raw), *times])


def _time(text: object) -> float:
    try:
        return datetime.fromisoformat(str(text)).timestamp()
    except ValueError:
        return 0.0
