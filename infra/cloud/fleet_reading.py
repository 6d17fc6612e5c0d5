"""What AWS says of Auto Scaling groups, in the autoscaler's words. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from infra.autoscale.ports import Failure, Fleet, FleetId, Machine
from infra.autoscale.snapshot import Market, Taint
from infra.cloud.refusals import launch

Item = Mapping[str, Any]
FOUND_BY = "k8s.io/cluster-autoscaler/"
TEMPLATE = "k8s.io/cluster-autoscaler/node-template/"
POOL, POOL_MAX = "infra:pool", "infra:pool-max"
EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")

_ZONE = re.compile(r"Availability Zone(?: you requested)? \((?P<zone>[a-z0-9-]+)\)")
_TYPE = re.compile(r"(?:sufficient |instance type \()(?P<type>[a-z][a-z0-9-]*\.[a-z0-9-]+)")
REGIONAL = frozenset(
    {"VcpuLimitExceeded", "MaxSpotInstanceCountExceeded", "InstanceLimitExceeded", "MaxFleetCountExceeded"}
)
"""Codes of quotas, which hold for the whole region, whatever zone was tried."""


def fleet(
    region: str,
    group: Item,
    types: Sequence[str],
    bought: Market,
    machines: Iterable[Machine],
    failures: Iterable[Failure],
) -> Fleet:
    """One group. ``types`` and ``bought`` are those of its launch template when it has no policy."""
    tags = {str(tag["Key"]): str(tag.get("Value", "")) for tag in group.get("Tags") or ()}
    labels, resources = _under(tags, "label/"), _under(tags, "resources/")
    taints = tuple(taint for key, value in sorted(_under(tags, "taint/").items()) if (taint := _taint(key, value)))
    return Fleet(
        id=FleetId(f"{region}/{group['AutoScalingGroupName']}"),
        pool=tags.get(POOL, ""),
        types=tuple(types),
        zones=tuple(sorted(str(zone) for zone in group.get("AvailabilityZones") or ())),
        market=bought,
        minimum=int(group["MinSize"]),
        maximum=int(group["MaxSize"]),
        desired=int(group["DesiredCapacity"]),
        labels=labels,
        taints=taints,
        resources=resources,
        machines=tuple(sorted(machines, key=lambda machine: (machine.launched, machine.id))),
        failures=tuple(sorted(failures, key=lambda one: (-one.when, one.id))),
        pool_maximum=int(most) if (most := tags.get(POOL_MAX, "")).isdigit() else 0,
    )


def _under(tags: Mapping[str, str], kind: str) -> dict[str, str]:
    prefix = TEMPLATE + kind
    return {key[len(prefix) :]: value for key, value in sorted(tags.items()) if key.startswith(prefix)}


def _taint(key: str, value: str) -> Taint | None:
    """``value:effect``, as the tag has it; what is none of that is no taint that a kubelet would set."""
    content, _, effect = value.rpartition(":")
    return Taint(key, content, effect) if effect in EFFECTS else None


def template_of(group: Item) -> Item | None:
    """The launch template that the group launches from; None for a launch configuration."""
    policy = group.get("MixedInstancesPolicy")
    if policy:
        found: Item | None = policy["LaunchTemplate"].get("LaunchTemplateSpecification")
        return found
    return group.get("LaunchTemplate")


def types_of(group: Item) -> tuple[str, ...]:
    """The types of the group's policy, in order of preference; () when only its template says."""
    policy = group.get("MixedInstancesPolicy") or {}
    overrides = (policy.get("LaunchTemplate") or {}).get("Overrides") or ()
    return tuple(str(one["InstanceType"]) for one in overrides if one.get("InstanceType"))


def market_of(group: Item, template: Item) -> Market:
    """Spot when that is all that the group buys above its base."""
    policy = group.get("MixedInstancesPolicy")
    if policy:
        share = (policy.get("InstancesDistribution") or {}).get("OnDemandPercentageAboveBaseCapacity", 100)
        return "spot" if int(share) == 0 else "on-demand"
    return "spot" if (template.get("InstanceMarketOptions") or {}).get("MarketType") == "spot" else "on-demand"


def machine(member: Item, instance: Item | None, interrupted: bool, first_seen: float) -> Machine:
    """One of the group's machines. EC2 may not know a new one yet (``instance`` None): then ``first_seen`` counts."""
    found = instance or {}
    launched = found.get("LaunchTime")
    spot = found.get("InstanceLifecycle") == "spot"
    return Machine(
        id=str(member["InstanceId"]),
        type=str(found.get("InstanceType") or member.get("InstanceType") or ""),
        zone=str(member.get("AvailabilityZone") or ""),
        state=_state(str(member["LifecycleState"]), str((found.get("State") or {}).get("Name", "")), interrupted),
        launched=launched.timestamp() if isinstance(launched, datetime) else first_seen,
        market="spot" if spot else "on-demand",
        node=str(found.get("PrivateDnsName") or ""),
    )


def _state(life: str, power: str, interrupted: bool) -> Any:
    if life not in ("InService",) and not life.startswith("Pending"):
        return "leaving"
    if power in ("shutting-down", "terminated", "stopping", "stopped"):
        return "leaving"
    if interrupted:
        return "interrupted"
    return "in-service" if life == "InService" and power in ("running", "") else "pending"


def failure(activity: Item) -> Failure | None:
    """A launch that failed, with what its words tell; None for every other activity."""
    if activity.get("StatusCode") != "Failed" or not str(activity.get("Description", "")).startswith("Launching"):
        return None
    message = " ".join(str(activity.get("StatusMessage") or activity.get("Cause") or "").split())
    code = launch.code_of(message)
    return Failure(
        id=str(activity["ActivityId"]),
        when=activity["StartTime"].timestamp(),
        code=code,
        message=message,
        zone="" if code in REGIONAL else _zone(message, activity.get("Details")),
        type=found["type"] if (found := _TYPE.search(message)) else "",
    )


def _zone(message: str, details: Any) -> str:
    """The zone that was asked for, not those where AWS says there is capacity; else the one that the group chose."""
    if found := _ZONE.search(message):
        return found["zone"]
    try:
        said = json.loads(details) if isinstance(details, str) else None
    except ValueError:
        return ""
    return str(said.get("Availability Zone") or "") if isinstance(said, dict) else ""
