"""What exists and how it is: state, AWS, locks, records and the saved plan in one pass. Changes nothing."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from infra.cloud import health, locks, planning
from infra.cloud import parts as reading
from infra.cloud.drift import each
from infra.cloud.journal import history
from infra.cloud.journal.records import Record
from infra.cloud.locks import Lock
from infra.cloud.mending import known as knowing
from infra.cloud.mending import restart
from infra.cloud.mending.known import Known, Thing
from infra.cloud.parts import Part
from infra.cloud.pricing import costs
from infra.cloud.project.links import sides
from infra.cloud.site import Site
from infra.cloud.work import now
from infra.errors import LocalError, NoPlan, UsageError
from infra.plan.machines import machines
from infra.plan.model import Cost, Machine, total

STOPPED = "the embedded AWS is not running: what was in it is gone (infra plan starts a new one, and plans it all anew)"
RESTARTED = "the embedded AWS was started anew and keeps nothing: what was in it is gone (infra plan plans it all anew)"


@dataclass(frozen=True, slots=True)
class RegionStatus:
    """One region. ``resources`` counts what the state knows, ``serial`` the state's versions; ``cost`` is dollars per
    hour now, with the machines that the pools have now. ``lost`` says why AWS has nothing of it, or "".
    """

    region: str
    resources: int = 0
    serial: int = 0
    parts: tuple[Part, ...] = ()
    cost: Cost = field(default_factory=Cost)
    lost: str = ""
    in_file: bool = True

    @property
    def healthy(self) -> bool:
        return not self.lost and all(part.healthy for part in self.parts)

    def data(self) -> dict[str, Any]:
        return {
            "region": self.region,
            "exists": bool(self.resources) and not self.lost,
            "healthy": self.healthy,
            "resources": self.resources,
            "serial": self.serial,
            "cost": asdict(self.cost),
            "lost": self.lost,
            "in_file": self.in_file,
            "parts": [part.data() for part in self.parts],
        }


@dataclass(frozen=True, slots=True)
class Status:
    """The whole cluster. ``last`` is the newest record, ``plan`` the saved plan in short, or None."""

    cluster: str
    checked: str
    endpoint: str = ""
    regions: tuple[RegionStatus, ...] = ()
    metal: tuple[Machine, ...] = ()
    locks: tuple[Lock, ...] = ()
    last: Record | None = None
    plan: Mapping[str, Any] | None = None
    prices_date: str = ""
    notes: tuple[str, ...] = field(default_factory=tuple)

    @property
    def exists(self) -> bool:
        return any(region.resources for region in self.regions)

    @property
    def healthy(self) -> bool:
        return all(region.healthy for region in self.regions)

    @property
    def cost(self) -> Cost:
        return total(region.cost for region in self.regions)

    def data(self) -> dict[str, Any]:
        return {
            "format": 1,
            "cluster": self.cluster,
            "checked": self.checked,
            "endpoint": self.endpoint,
            "exists": self.exists,
            "healthy": self.healthy,
            "cost": asdict(self.cost),
            "prices_date": self.prices_date,
            "regions": [region.data() for region in self.regions],
            "metal": [asdict(machine) for machine in self.metal],
            "locks": [lock.data() for lock in self.locks],
            "last": _short(self.last) if self.last else None,
            "plan": dict(self.plan) if self.plan else None,
            "notes": list(self.notes),
        }


def _short(record: Record) -> dict[str, Any]:
    names = ("number", "command", "status", "who", "started", "ended", "as_of")
    return {name: getattr(record, name) for name in names}


def look(site: Site, asked: Sequence[str] = ()) -> Status:
    """One pass over every wanted region, side by side.

    Raises UsageError for an unknown region, and what AWS says when it refuses to be looked at.
    """
    session = _session(site)
    gone = knowing.leftover_regions(site) if session or not site.cluster.state.s3 else []
    regions = _wanted(site, asked, gone)
    if session:
        peerings = knowing.between(site).of("aws_vpc_peering_connection")
        found = each(regions, lambda region: _region(site, region, peerings))
    else:
        found = _stopped(site, regions)
    past = history.History(site.cluster, site.work, session if site.cluster.state.s3 else None)
    records = past.read()
    held = locks.every(site.cluster, site.work, tuple(regions), session)
    return Status(
        cluster=site.cluster.cluster,
        checked=now(),
        endpoint=site.aws.endpoint or "",
        regions=tuple(replace(item, in_file=item.region not in gone) for item in found),
        metal=machines(site.cluster),
        locks=tuple(lock for lock in held if lock.blocks or lock.alive),
        last=records[-1] if records else None,
        plan=_plan(site),
        prices_date=costs.date(),
        notes=tuple(past.notes),
    )


def _wanted(site: Site, asked: Sequence[str], gone: Sequence[str]) -> list[str]:
    known = [*site.aws.regions, *gone]
    for name in asked:
        if name not in known:
            raise UsageError(
                f"region {name!r} is not in {site.loaded.path.name}",
                where=f"--region {name}",
                fix=f"one of: {', '.join(known)}",
            )
    return [name for name in known if not asked or name in asked]


def _session(site: Site) -> Any:
    """AWS, or None when it is the embedded one and does not run."""
    try:
        return site.session
    except LocalError:
        return None


def _stopped(site: Site, regions: Sequence[str]) -> list[RegionStatus]:
    if site.cluster.state.s3:
        return [RegionStatus(region, lost=STOPPED) for region in regions]
    found = [knowing.read(site, region) for region in regions]
    return [
        RegionStatus(known.region, len(known.things), known.serial, lost=STOPPED if known.things else "")
        for known in found
    ]


def _region(site: Site, region: str, peerings: Sequence[Thing]) -> RegionStatus:
    known = knowing.read(site, region)
    if not known.things:
        return RegionStatus(region, 0, known.serial)
    mine = [thing for thing in peerings if region in sides(thing.address)]
    seen = health.look(site.session, known, [thing.id for thing in mine])
    nothing = not (seen.vpcs or seen.groups or seen.instances or seen.file_systems)
    if site.cluster.local and nothing and restart.lost(site, known):
        return RegionStatus(region, len(known.things), known.serial, lost=RESTARTED)
    cost = costs.of_raw_state(_as_now(known, seen), region).sum
    return RegionStatus(region, len(known.things), known.serial, tuple(reading.parts(known, seen, mine)), cost)


def _as_now(known: Known, seen: health.Seen) -> dict[str, Any]:
    """The state with the machines that the pools have now (a scaler moves their number), and the hosts that run."""
    raw = copy.deepcopy(known.raw)
    for item in raw.get("resources", []):
        for instance in item.get("instances", []):
            values = instance.get("attributes") or {}
            if item.get("type") == "aws_autoscaling_group":
                group = seen.groups.get(str(values.get("name")))
                values["desired_capacity"] = len(group["Instances"]) if group else 0
            elif item.get("type") == "aws_instance" and (there := seen.instances.get(str(values.get("id")))):
                values["instance_state"] = there["State"]["Name"]
    return raw


def _plan(site: Site) -> dict[str, Any] | None:
    """The saved plan in short; ``stale`` when the file says something else by now."""
    try:
        plan = planning.saved(site)
    except NoPlan as error:
        return {"created": "", "who": "", "stale": True, "changes": {}, "problem": str(error)}
    if plan is None or plan.empty:
        return None
    counts = {f"{action} image": sum(step.action == action for step in plan.images) for action in ("bake", "promote")}
    counts |= {action: plan.count(action) for action in ("create", "update", "replace", "delete", "import")}
    return {
        "created": plan.created,
        "who": plan.who,
        "stale": not plan.as_of and plan.spec != site.loaded.digest,
        "changes": {action: count for action, count in counts.items() if count},
        "problem": "",
    }
