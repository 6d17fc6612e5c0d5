"""After an apply that did not end well: what it made and nobody recorded is found, adopted or removed, and said.

The first plan after such an apply (or one with ``--adopt``) looks into AWS. What the plan would create and is there is
imported instead: ``adopt.tf.json`` in the region's project, gone after the next good apply. What nothing stands for is
a deletion in the plan, done by us just before Terraform's apply.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from infra import files
from infra.cloud import adopt, aws_find, records, rescue
from infra.cloud.adopt import Create, Found, Match, Rules
from infra.cloud.terraform import Outcome
from infra.cloud.work import now
from infra.errors import FileError, InfraError, Refused
from infra.plan.model import Change, Leftover, RegionPlan
from infra.plan.terraform import HOLDS_DATA

if TYPE_CHECKING:
    from infra.cloud.site import Site

FILE = "adopt.tf.json"
MARKS = "look.json"  # in the work folder: regions to look into though no record of ours says so
LOOK_FILE = "adopt.tfplan"
ROUNDS = 4  # a mount target is recognised once its file system and subnet are
WHY = "left over: an unfinished apply made it and nothing in cluster.yaml stands for it"


def begin(site: Site, regions: Sequence[str], adopt_all: bool = False) -> dict[str, Rules]:
    """Before planning, under the work folder's lock: mend what is damaged, and say by which rules each region is
    looked into; a region of which nothing is doubtful is not in the answer, and costs nothing.

    ``adopt_all`` is the user's ``--adopt``.
    """
    bury(site)
    doubts = doubtful(site)
    cluster = site.cluster.cluster
    rules = {region: Rules(cluster, since) for region, since in doubts.items() if region in regions}
    if site.cluster.state.s3 is None:
        for path in sorted(site.work.folder.glob("*/main.tf.json")):
            region = path.parent.name
            if said := rescue.mend(path.parent, region, thorough=region in doubts):
                site.notes.append(said)
                mark(site, region, None)
                rules.setdefault(region, Rules(cluster))
    if adopt_all:
        rules = {region: Rules(cluster, doubts.get(region), trusting=True) for region in regions}
    return rules


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


def settle(site: Site, regions: Sequence[str]) -> None:
    """These regions were looked into and everything is as it should be."""
    for record in records.every(site.work):
        open_ = {name for name in regions if name in record.regions and record.regions[name].get("status") != "done"}
        if open_ and any(not record.regions[name].get("settled") for name in open_):
            facts = {
                name: {**item, **({"settled": now()} if name in open_ else {})} for name, item in record.regions.items()
            }
            records.write(site.work, replace(record, regions=facts))
    marks = _marks(site)
    if left := {region: since for region, since in marks.items() if region not in regions}:
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


class Run(Protocol):
    """Plans the region's project into a file of its folder."""

    def __call__(self, out: str, destroy: bool, /) -> Outcome: ...


@dataclass(frozen=True, slots=True)
class Looked:
    """The plan after looking, and what it does not know: things to remove, as the plan's changes show them."""

    outcome: Outcome
    leftovers: tuple[Leftover, ...] = ()
    shown: dict[str, Any] | None = None
    """The plan as Terraform shows it, if it was read."""

    @property
    def changes(self) -> tuple[Change, ...]:
        return tuple(_change(item) for item in self.leftovers)


