"""Whether a pod may run on a node, by the plainest reading of the rules: the tests' scheduler knows no more."""

from __future__ import annotations

import marshal
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

Obj = Mapping[str, Any]
Amounts = dict[str, Decimal]
ONE = Decimal(1)
_UNITS = {
    **{unit: Decimal(1024) ** (power + 1) for power, unit in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"))},
    **{unit: Decimal(1000) ** (power + 1) for power, unit in enumerate(("k", "M", "G", "T", "P", "E"))},
    "m": Decimal("0.001"),
    "u": Decimal("0.000001"),
    "n": Decimal("0.000000001"),
}


def amount(text: str | int | float) -> Decimal:
    """A quantity as a number: ``500m`` is 0.5, ``1Ki`` is 1024."""
    text = str(text)
    for unit, factor in _UNITS.items():
        if text.endswith(unit):
            return Decimal(text[: -len(unit)]) * factor
    return Decimal(text)


def _sum(parts: Iterable[Obj]) -> Amounts:
    total: Amounts = {}
    for part in parts:
        for name, value in part.items():
            total[name] = total.get(name, Decimal(0)) + amount(value)
    return total


def requests(pod: Obj) -> Amounts:
    """What a pod needs, one place among the node's pods included."""
    spec = pod["spec"]

    def of(container: Obj) -> Obj:
        found: Obj = (container.get("resources") or {}).get("requests") or {}
        return found

    inits = spec.get("initContainers") or ()
    beside = [of(item) for item in inits if item.get("restartPolicy") == "Always"]
    need = _sum([*(of(item) for item in spec.get("containers") or ()), *beside])
    for item in inits:
        for name, value in of(item).items():
            need[name] = max(need.get(name, Decimal(0)), amount(value))
    for name, value in (spec.get("overhead") or {}).items():
        need[name] = need.get(name, Decimal(0)) + amount(value)
    return {**need, "pods": ONE}


def shape(pod: Obj) -> bytes:
    """Pods with one shape fit on the same nodes."""
    spec = pod["spec"]
    where = [spec.get(name) for name in ("nodeSelector", "affinity", "tolerations", "overhead")]
    parts = (*(spec.get("initContainers") or ()), None, *(spec.get("containers") or ()))
    return marshal.dumps([where, [part and [part.get("resources"), part.get("restartPolicy")] for part in parts]])


def free(node: Obj, pods: Iterable[Obj]) -> Amounts:
    """What a node has left beside the pods that are on it."""
    left = _sum([(node.get("status") or {}).get("allocatable") or {}])
    for pod in pods:
        for name, value in requests(pod).items():
            left[name] = left.get(name, Decimal(0)) - value
    return left


def tolerates(pod: Obj, taint: Obj) -> bool:
    for item in pod["spec"].get("tolerations") or ():
        if item.get("effect") and item["effect"] != taint["effect"]:
            continue
        if not item.get("key") and item.get("operator") == "Exists":
            return True
        same = item.get("operator") == "Exists" or item.get("value", "") == taint.get("value", "")
        if item.get("key") == taint["key"] and same:
            return True
    return False


def _rule(rule: Obj, values: Mapping[str, str]) -> bool:
    have, wanted = values.get(rule["key"]), list(rule.get("values") or ())
    operator = rule["operator"]
    if operator in ("Gt", "Lt"):
        if have is None or not have.lstrip("-").isdigit():
            return False
        return int(have) > int(wanted[0]) if operator == "Gt" else int(have) < int(wanted[0])
    return {
        "In": have in wanted,
        "NotIn": have not in wanted,
        "Exists": have is not None,
        "DoesNotExist": have is None,
    }[operator]


def _affine(pod: Obj, node: Obj) -> bool:
    labels, fields = node["metadata"].get("labels") or {}, {"metadata.name": node["metadata"]["name"]}
    if any(labels.get(key) != value for key, value in (pod["spec"].get("nodeSelector") or {}).items()):
        return False
    affinity = ((pod["spec"].get("affinity") or {}).get("nodeAffinity")) or {}
    needed = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    if not needed:
        return True
    return any(
        (term.get("matchExpressions") or term.get("matchFields"))
        and all(_rule(rule, labels) for rule in term.get("matchExpressions") or ())
        and all(_rule(rule, fields) for rule in term.get("matchFields") or ())
        for term in needed.get("nodeSelectorTerms") or ()
    )


def refusal(pod: Obj, node: Obj, left: Amounts) -> str:
    """Why a node does not take a pod, in a scheduler's words; "" when it does."""
    spec = node.get("spec") or {}
    if spec.get("unschedulable") and not tolerates(
        pod, {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}
    ):
        return "node(s) were unschedulable"
    for taint in spec.get("taints") or ():
        if taint["effect"] != "PreferNoSchedule" and not tolerates(pod, taint):
            return f"node(s) had untolerated taint {{{taint['key']}: {taint.get('value', '')}}}"
    if not _affine(pod, node):
        return "node(s) didn't match Pod's node affinity/selector"
    for name, value in requests(pod).items():
        if value > left.get(name, Decimal(0)):
            return "Too many pods" if name == "pods" else f"Insufficient {name}"
    return ""
