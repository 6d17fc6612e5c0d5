"""What the embedded AWS has left, by the rules of ``capacity``; and what comes due as time passes.

Nothing runs in the background: what is due is done before the next request is answered.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from infra.local.capacity import Limit, Rules

LIVING = ("pending", "running")
SENTENCES = {
    "InsufficientInstanceCapacity": (
        "We currently do not have sufficient {type} capacity in the Availability Zone you requested ({zone}). Our "
        "system will be working on provisioning additional capacity.{elsewhere}"
    ),
    "UnfulfillableCapacity": (
        "Unable to fulfill capacity due to your request configuration. Please adjust your request and try again."
    ),
    "VcpuLimitExceeded": (
        "You have requested more vCPU capacity than your current vCPU limit of {limit} allows for the instance bucket "
        "that the specified instance type belongs to. Please visit http://aws.amazon.com/contact-us/ec2-request to "
        "request an adjustment to this limit."
    ),
    "MaxSpotInstanceCountExceeded": "Max spot instance count exceeded.",
}
"""AWS's own words for each code. A spot machine that RunInstances cannot have is refused in yet others, see below."""
NO_SPOT = "There is no Spot capacity available that matches your request."


class _State:
    rules = Rules()
    waiting: bool = False  # something is due some time: a pending machine, a notice, a group that was refused


@dataclass(frozen=True, slots=True)
class Lack:
    """Why a machine cannot be had, in EC2's code and words."""

    code: str
    message: str


def rules() -> Rules:
    return _State.rules


def use(new: Rules) -> None:
    _State.rules = new
    _State.waiting = True


def reset() -> None:
    _State.rules = Rules()
    _State.waiting = False


def now() -> float:
    return time.time()


def lack(backend: Any, kind: str, zone: str, spot: bool, grouped: bool = False, more: int = 1) -> Lack | None:
    """Why ``more`` machines cannot be had there; None when they can. ``grouped``: a fleet of several types asks."""
    limit = _broken(backend, kind, zone, spot, more)
    if limit is None:
        return None
    if limit.vcpus is not None:
        code = "MaxSpotInstanceCountExceeded" if spot else "VcpuLimitExceeded"
    else:
        code = "UnfulfillableCapacity" if spot and grouped else "InsufficientInstanceCapacity"
    code = limit.code or code
    text = NO_SPOT if spot and code == "InsufficientInstanceCapacity" else SENTENCES.get(code, code)
    elsewhere = ""
    if code == "InsufficientInstanceCapacity" and not spot:
        zones = sorted(one.name for one in backend.describe_availability_zones())
        others = [one for one in zones if one != zone and _broken(backend, kind, one, spot, more) is None]
        if others:
            elsewhere = (
                f" You can currently get {kind} capacity by not specifying an Availability Zone in your request or "
                f"choosing {', '.join(others)}."
            )
    return Lack(code, text.format(type=kind, zone=zone, limit=limit.vcpus or 0, elsewhere=elsewhere))


def _broken(backend: Any, kind: str, zone: str, spot: bool, more: int) -> Limit | None:
    """The first limit that so many more machines would break."""
    market = "spot" if spot else "on-demand"
    for limit in _State.rules.limits:
        if not _fits(limit, backend.region_name, zone, kind, market):
            continue
        alike = [
            one.instance_type
            for one in backend.all_instances()
            if one._state.name in LIVING
            and _fits(limit, backend.region_name, one.placement.zone, one.instance_type, _market(one))
        ]
        if limit.machines is not None and len(alike) + more > limit.machines:
            return limit
        if limit.vcpus is not None and sum(map(vcpus, alike)) + more * vcpus(kind) > limit.vcpus:
            return limit
    return None


def _fits(limit: Limit, region: str, zone: str, kind: str, market: str) -> bool:
    pairs = ((region, limit.region), (zone, limit.zone), (kind, limit.type), (market, limit.market))
    return all(fnmatchcase(value, pattern) for value, pattern in pairs)


def _market(instance: Any) -> str:
    return "spot" if getattr(instance, "lifecycle", None) == "spot" else "on-demand"


def vcpus(kind: str) -> int:
    from moto.ec2.models.instance_types import INSTANCE_TYPES

    return int(INSTANCE_TYPES.get(kind, {}).get("VCpuInfo", {}).get("DefaultVCpus", 1))


def launched(instance: Any) -> bool:
    """A machine was made: with a time to wait, it is pending until then. Whether it is so."""
    if _State.rules.pending_seconds <= 0:
        return False
    instance._state.name, instance._state.code = "pending", 0
    instance.pending_since = now()
    _State.waiting = True
    return True


def refused(group: Any) -> None:
    """A group could not have all that it wants: it tries again, as AWS does."""
    group.refused_at = now()
    _State.waiting = True


def interrupt(names: Iterable[str]) -> list[str]:
    """The notice to spot machines; those that got it."""
    wanted, found = set(names), []
    for backend in _backends("ec2"):
        for instance in backend.all_instances():
            if instance.id in wanted and _market(instance) == "spot" and instance._state.name in LIVING:
                instance.noticed_at = now()
                found.append(instance.id)
                _State.waiting = True
    return sorted(found)


def pass_time() -> None:
    """Do what has come due. Nothing is ever due unless rules were set or a notice was given."""
    if not _State.waiting:
        return
    moment = now()
    _State.waiting = False
    for backend in _backends("ec2"):
        for instance in backend.all_instances():
            _pass(backend, instance, moment)
    for backend in _backends("autoscaling"):
        for group in list(backend.autoscaling_groups.values()):
            _pass_group(group, moment)


def _pass(backend: Any, instance: Any, moment: float) -> None:
    if instance._state.name not in LIVING:
        return
    noticed = getattr(instance, "noticed_at", None)
    if noticed is not None and noticed + _State.rules.notice_seconds <= moment:
        instance.taken_back = True
        backend.terminate_instances([instance.id])
        for scaling in _backends("autoscaling"):
            if scaling.region_name == backend.region_name and scaling.account_id == backend.account_id:
                scaling.notify_terminate_instances([instance.id])
        return
    since = getattr(instance, "pending_since", None)
    if instance._state.name == "pending" and since is not None and since + _State.rules.pending_seconds <= moment:
        instance._state.name, instance._state.code = "running", 16
    _State.waiting = _State.waiting or noticed is not None or instance._state.name == "pending"


def _pass_group(group: Any, moment: float) -> None:
    from moto.autoscaling.exceptions import AutoscalingClientError

    from infra.local import autoscaling_group as model

    for state in group.instance_states:
        if state.lifecycle_state == "Pending" and state.instance._state.name == "running":
            model.in_service(group, state)
    refused_at = getattr(group, "refused_at", None)
    if refused_at is not None and refused_at + _State.rules.retry_seconds <= moment:
        group.refused_at = None
        with contextlib.suppress(AutoscalingClientError):  # its template is broken by now: the activity says so
            model.reconcile(group)
        refused_at = group.refused_at
    _State.waiting = _State.waiting or refused_at is not None


def _backends(service: str) -> Iterator[Any]:
    """Those that exist; a service that nobody has asked yet has none."""
    module: Any = sys.modules.get(f"moto.{service}.models")
    if module is not None:
        for account in list(getattr(module, f"{service}_backends").values()):
            yield from list(account.values())
