"""Applying a saved plan: exactly it, or a clear refusal that says what moved; and the record of it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from infra import files
from infra.cloud import planning
from infra.cloud.journal import records
from infra.cloud.journal import remote as remote_records
from infra.cloud.journal.records import Record
from infra.cloud.mending import adoption, recovery, rescue, restart
from infra.cloud.planning import PLAN_FILE, RegionSink, Request
from infra.cloud.site import Site
from infra.errors import InfraError, Interrupted, Problem, StalePlan
from infra.plan.model import LINKS, Plan, RegionPlan

CHECK_FILE = "check.tfplan"
AGAIN = "look at the new plan: infra plan"


def refuse_stale(site: Site, plan: Plan, sink: RegionSink | None = None, moved: Sequence[Problem] = ()) -> None:
    """Raise StalePlan, naming everything that moved since the plan was saved: the spec, the modules, the world.

    ``moved`` is what the caller found already.
    """
    site.ends = next((region.ends for region in plan.regions if region.region == LINKS), {})
    problems = [*moved, *(Problem(text, fix=AGAIN) for text in restart.set_aside(site))]
    if plan.spec != site.loaded.digest:
        problems.append(Problem(f"{site.loaded.path.name} changed", where=str(site.loaded.path), fix=AGAIN))
    if plan.engine != site.engine.data():
        problems.append(_engine_moved(plan, site))
    for region in plan.regions:
        problems += _files_moved(site, region)
    if not problems:
        problems = _world_moved(site, plan, sink)
    if problems:
        head = f"the plan saved at {plan.created} by {plan.who} is stale"
        first = Problem(head, where=str(site.work.plan), why="something moved since; nothing was touched", fix=AGAIN)
        raise StalePlan(head, problems=[first, *problems])


def _engine_moved(plan: Plan, site: Site) -> Problem:
    now = site.engine
    was = f"{plan.engine.get('name')} {plan.engine.get('version')} ({plan.engine.get('origin')})"
    return Problem(f"the engine changed: {was} → {now.name} {now.version} ({now.origin})", fix=AGAIN)


def _files_moved(site: Site, region: RegionPlan) -> list[Problem]:
    path = site.work.region(region.region) / PLAN_FILE
    if not path.is_file() or files.digest(path.read_bytes()) != region.file:
        return [Problem(f"{region.region}: the saved Terraform plan is missing or changed", where=str(path), fix=AGAIN)]
    if site.work.prepare(region.region, site.project(region.region), site.line) != region.project:
        return [Problem(f"{region.region}: the Terraform modules changed", where=str(path.parent), fix=AGAIN)]
    return []


def _world_moved(site: Site, plan: Plan, sink: RegionSink | None) -> list[Problem]:
    """Plan once more and compare: equal plans do equal things to equal things."""
    request = Request(only=plan.only, destroy=plan.destroy)

    def again(region: str) -> RegionPlan:
        targets = planning.wanted_targets(site, region, plan.only) or []
        return planning.plan_region(site, region, request, targets, sink, out=CHECK_FILE)

    found = planning.side_by_side([item.region for item in plan.regions], again)
    return differences(plan.regions, found)


def differences(plans: Sequence[RegionPlan], found: Sequence[RegionPlan]) -> list[Problem]:
    """What each region's fresh plan does otherwise than the one that was shown."""
    problems = []
    for was, fresh in zip(plans, found, strict=True):
        for address in sorted({*was.world, *fresh.world}):
            if was.world.get(address) != fresh.world.get(address):
                problems.append(_moved(was, fresh, address))
    return problems


def _moved(was: RegionPlan, fresh: RegionPlan, address: str) -> Problem:
    titles = {change.address: change.title for change in (*was.changes, *fresh.changes)}
    name = f"{was.region}: {titles.get(address, address)}"
    if address not in fresh.world:
        return Problem(f"{name}: is already as wanted", fix=AGAIN)
    change = next((change for change in fresh.changes if change.address == address), None)
    why = "; ".join(change.reasons) if change else ""
    if address not in was.world:
        return Problem(f"{name}: was changed by somebody", why=why, fix=AGAIN)
    return Problem(f"{name}: is no longer what the plan saw", why=why, fix=AGAIN)


