"""Raw Kubernetes JSON, as the API server lists it, read into the snapshot's words. Pure.

What is malformed becomes a problem of that pod (``Pod.problem``) or a warning, and never an error: one bad object
must not keep the rest of the cluster waiting.
"""

from __future__ import annotations

import marshal
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from infra.autoscale.gang_labels import PodGroups, gang_of
from infra.autoscale.quantity import BadQuantity, quantity
from infra.autoscale.snapshot import (
    HOSTNAME,
    NAME,
    Amounts,
    Daemon,
    Expression,
    Needs,
    Node,
    Pod,
    Spread,
    Taint,
    Term,
    Toleration,
    amounts,
)

Raw = Mapping[str, Any]
SAFE_TO_EVICT = ("infra/safe-to-evict", "cluster-autoscaler.kubernetes.io/safe-to-evict")
MIRROR = "kubernetes.io/config.mirror"
UNSCHEDULABLE = Taint("node.kubernetes.io/unschedulable", "", "NoSchedule")
STARTUP = frozenset(
    {
        "node.kubernetes.io/not-ready",
        "node.kubernetes.io/network-unavailable",
        "node.cloudprovider.kubernetes.io/uninitialized",
        "infra/joining",
    }
)
"""Taints that go away by themselves when a machine has joined."""
DAEMON_TOLERATIONS = tuple(
    Toleration(f"node.kubernetes.io/{name}", "Exists", "", "")
    for name in ("not-ready", "unreachable", "disk-pressure", "memory-pressure", "pid-pressure", "unschedulable")
)
MALFORMED = (BadQuantity, AttributeError, KeyError, TypeError, ValueError)


def read_pod(raw: Raw, groups: PodGroups | None = None) -> Pod | None:
    """One pod; None when it is over, or goes before it was ever bound."""
    meta = _dict(raw.get("metadata"))
    namespace, name = str(meta.get("namespace") or "default"), str(meta.get("name") or "?")
    spec, status = _dict(raw.get("spec")), _dict(raw.get("status"))
    bound = str(spec.get("nodeName") or "")
    if status.get("phase") in ("Succeeded", "Failed") or (meta.get("deletionTimestamp") and not bound):
        return None
    problem, gates = "", spec.get("schedulingGates")
    try:
        needs = needs_of(spec, namespace)
        gang = gang_of(spec, meta, groups or {})
        needs = needs if gang is None else needs._replace(gang=gang)
        if gates:
            problem = f"held by the scheduling gate {gates[0].get('name')}"
        elif not bound:
            problem = unplanned(spec, meta)
    except MALFORMED as error:
        needs = Needs((("pods", 1),))
        problem = f"its manifest is malformed: {error}"
    labels = {str(key): str(value) for key, value in _dict(meta.get("labels")).items()}
    owners = meta.get("ownerReferences")
    some = owners if isinstance(owners, list) else []
    owner: Raw = next((one for one in some if _dict(one).get("controller")), {})
    notes = _dict(meta.get("annotations"))
    wish = next((notes[key] for key in SAFE_TO_EVICT if key in notes), None)
    return Pod(
        namespace,
        name,
        needs,
        node=bound,
        labels=labels,
        owner=str(owner.get("kind") or ""),
        owner_name=str(owner.get("name") or ""),
        evictable=None if wish is None else str(wish).lower() == "true",
        mirror=MIRROR in notes,
        problem=problem,
        nominated="" if bound else str(status.get("nominatedNodeName") or ""),
    )


def _dict(raw: object) -> dict[str, Any]:
    return raw if isinstance(raw, dict) else {}


DECIDE = (
    *("nodeSelector", "affinity", "tolerations", "priority", "topologySpreadConstraints", "overhead", "resources"),
    *("containers", "initContainers"),
)
"""The fields of a spec that decide where a pod may run; of a container only ``PARTS`` do."""
PARTS = ("resources", "ports", "restartPolicy")


