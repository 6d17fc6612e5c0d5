"""PodDisruptionBudgets: their status, always up to date, and the question whether a pod may be evicted."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from tests.kube import errors, selectors
from tests.kube.resources import BUDGETS, DEPLOYMENTS, PODS, REPLICASETS
from tests.kube.store import Change, Item, Object, Store, now

_VIOLATED = "Cannot evict pod as it would violate the pod's disruption budget."
_SCALING = {"ReplicaSet": REPLICASETS, "Deployment": DEPLOYMENTS}


class Follower:
    """Every change of a pod or a budget is seen in the budgets' status at once, unless it is ``asleep``."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.asleep = False
        store.watchers.append(self._seen)

    def _seen(self, change: Change) -> None:
        if self.asleep or (change.resource is BUDGETS and change.deleted):
            return
        if change.resource in (PODS, BUDGETS):
            namespace = change.after.key[0]
            for budget in self.store.items(BUDGETS, namespace):
                _refresh(self.store, budget)


def healthy(pod: Mapping[str, Any]) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    ready = any(item["type"] == "Ready" and item["status"] == "True" for item in conditions)
    return ready and not pod["metadata"].get("deletionTimestamp")


def _ended(pod: Mapping[str, Any]) -> bool:
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")


def _share(value: int | str, of: int) -> int:
    """A number, or a percentage rounded up."""
    if isinstance(value, str) and value.endswith("%"):
        return math.ceil(of * int(value[:-1]) / 100)
    return int(value)


def _expected(store: Store, pods: list[Object]) -> int | None:
    """How many pods their controllers want. Pods without one do not count; None: a controller that does not scale."""
    owners: dict[str, int] = {}
    for pod in pods:
        meta = pod["metadata"]
        owner = next((item for item in meta.get("ownerReferences") or () if item.get("controller")), None)
        if owner is None:
            continue
        resource = _SCALING.get(owner["kind"])
        if resource is None:
            return None
        found = store.find(resource, meta["namespace"], owner["name"])
        if found:
            owners[owner["uid"]] = (found.obj.get("spec") or {}).get("replicas", 1)
    return sum(owners.values())


def status(store: Store, budget: Mapping[str, Any]) -> Object:
    """The status that a budget should have now."""
    spec, meta = budget.get("spec") or {}, budget["metadata"]
    pods = [item.obj for item in store.items(PODS, meta["namespace"])]
    pods = [pod for pod in pods if selectors.matches(spec.get("selector"), pod["metadata"].get("labels"))]
    here = {pod["metadata"]["name"] for pod in pods if not pod["metadata"].get("deletionTimestamp")}
    was = budget.get("status") or {}
    disrupted = {name: at for name, at in (was.get("disruptedPods") or {}).items() if name in here}
    current = sum(healthy(pod) and pod["metadata"]["name"] not in disrupted for pod in pods)
    least, most = spec.get("minAvailable"), spec.get("maxUnavailable")
    expected: int | None = len(pods)
    if most is not None or isinstance(least, str):
        expected = _expected(store, pods)
    if expected is None:
        why = "found no controller with a scale subresource"
        return {**_counts(was), "disruptionsAllowed": 0, "conditions": [_condition(budget, False, "SyncFailed", why)]}
    # Only a percentage or maxUnavailable asks how many there should be; a plain minAvailable does not care.
    desired = expected - _share(most, expected) if most is not None else _share(1 if least is None else least, expected)
    allowed = max(0, current - desired) if expected else 0
    return {
        "currentHealthy": current,
        "desiredHealthy": max(0, desired),
        "disruptionsAllowed": allowed,
        "expectedPods": expected,
        "observedGeneration": meta.get("generation", 1),
        "conditions": [_condition(budget, bool(allowed), "SufficientPods" if allowed else "InsufficientPods")],
        **({"disruptedPods": disrupted} if disrupted else {}),
    }


def _counts(was: Mapping[str, Any]) -> Object:
    """A status in which every number that must be there is there."""
    names = ("currentHealthy", "desiredHealthy", "disruptionsAllowed", "expectedPods")
    return {**dict.fromkeys(names, 0), **was}


def _condition(budget: Mapping[str, Any], true: bool, reason: str, message: str = "") -> Object:
    value = "True" if true else "False"
    conditions = (budget.get("status") or {}).get("conditions") or ()
    before: Object = next((item for item in conditions if item["type"] == "DisruptionAllowed"), {})
    return {
        "type": "DisruptionAllowed",
        "status": value,
        "reason": reason,
        "message": message,
        "lastTransitionTime": before["lastTransitionTime"] if before.get("status") == value else now(),
        "observedGeneration": budget["metadata"].get("generation", 1),
    }


def _refresh(store: Store, budget: Item) -> None:
    wanted = status(store, budget.obj)
    if wanted != budget.obj.get("status"):
        store.change(BUDGETS, *budget.key, lambda obj: {**obj, "status": wanted})


def spend(store: Store, pod: Object, dry: bool) -> None:
    """Take one disruption of the pod's budget, or raise 429 (500 when two budgets are about one pod)."""
    meta = pod["metadata"]
    if _ended(pod) or (pod.get("status") or {}).get("phase") == "Pending" or meta.get("deletionTimestamp"):
        return
    found = [
        item
        for item in store.items(BUDGETS, meta["namespace"])
        if selectors.matches((item.obj.get("spec") or {}).get("selector"), meta.get("labels"))
    ]
    if not found:
        return
    if len(found) > 1:
        message = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."
        raise errors.ApiError(500, "InternalError", message)
    budget = found[0].obj
    now_is = budget.get("status") or {}
    if now_is.get("observedGeneration", 0) < budget["metadata"].get("generation", 1):
        cause = f"The disruption budget {budget['metadata']['name']} is still being processed by the server."
        raise errors.too_many(_VIOLATED, [{"reason": "DisruptionBudget", "message": cause}], 10)
    always = (budget.get("spec") or {}).get("unhealthyPodEvictionPolicy") == "AlwaysAllow"
    if not healthy(pod) and (always or now_is.get("currentHealthy", 0) >= now_is.get("desiredHealthy", 0) > 0):
        return
    if now_is.get("disruptionsAllowed", 0) <= 0:
        name, needs, has = budget["metadata"]["name"], now_is.get("desiredHealthy"), now_is.get("currentHealthy")
        cause = f"The disruption budget {name} needs {needs} healthy pods and has {has} currently"
        raise errors.too_many(_VIOLATED, [{"reason": "DisruptionBudget", "message": cause}])

    def spent(obj: Object) -> None:
        obj["status"].setdefault("disruptedPods", {})[meta["name"]] = now()
        obj["status"]["disruptionsAllowed"] -= 1

    store.change(BUDGETS, *found[0].key, spent, dry)
