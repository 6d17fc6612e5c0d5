"""May a pod run on a node or an offer, as Kubernetes decides it: selectors, affinity, taints. Never more lenient."""

from __future__ import annotations

from collections.abc import Iterable

from infra.autoscale.snapshot import Expression, Labels, Needs, Taint, Term, Toleration

DECIDING = ("NoSchedule", "NoExecute")


def holds(expression: Expression, labels: Labels) -> bool:
    """Whether one requirement on labels holds. An operator that Kubernetes does not have holds for nothing."""
    key, operator, values = expression
    value = labels.get(key)
    if operator == "In":
        return value is not None and value in values
    if operator == "NotIn":
        return value is None or value not in values
    if operator == "Exists":
        return value is not None
    if operator == "DoesNotExist":
        return value is None
    if operator in ("Gt", "Lt") and value is not None and len(values) == 1:
        have, asked = _integer(value), _integer(values[0])
        if have is None or asked is None:
            return False
        return have > asked if operator == "Gt" else have < asked
    return False


def _integer(text: str) -> int | None:
    digits = text[1:] if text[:1] in ("+", "-") else text
    return int(text) if digits.isascii() and digits.isdigit() and len(digits) < 19 else None


def all_hold(term: Term, labels: Labels) -> bool:
    return all(holds(expression, labels) for expression in term)


def tolerates(toleration: Toleration, taint: Taint) -> bool:
    if toleration.effect and toleration.effect != taint.effect:
        return False
    if toleration.key and toleration.key != taint.key:
        return False
    if toleration.operator == "Exists":
        return True
    return bool(toleration.key) and toleration.operator in ("", "Equal") and toleration.value == taint.value


def intolerable(tolerations: Iterable[Toleration], taints: Iterable[Taint]) -> Taint | None:
    """The first taint that keeps the pod away, None when there is none."""
    some = tuple(tolerations)
    for taint in taints:
        if taint.effect in DECIDING and not any(tolerates(one, taint) for one in some):
            return taint
    return None


def refusal(needs: Needs, labels: Labels, taints: Iterable[Taint]) -> str:
    """Why a machine with these labels and taints would not take the pod, in words; "" when it would.

    Whether there is room is not asked here.
    """
    for key, value in needs.selector:
        if labels.get(key) != value:
            return f"its nodeSelector wants {key}={value}"
    if needs.affinity is not None and not any(term and all_hold(term, labels) for term in needs.affinity):
        return "its required node affinity does not hold"
    taint = intolerable(needs.tolerations, taints)
    if taint is not None:
        return f"it does not tolerate the taint {taint.key}{'=' + taint.value if taint.value else ''}:{taint.effect}"
    return ""


def keys(needs: Iterable[Needs]) -> frozenset[str]:
    """Every label that decides for one of them: nodes that agree on these (and in taints) are alike."""
    found: set[str] = set()
    for one in needs:
        found.update(key for key, _ in one.selector)
        found.update(expression.key for term in one.affinity or () for expression in term)
        found.update(spread.key for spread in one.spreads)
    return frozenset(found)
