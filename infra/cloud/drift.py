"""What was changed outside of infra: Terraform's refresh against the state, and what no state knows. Writes nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from infra.cloud import links, planning
from infra.cloud.mending import known as knowing
from infra.cloud.mending import restart, strays
from infra.cloud.mending.known import Known
from infra.cloud.mending.strays import Stray
from infra.cloud.planning import RegionSink
from infra.cloud.site import Site
from infra.cloud.work import now
from infra.errors import InfraError
from infra.plan.drift import drift, lasting, resources
from infra.plan.model import LINKS, Change
from infra.plan.words import title

DRIFT_FILE = "drift.tfplan"
LOST = "is gone: the embedded AWS was started anew, and keeps nothing"
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RegionDrift:
    """One region. ``changed`` has action update or delete, and in ``reasons`` every value that moved.

    ``resources`` counts what the state knows; 0 means that nothing was applied here.
    """

    region: str
    resources: int = 0
    changed: tuple[Change, ...] = ()
    unknown: tuple[Stray, ...] = ()
    seconds: float = 0.0

    @property
    def empty(self) -> bool:
        return not self.changed and not self.unknown


@dataclass(frozen=True, slots=True)
class Drift:
    """All regions that were looked at. ``left`` are regions with a state that the file no longer names."""

    cluster: str
    checked: str
    regions: tuple[RegionDrift, ...]
    left: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        return all(region.empty for region in self.regions)

    def data(self) -> dict[str, Any]:
        return {
            "format": 1,
            "cluster": self.cluster,
            "checked": self.checked,
            "drift": not self.empty,
            "left": list(self.left),
            "notes": list(self.notes),
            "regions": [_data(region) for region in self.regions],
        }


def _data(region: RegionDrift) -> dict[str, Any]:
    plain = asdict(region)
    changed = ("address", "type", "title", "action")
    plain["changed"] = [
        {**{key: item[key] for key in changed}, "moved": list(item["reasons"])} for item in plain["changed"]
    ]
    return {**plain, "unknown": [stray.data() for stray in region.unknown]}


def look(site: Site, regions: Sequence[str] = (), sink: RegionSink | None = None) -> Drift:
    """Look at every wanted region side by side. The caller holds the work folder's lock."""
    wanted = planning.wanted_regions(site, regions)
    if not regions and knowing.between(site).things:
        site.ends = links.ends(site)
        wanted.append(LINKS)
    found = each(wanted, lambda region: _region(site, region, sink))
    left = () if regions else tuple(knowing.leftover_regions(site))
    return Drift(site.cluster.cluster, now(), tuple(found), left, tuple(site.notes))


def each(regions: Sequence[str], work: Callable[[str], T]) -> list[T]:
    """``work`` for every region at once; one error that carries every region's problems."""
    with ThreadPoolExecutor(max(len(regions), 1), thread_name_prefix="region") as pool:
        futures = [pool.submit(work, region) for region in regions]
    errors = [error for future in futures if (error := future.exception()) is not None]
    for error in errors:
        if not isinstance(error, InfraError):
            raise error
    planning.raise_all([error for error in errors if isinstance(error, InfraError)])
    return [future.result() for future in futures]


def _region(site: Site, region: str, sink: RegionSink | None) -> RegionDrift:
    started = time.monotonic()
    known = knowing.read(site, region)
    if not known.things:
        changed: tuple[Change, ...] = ()
    elif site.cluster.local and restart.lost(site, known):
        changed = tuple(_lost(thing.address, thing.type) for thing in known.things)
    else:
        changed = _refreshed(site, known, sink)
    unknown, gaps = strays.find(site.session, region, site.cluster.cluster, known, sorted(site.ends))
    site.notes += gaps
    seconds = round(time.monotonic() - started, 3)
    return RegionDrift(region, len(known.things), changed, tuple(unknown), seconds)


def _refreshed(site: Site, known: Known, sink: RegionSink | None) -> tuple[Change, ...]:
    region = known.region
    planning.prepare(site, region)
    terraform, others = site.terraform(region), knowing.neighbours(site, region)
    emit = None if sink is None else lambda event: sink(region, event)
    path = terraform.folder / DRIFT_FILE
    try:
        targets = _made(site, known)
        outcome = terraform.plan(Path(DRIFT_FILE), emit, targets=targets, refresh_only=True, lock=False)
        if not outcome.drift:
            return tuple(lasting(((thing.address, thing.type, thing.values) for thing in known.things), others))
        shown = terraform.show(Path(DRIFT_FILE))
        changed = drift(shown, others)
        seen = {change.address for change in changed}
        return (*changed, *(change for change in lasting(resources(shown), others) if change.address not in seen))
    finally:
        path.unlink(missing_ok=True)


def _made(site: Site, known: Known) -> list[str]:
    """The modules to look at; [] for all, where each has made something. One that has not yet has no outputs, by which
    Terraform would work out the others' values."""
    made = {".".join(thing.address.split(".")[:2]) for thing in known.things if thing.address.startswith("module.")}
    return sorted(made) if planning.calls(site, known.region) - made else []


def _lost(address: str, kind: str) -> Change:
    return Change(address, kind, "delete", title(address), (LOST,))