class Applying:
    """One apply as it goes on, and its record. The caller holds the work folder's lock.

    The record is written by ``begin`` before anything is touched; the saved plan is used up by the first region or
    machine that is touched, whatever comes of it.
    """

    def __init__(self, site: Site, plan: Plan, sink: RegionSink | None = None, command: str = "apply") -> None:
        self.site, self.plan, self.sink, self.command = site, plan, sink, command
        self._guard = threading.Lock()
        self._store = remote_records.of_site(site)
        self._record: Record | None = None

    @property
    def record(self) -> Record:
        assert self._record is not None, "begin comes first"
        return self._record

    def begin(self) -> None:
        """Raises Refused where a cluster of this name is already, and what keeps the record from being written."""
        recovery.guard(self.site, self.plan.regions)
        self._record = _begin(self.site, self.plan, self.command, self._store)

    def touch(self) -> None:
        """Something is about to be changed: the saved plan is used up from here on, also when we are killed."""
        planning.forget(self.site)

    def region(self, region: RegionPlan) -> None:
        """Apply one region's saved Terraform plan."""
        self.touch()
        _apply_region(self.site, region, self.sink, self.note)

    def note(self, region: str, **facts: Any) -> None:
        """Add to what the record says of a region."""
        with self._guard:
            regions = {**self.record.regions, region: {**self.record.regions.get(region, {}), **facts}}
            self._write(replace(self.record, regions=regions))

    def note_node(self, node: str, **facts: Any) -> None:
        """Add to what the record says of a machine."""
        with self._guard:
            nodes = {**self.record.nodes, node: {**self.record.nodes.get(node, {}), **facts}}
            self._write(replace(self.record, nodes=nodes))

    def _write(self, record: Record) -> None:
        self._record = record
        records.write(self.site.work, record)

    def end(self, errors: Sequence[InfraError]) -> Record:
        """Close the record; raise all problems together when there are any."""
        problems = tuple(problem.data() for error in errors for problem in error.problems)
        stopped = any(isinstance(error, Interrupted) for error in errors)
        status = ("interrupted" if stopped else "failed") if errors else "done"
        self._record = records.end(self.site.work, self.record, status, problems)
        _send(self.site, self.record, self._store)
        planning.raise_all(errors)
        return self.record


def _begin(site: Site, plan: Plan, command: str, store: records.Store | None) -> Record:
    try:
        return records.begin(site.work, plan, site.loaded.text, command, store)
    except InfraError as error:
        first = Problem(
            "nothing was touched: the record of this apply cannot be written",
            where=str(site.work.records),
            why="who applied what would be lost",
            fix=error.problems[0].fix,
        )
        raise type(error)(first.what, problems=[first, *error.problems]) from error


def _send(site: Site, record: Record, store: records.Store | None) -> None:
    """What came of it, for the others. Too late to refuse anything: a failure is said."""
    if store is None:
        return
    try:
        store.put(record.number, record.data())
    except InfraError as error:
        problem = error.problems[0]
        site.notes.append(
            f"warning: what came of this apply could not be written to {problem.where}: {problem.what}; "
            f"others see it as running, {site.work.records / f'{record.number:04}.json'} has it"
        )


def _apply_region(site: Site, region: RegionPlan, sink: RegionSink | None, note: Callable[..., None]) -> None:
    note(region.region, status="running")
    terraform = site.terraform(region.region)
    adopted = adoption.adopting(region)
    emit = None if sink is None else lambda event: sink(region.region, event)
    try:
        rescue.keep(terraform.folder)
        removed = adoption.remove(site, region, emit)
        outcome = terraform.apply(Path(PLAN_FILE), emit)
    except InfraError as error:
        stopped = isinstance(error, Interrupted)
        note(region.region, status="interrupted" if stopped else "failed", problems=[p.data() for p in error.problems])
        raise
    adoption.forget(site, region.region)
    rescue.keep(terraform.folder)
    facts = {"adopted": adopted, "removed": removed}
    note(region.region, status="done", **outcome.summary, **{key: value for key, value in facts.items() if value})
