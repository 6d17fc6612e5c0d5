"""After an apply that did not end well: which regions are in doubt, and since when; damaged states are mended.

A region in doubt is looked into by the next plan (see :mod:`infra.cloud.mending.adoption`), until an apply
or a plan finds everything as it should be.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from infra import files
from infra.cloud.journal import records
from infra.cloud.mending import rescue
from infra.cloud.mending.rules import Rules
from infra.cloud.work import now
from infra.errors import FileError, InfraError, Refused, StateLocked
from infra.plan.model import LINKS, RegionPlan

if TYPE_CHECKING:
    from infra.cloud.site import Site

MARKS = "look.json"  # in the work folder: regions to look into though no record of ours says so


def begin(site: Site, regions: Sequence[str], adopt_all: bool = False) -> dict[str, Rules]:
    """Before planning, under the work folder's lock: mend what is damaged, and say by which rules each region is
    looked into; a region of which nothing is doubtful is not in the answer, and costs nothing.

    ``adopt_all`` is the user's ``--adopt``.
    """
    bury(site)
    doubts = doubtful(site)
    for region in doubts:
        wait_for_orphan(site, region)
        rescue.tidy(site.work.region(region))
    cluster = site.cluster.cluster
    rules = {region: Rules(cluster, since) for region, since in doubts.items() if region in regions}
    if site.cluster.state.s3 is None:
        for path in sorted(site.work.folder.glob("*/main.tf.json")):
            region = path.parent.name
            if said := rescue.mend(path.parent, region):
                site.notes.append(said)
                mark(site, region, None)
                rules.setdefault(region, Rules(cluster))
    if adopt_all:
        rules = {region: Rules(cluster, doubts.get(region), trusting=True) for region in regions}
    return rules


def wait_for_orphan(site: Site, region: str) -> None:
    """Raise StateLocked when the Terraform of a killed infra is still at work on a local state.

    It is left alone: it finishes, and records everything itself.
    """
    from infra.cloud import locks

    lock = None if site.cluster.state.s3 else locks.state_lock(site.work.region(region), region)
    if lock is not None and lock.alive:
        raise StateLocked(
            f"{region}: {lock.operation or 'terraform'} is still at work, though the infra that started it was killed",
            where=str(site.work.region(region)),
            why=f"process {lock.pid} of {lock.who} goes on to its end and records what it makes",
            fix=f"wait for it, then run the same command again; to stop it gently: kill -INT {lock.pid}",
        )


def bury(site: Site) -> None:
    """A record that says ``running`` is a dead one's: whoever has the lock is the only one alive here."""
    for record in records.every(site.work):
        if record.status == records.OPEN:
            killed = replace(record, status="killed", ended=now())
            records.write(site.work, killed)


def doubtful(site: Site) -> dict[str, datetime | None]:
    """Regions in which something may exist that no state knows, and since when."""
    found: dict[str, datetime | None] = {}
    for record in records.every(site.work):
        for region, facts in record.regions.items():
            if facts.get("status") == "done" or facts.get("settled"):
                found.pop(region, None)
            elif facts.get("status") != "waiting":
                found.setdefault(region, moment(record.started))
    for region, since in _marks(site).items():
        found.setdefault(region, moment(str(since)))
    return found


def mark(site: Site, region: str, since: str | None) -> None:
    """Have the next plan look into a region: somebody's apply there ended badly, such as one whose lock is released."""
    files.write_json(site.work.folder / MARKS, {**_marks(site), region: since or ""})


def settle(site: Site, looked: Sequence[RegionPlan]) -> None:
    """These regions were looked into. One in which nothing is to be done is no longer in doubt; one with something
    that is kept, because it may hold data, stays so until it is adopted or gone."""
    for plan in looked:
        if plan.kept and plan.region not in _marks(site):
            mark(site, plan.region, None)
    _forget(site, [plan.region for plan in looked if plan.empty and not plan.kept])


def _forget(site: Site, regions: Sequence[str]) -> None:
    for record in records.every(site.work):
        open_ = {name for name in regions if name in record.regions and record.regions[name].get("status") != "done"}
        if open_ and any(not record.regions[name].get("settled") for name in open_):
            facts = {
                name: {**item, **({"settled": now()} if name in open_ else {})} for name, item in record.regions.items()
            }
            records.write(site.work, replace(record, regions=facts))
    marks = _marks(site)
    if left := {region: since for region, since in marks.items() if region not in regions}:
        if left != marks:
            files.write_json(site.work.folder / MARKS, left)
    elif marks:
        (site.work.folder / MARKS).unlink(missing_ok=True)


def _marks(site: Site) -> dict[str, Any]:
    path = site.work.folder / MARKS
    try:
        data = files.read_json(path) if path.is_file() else {}
    except FileError:
        return {}
    return data if isinstance(data, dict) else {}


def guard(site: Site, regions: Sequence[RegionPlan]) -> None:
    """Before the very first apply of a work folder: refuse when a cluster of this name is there already.

    It is somebody else's, or ours with its state lost; a second one beside it would mix with it.
    """
    from infra.cloud.mending import find as aws_find
    from infra.cloud.mending import known
    from infra.cloud.mending.adoption import adopting

    for plan in regions:
        if plan.region == LINKS:  # joins what is ours, or there by our plan
            continue
        if not plan.count("create") or adopting(plan) or known.read(site, plan.region).things:
            continue
        search = aws_find.Search(site.session, plan.region, site.cluster.cluster)
        try:
            there = aws_find.strangers(search)
        except InfraError:
            continue  # it only guards; Terraform will say what is wrong with AWS
        if there:
            raise Refused(
                f"a cluster {site.cluster.cluster!r} is in {plan.region} already, and no state here knows it",
                where=plan.region,
                why=f"{len(there)} things carry its tag, such as {there[0]}; nothing was touched",
                fix="work where its state is, give this one another name, or take it over: infra plan --adopt",
            )


def moment(text: str) -> datetime | None:
    """The time of a record."""
    try:
        return datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return None