def needs_of(spec: Raw, namespace: str) -> Needs:
    """The needs that a pod's spec says (its gang is not said there). Equal specs are read once."""
    asked: dict[str, Any] = {name: spec[name] for name in DECIDE if name in spec}
    for name in ("containers", "initContainers"):
        if name in asked:
            asked[name] = [_parts(one) for one in asked[name] or ()]
    # Format 2 writes equal values as equal bytes, whatever else refers to them.
    return _read_needs(marshal.dumps(asked, 2), namespace)


def _parts(container: Raw) -> dict[str, Any]:
    return {part: value for part in PARTS if (value := container.get(part)) is not None}


@lru_cache(maxsize=8192)
def _read_needs(asked: bytes, namespace: str) -> Needs:
    spec = marshal.loads(asked)
    affinity = _dict(spec.get("affinity"))
    required = _dict(affinity.get("nodeAffinity")).get("requiredDuringSchedulingIgnoredDuringExecution")
    return Needs(
        requests=requests_of(spec),
        selector=tuple(sorted((str(key), str(value)) for key, value in (spec.get("nodeSelector") or {}).items())),
        affinity=None if required is None else tuple(_term(one) for one in required.get("nodeSelectorTerms") or ()),
        tolerations=tuple(sorted({_toleration(one) for one in spec.get("tolerations") or ()})),
        priority=int(spec.get("priority") or 0),
        spreads=tuple(
            Spread(
                key=str(one["topologyKey"]),
                max_skew=max(1, int(one.get("maxSkew") or 1)),
                selector=selector(one.get("labelSelector"), namespace),
                min_domains=int(one.get("minDomains") or 1),
            )
            for one in spec.get("topologySpreadConstraints") or ()
            if one.get("whenUnsatisfiable", "DoNotSchedule") == "DoNotSchedule"
        ),
        apart=tuple(selector(one.get("labelSelector"), namespace) for one in _apart(affinity)),
    )


def _apart(affinity: Raw) -> list[Raw]:
    return _dict(affinity.get("podAntiAffinity")).get("requiredDuringSchedulingIgnoredDuringExecution") or []


def unplanned(spec: Raw, meta: Raw) -> str:
    """What of a pod the planner does not understand well enough to buy a machine for it; "" for nothing."""
    affinity = _dict(spec.get("affinity"))
    if _dict(affinity.get("podAffinity")).get("requiredDuringSchedulingIgnoredDuringExecution"):
        return "required pod affinity is not planned for: give it a node selector or a gang instead"
    for one in _apart(affinity):
        if one.get("topologyKey") != HOSTNAME:
            return f"required pod anti-affinity over {one.get('topologyKey')} is not planned for: use topology spread"
        others = [name for name in one.get("namespaces") or () if name != (meta.get("namespace") or "default")]
        if others or one.get("namespaceSelector") is not None:
            return "required pod anti-affinity across namespaces is not planned for"
    return ""


def requests_of(spec: Raw) -> Amounts:
    """What the scheduler reserves for a pod: containers and sidecars, or the largest init container, and overhead."""
    running: dict[str, int] = {"pods": 1}
    peak: dict[str, int] = {}
    for one in spec.get("initContainers") or ():
        asked = _asked(one)
        if one.get("restartPolicy") == "Always":
            _add(running, asked)
            asked = {}
        for name, amount in asked.items():
            peak[name] = max(peak.get(name, 0), amount + (running.get(name, 0) if name != "pods" else 0))
        for name, amount in running.items():
            peak[name] = max(peak.get(name, 0), amount)
    for one in spec.get("containers") or ():
        _add(running, _asked(one))
        for port in one.get("ports") or ():
            if port.get("hostPort"):
                # Two pods with the same port of the host cannot share a node: a thing each node has one of.
                running[f"hostport/{port.get('protocol', 'TCP')}/{int(port['hostPort'])}"] = 1
    total = {name: max(running.get(name, 0), peak.get(name, 0)) for name in {**running, **peak}}
    total.update(
        {name: quantity(name, raw) for name, raw in _dict(_dict(spec.get("resources")).get("requests")).items()}
    )
    _add(total, {name: quantity(name, raw) for name, raw in (spec.get("overhead") or {}).items()})
    return amounts(total)