def look(site: Site, region: str, rules: Rules, run: Run, out: str, *, destroy: bool, whole: bool) -> Looked:
    """Plan, adopt what is there, and plan again until nothing more is recognised.

    ``whole`` is False when only parts are planned: then nothing counts as left over. With ``destroy`` nothing is
    adopted: what a plan would recognise is removed like everything else.
    """
    terraform = site.terraform(region)
    path = terraform.folder / FILE
    path.unlink(missing_ok=True)
    file = LOOK_FILE if destroy else out
    outcome = run(file, False)
    shown = terraform.show(Path(file))
    wanted = adopt.creates(shown)
    inventory = aws_find.inventory(
        aws_find.Search(site.session, region, site.cluster.cluster, _names(wanted)),
    )
    taken = adopt.known(shown)
    imports: dict[str, Found] = {}
    doubts: tuple[str, ...] = ()
    for _ in range(ROUNDS):
        match = _match(shown, inventory.found, imports, rules)
        doubts = match.doubts
        if not match.imports:
            break
        imports |= match.imports
        if destroy:
            break
        files.write_json(path, adopt.document(imports))
        outcome = run(file, False)
        shown = terraform.show(Path(file))
    if not destroy:
        taken |= {item.key for item in imports.values()}
    rest = adopt.leftovers(inventory.found, taken, rules, everything=destroy)
    remove = list(rest.remove)
    if destroy:
        remove = adopt.in_order([*remove, *(item for item in imports.values() if item not in remove)])
        outcome = run(out, True)
    site.notes += [f"{region}: {text}" for text in (*doubts, *inventory.gaps, *map(_kept, rest.kept))]
    leftovers = tuple(Leftover(item.type, item.id, item.title) for item in remove) if whole else ()
    return Looked(outcome, leftovers, None if destroy else shown)


def _match(shown: Mapping[str, Any], found: Sequence[Found], imports: Mapping[str, Found], rules: Rules) -> Match:
    taken = adopt.known(shown) | {item.key for item in imports.values()}
    return adopt.match(adopt.creates(shown), found, taken, rules, adopt.vpcs_of(taken))


def _names(wanted: Sequence[Create]) -> dict[str, list[str]]:
    """What the plan's creations will be called, by type: things of these names are looked up even without a tag."""
    found: dict[str, list[str]] = {}
    for item in wanted:
        for argument in ("name", "bucket", "key_name", "creation_token"):
            if isinstance(name := item.values.get(argument), str) and name:
                found.setdefault(item.type, []).append(name)
    return found


def _change(item: Leftover) -> Change:
    return Change(
        address=f"{item.type}.{item.id}",
        type=item.type,
        action="delete",
        title=item.title,
        reasons=(WHY,),
        irreversible=HOLDS_DATA.get(item.type, ""),
    )


def _kept(item: Found) -> str:
    return (
        f"{item.title} is left over from an unfinished apply and is kept, because it holds or may hold data; put what "
        "it was for back into cluster.yaml to adopt it, or remove it by hand"
    )


def remove(site: Site, plan: RegionPlan) -> list[str]:
    """Remove what the plan says is left over; what was removed. Each is looked at once more: it must still be there,
    be the cluster's, and unknown to the state."""
    from infra.cloud import known
    from infra.cloud.aws_remove import Remover

    if not plan.leftovers:
        return []
    names: dict[str, list[str]] = {}
    for item in plan.leftovers:
        names.setdefault(item.type, []).append(item.id)
    search = aws_find.Search(site.session, plan.region, site.cluster.cluster, names)
    there = {item.key for item in aws_find.inventory(search).found}
    ours = {(thing.type, thing.id) for thing in known.read(site, plan.region).things}
    pause = 0.2 if site.cluster.local else 5.0
    remover = Remover(site.session, plan.region, pause=pause)
    gone = []
    for item in plan.leftovers:
        if item.key in there and item.key not in ours:
            remover.remove(item.type, item.id)
            gone.append(item.title)
    return gone


def adopted(plan: RegionPlan) -> list[str]:
    """Addresses of what the plan adopts."""
    return [change.address for change in plan.changes if any(text.startswith("adopted:") for text in change.reasons)]


def forget(site: Site, region: str) -> None:
    """The imports are done, or no longer wanted."""
    (site.work.region(region) / FILE).unlink(missing_ok=True)


def guard(site: Site, regions: Sequence[RegionPlan]) -> None:
    """Before the very first apply of a work folder: refuse when a cluster of this name is there already.

    It is somebody else's, or ours with its state lost; a second one beside it would mix with it.
    """
    from infra.cloud import known

    for plan in regions:
        if not plan.count("create") or adopted(plan) or known.read(site, plan.region).things:
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
