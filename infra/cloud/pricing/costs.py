"""What a Terraform plan or state costs: every resource with a price, before and after, from the dated list prices."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from infra.cloud.pricing import prices
from infra.plan.model import Change, Cost, total

# Of these the launch template says the disks, and whether they are bought as spot.
LAUNCHED = ("aws_autoscaling_group", "aws_instance")


@dataclass(frozen=True, slots=True)
class Costs:
    """Dollars per hour of each resource by its address."""

    by_address: dict[str, Cost]
    largest: dict[str, Cost]
    """Of Auto Scaling groups: at their largest size, all of the dearest type. Where several share a pool's maximum, the
    dearest has it all."""

    @property
    def sum(self) -> Cost:
        return total(self.by_address.values())

    @property
    def full(self) -> Cost:
        return total({**self.by_address, **self.largest}.values())

    def of(self, address: str) -> Cost:
        return self.by_address.get(address, Cost())


def of_plan(shown: dict[str, Any], region: str) -> tuple[Costs, Costs]:
    """What is there now and what is there after the plan, from the JSON of ``terraform show``."""
    now = _resources(shown.get("prior_state", {}).get("values", {}).get("root_module", {}))
    then = _resources(shown.get("planned_values", {}).get("root_module", {}))
    return _costs(now, region), _costs(then, region)


def of_state(path: Path, region: str) -> Costs:
    """What a local state file holds; nothing when it is not there."""
    try:
        state = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return Costs({}, {})
    return of_raw_state(state, region)


def of_raw_state(state: dict[str, Any], region: str) -> Costs:
    """What a state, as Terraform stores it, holds."""
    resources = (
        {"address": _address(item, instance), "type": item["type"], "values": instance.get("attributes", {})}
        for item in state.get("resources", [])
        if item.get("mode") == "managed"
        for instance in item.get("instances", [])
    )
    return _costs(resources, region)


def priced(changes: Sequence[Change], before: Costs, after: Costs) -> tuple[Change, ...]:
    """The same changes with what each costs before and after."""
    return tuple(
        replace(change, before=before.of(change.address), after=after.of(change.address)) for change in changes
    )


def date() -> str:
    """The days of the prices in use: one, or the oldest and the newest."""
    return prices.table().date


def _costs(resources: Iterable[dict[str, Any]], region: str) -> Costs:
    found = list(resources)
    templates = {_module(item["address"]): item["values"] for item in found if item["type"] == "aws_launch_template"}
    costs, largest = {}, {}
    for item in found:
        template = templates.get(_module(item["address"])) if item["type"] in LAUNCHED else None
        cost = prices.price_of(item["type"], item.get("values") or {}, region, template)
        if cost is not None:
            costs[item["address"]] = cost
        if item["type"] == "aws_autoscaling_group":
            largest[item["address"]] = prices.group_cost(item.get("values") or {}, region, template).maximum
    return Costs(costs, {address: cost for pool in _pools(largest) for address, cost in pool})


def _pools(largest: Mapping[str, Cost]) -> Iterator[list[tuple[str, Cost]]]:
    """The groups of each module call, which is a pool. Only one of them can be at the pool's maximum."""
    pools: dict[str, list[str]] = {}
    for address in largest:
        pools.setdefault(_module(address) or address, []).append(address)
    for addresses in pools.values():
        dearest = max(addresses, key=lambda address: largest[address].known)
        yield [(address, largest[address] if address == dearest else Cost()) for address in addresses]


def _resources(module: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield from (item for item in module.get("resources", []) if item.get("mode") == "managed")
    for child in module.get("child_modules", []):
        yield from _resources(child)


def _module(address: str) -> str:
    """The module call an address lies in."""
    return ".".join(address.split(".")[:2]) if address.startswith("module.") else ""


def _address(item: dict[str, Any], instance: dict[str, Any]) -> str:
    key = instance.get("index_key")
    index = "" if key is None else f"[{json.dumps(key)}]"
    module = f"{item['module']}." if item.get("module") else ""
    return f"{module}{item['type']}.{item['name']}{index}"
