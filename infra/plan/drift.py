"""What was changed outside of infra since the last apply: Terraform's ``resource_drift`` without the noise. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from infra.plan.copies import Values, collect, foreign, shared, stripped
from infra.plan.differences import differences, element
from infra.plan.model import Change
from infra.plan.noise import Context, reason
from infra.plan.words import title

GONE = "is gone: deleted outside of infra"
_STEP = re.compile(r'([A-Za-z0-9_-]+)(?:\[(?:"(?:[^"\\]|\\.)*"|[^\]]*)\])?(?:\.|$)')


def drift(shown: Mapping[str, Any], others: Iterable[tuple[str, Values]] = ()) -> list[Change]:
    """Every managed resource that is not as the state says, with all that moved; what nobody changed is left out.

    ``others`` are (type, values) of what is ours and in another state.
    """
    items = [item for item in shown.get("resource_drift", []) if item.get("mode", "managed") == "managed"]
    known = collect([*((kind, values) for _, kind, values in resources(shown)), *others])
    for item in items:
        # What was removed by hand is reported by itself, and is no news about the thing that repeats it.
        known.setdefault(item["type"], []).append(item["change"].get("before") or {})
    found = [_change(item, shown, known) for item in items]
    return [change for change in found if change is not None]


def lasting(things: Iterable[tuple[str, str, Values]], others: Iterable[tuple[str, Values]] = ()) -> list[Change]:
    """What somebody put on our resources and an apply does not take away, from (address, type, values) of all."""
    listed = list(things)
    known = collect([*((kind, values) for _, kind, values in listed), *others])
    found = []
    for address, kind, values in listed:
        texts = tuple(f"{name} + {element(item)}" for name, item in foreign(kind, values, known))
        if texts:
            found.append(Change(address, kind, "update", title(address), texts))
    return found


def _change(item: Mapping[str, Any], shown: Mapping[str, Any], known: Mapping[str, list[Values]]) -> Change | None:
    address, kind, change = item["address"], item["type"], item["change"]
    if change.get("after") is None:
        return Change(address, kind, "delete", title(address), (GONE,))
    context = Context(change["after"], written(shown, address), frozenset(known))
    bare = {**change, **{key: stripped(kind, change.get(key) or {}, known) for key in ("before", "after")}}
    # What was never ours and went away again is as it should be.
    bare["before"] = {**bare["before"], **{name: [] for name in shared(kind, known)}}
    texts = [found.text() for found in differences(bare) if not reason(kind, found, context)]
    return Change(address, kind, "update", title(address), tuple(texts)) if texts else None


def written(shown: Mapping[str, Any], address: str) -> frozenset[str] | None:
    """The attributes that the project sets on the resource; None when the plan does not say."""
    module = shown.get("configuration", {}).get("root_module", {})
    steps = _STEP.findall(address)
    while len(steps) > 2 and steps[0] == "module":
        module = module.get("module_calls", {}).get(steps[1], {}).get("module", {})
        steps = steps[2:]
    for resource in module.get("resources", []):
        if [resource.get("type"), resource.get("name")] == steps:
            return frozenset(resource.get("expressions", {}))
    return None


def resources(shown: Mapping[str, Any]) -> Iterator[tuple[str, str, Values]]:
    """(address, type, values) of everything that the refresh found."""
    waiting = [shown.get("prior_state", {}).get("values", {}).get("root_module", {})]
    while waiting:
        module = waiting.pop()
        waiting += module.get("child_modules", [])
        for item in module.get("resources", []):
            if item.get("mode") == "managed":
                yield item["address"], item["type"], item.get("values") or {}