def _asked(container: Raw) -> dict[str, int]:
    resources = container.get("resources") or {}
    raw = {**(resources.get("limits") or {}), **(resources.get("requests") or {})}
    return {name: quantity(name, value) for name, value in raw.items()}


def _add(total: dict[str, int], more: Mapping[str, int]) -> None:
    for name, amount in more.items():
        total[name] = total.get(name, 0) + amount


def _term(raw: Raw) -> Term:
    fields = [_expression({**one, "key": NAME}) for one in raw.get("matchFields") or ()]
    return (*[_expression(one) for one in raw.get("matchExpressions") or ()], *fields)


def _expression(raw: Raw) -> Expression:
    return Expression(str(raw["key"]), str(raw["operator"]), tuple(str(value) for value in raw.get("values") or ()))


def selector(raw: Raw | None, namespace: str) -> Term:
    """A label selector as a term that also holds the namespace (key "": no label has that name)."""
    home = Expression("", "In", (namespace,))
    if raw is None:
        return (home, Expression("", "DoesNotExist", ()))
    exact = [Expression(key, "In", (value,)) for key, value in sorted((raw.get("matchLabels") or {}).items())]
    return (home, *exact, *[_expression(one) for one in raw.get("matchExpressions") or ()])


def _toleration(raw: Raw) -> Toleration:
    parts = (raw.get("key"), raw.get("operator") or "Equal", raw.get("value"), raw.get("effect"))
    return Toleration(*(str(part or "") for part in parts))


def read_node(raw: Raw, group: str = "", join_minutes: float = 15, now: float = 0.0, created: float = 0.0) -> Node:
    """One node. ``created`` and ``now`` decide whether one that is not ready is joining still, or broken."""
    meta, spec, status = _dict(raw.get("metadata")), _dict(raw.get("spec")), _dict(raw.get("status"))
    name = str(meta.get("name") or "?")
    ready = any(one.get("type") == "Ready" and one.get("status") == "True" for one in status.get("conditions") or ())
    joining = not ready and now - created < join_minutes * 60
    taints = [
        Taint(str(one.get("key") or ""), str(one.get("value") or ""), str(one.get("effect") or ""))
        for one in spec.get("taints") or ()
    ]
    if spec.get("unschedulable") and not any(one.key == UNSCHEDULABLE.key for one in taints):
        taints.append(UNSCHEDULABLE)
    room: dict[str, int] = {}
    for resource, amount in _dict(status.get("allocatable")).items():
        try:
            room[resource] = quantity(resource, amount)
        except BadQuantity:
            continue
    return Node(
        name,
        amounts(room),
        labels={**{str(key): str(value) for key, value in _dict(meta.get("labels")).items()}, NAME: name},
        taints=tuple(sorted(one for one in taints if not (joining and one.key in STARTUP))),
        group=group,
        joining=joining,
        broken=not ready and not joining,
        created=created,
    )


def read_daemons(raw: Iterable[Raw]) -> tuple[tuple[Daemon, ...], tuple[str, ...]]:
    """The DaemonSets, and a warning for each that cannot be read."""
    found, warnings = [], []
    for one in raw:
        meta, template = _dict(one.get("metadata")), _dict(_dict(_dict(one.get("spec")).get("template")))
        name = f"{meta.get('namespace') or 'default'}/{meta.get('name')}"
        try:
            needs = needs_of(_dict(template.get("spec")), str(meta.get("namespace") or "default"))
        except MALFORMED as error:
            warnings.append(f"the DaemonSet {name} cannot be read and is not reckoned with: {error}")
            continue
        found.append(Daemon(name, needs._replace(tolerations=needs.tolerations + DAEMON_TOLERATIONS, spreads=())))
    return tuple(sorted(found, key=lambda daemon: daemon.name)), tuple(warnings)
