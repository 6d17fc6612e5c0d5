"""What a Terraform plan costs: every priced resource before and after, from the dated table of list prices."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from infra.cloud import prices
from infra.plan.model import Change, Cost, total


def date() -> str:
    """The day of the prices in use."""
    return prices.table().date


def priced(shown: dict[str, Any], changes: Sequence[Change], region: str) -> list[Change]:
    """The same changes with what each costs before and after."""
    items = {item["address"]: item for item in shown.get("resource_changes", [])}
    found = []
    for change in changes:
        moved = items[change.address]["change"]
        found.append(
            replace(
                change,
                before=_cost(change.type, moved.get("before"), region),
                after=_cost(change.type, moved.get("after"), region),
            )
        )
    return found


def before(shown: dict[str, Any], region: str) -> Cost:
    """Dollars per hour of what is there now."""
    return _sum(_resources(shown.get("prior_state", {}).get("values", {}).get("root_module", {})), region)


def after(shown: dict[str, Any], region: str) -> Cost:
    """Dollars per hour once the plan is applied."""
    return _sum(_resources(shown.get("planned_values", {}).get("root_module", {})), region)


def of_state(path: Path, region: str) -> Cost:
    """Dollars per hour of a local state file; nothing when it is not there."""
    try:
        state = json.loads(path.read_text())
    except (OSError, ValueError):
        return Cost()
    resources = (
        {"type": item["type"], "values": instance.get("attributes", {})}
        for item in state.get("resources", [])
        if item.get("mode") == "managed"
        for instance in item.get("instances", [])
    )
    return _sum(resources, region)


def _resources(module: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield from (item for item in module.get("resources", []) if item.get("mode") == "managed")
    for child in module.get("child_modules", []):
        yield from _resources(child)


def _sum(resources: Iterable[dict[str, Any]], region: str) -> Cost:
    return total(_cost(item["type"], item.get("values"), region) for item in resources)


def _cost(kind: str, values: dict[str, Any] | None, region: str) -> Cost:
    return prices.cost_of(kind, values, region) if values else Cost()
