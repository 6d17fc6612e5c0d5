"""Adopting what an unfinished apply made and nobody recorded; removing what nothing stands for.

What a plan would create and is in AWS already is imported instead: ``adopt.tf.json`` in the region's project, gone
after the next good apply. What no plan knows is a deletion in the plan, done by us just before Terraform's apply.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from infra import files
from infra.cloud.mending import adopt, between, known
from infra.cloud.mending import find as aws_find
from infra.cloud.mending.adopt import Create, Found, Id, Match, Rules
from infra.cloud.mending.find import Inventory, Search
from infra.cloud.mending.kinds import KINDS
from infra.cloud.terraform import EventSink, Outcome
from infra.errors import InfraError, Interrupted
from infra.plan.model import LINKS, Change, Leftover, RegionPlan
from infra.plan.terraform import HOLDS_DATA
from infra.plan.words import title

if TYPE_CHECKING:
    from infra.cloud.site import Site

FILE = "adopt.tf.json"
LOOK_FILE = "adopt.tfplan"
ROUNDS = 4  # a mount target is recognised once its file system and subnet are
WHY = "left over: an unfinished apply made it and no state knows it"


class Run(Protocol):
    """Plans the region's project into a file of its folder."""

    def __call__(self, out: str, destroy: bool, /) -> Outcome: ...


@dataclass(frozen=True, slots=True)
class Looked:
    """The plan after looking, and what it does not know: things to remove, as the plan's changes show them."""

    outcome: Outcome
    leftovers: tuple[Leftover, ...] = ()
    kept: tuple[str, ...] = ()
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
    forget(site, region)
    release(site, region, rules.cluster)
    looking = _Looking(site, region, rules, run)
    if destroy:
        looking.plan(LOOK_FILE)
        match = looking.match()
        rest = adopt.leftovers(looking.inventory.found, looking.taken, rules, everything=True)
        imports = {address: item for address, item in match.imports.items() if not KINDS[item.type].part}
        named = {item.key: f"{title(address)} {item.id}" for address, item in imports.items()}
        remove = adopt.in_order({item.key: item for item in (*rest.remove, *imports.values())}.values())
        looking.say(match, rest.kept)
        return Looked(run(out, True), _leftovers(remove, named))
    if not (whole and looking.plan_by_tags(out)):
        looking.plan(out)
    match = looking.match()
    for _ in range(ROUNDS):
        if not match.imports:
            break
        looking.imports |= match.imports
        looking.plan(out)
        match = looking.match()
    rest = adopt.leftovers(looking.inventory.found, looking.taken, rules)
    looking.say(match, rest.kept)
    kept = tuple(item.title for item in rest.kept)
    return Looked(looking.outcome, _leftovers(rest.remove) if whole else (), kept, looking.shown)


def release(site: Site, region: str, cluster: str) -> None:
    """Take out of the state the route table associations that are gone, as a refresh would.

    A killed destroy leaves them there, and the provider looks for each of them for minutes before it believes it.
    """
    there = known.read(site, region).of("aws_route_table_association")
    if not there:
        return
    with contextlib.suppress(InfraError):  # it only saves time; Terraform says what is wrong with AWS
        tables = Search(site.session, region, cluster).pages("ec2", "describe_route_tables", "RouteTables")
        found = {item["RouteTableAssociationId"] for table in tables for item in table["Associations"]}
        if gone := [thing.address for thing in there if thing.id not in found]:
            site.terraform(region).forget(gone)


def _inventory(site: Site, region: str, names: Mapping[str, Sequence[str]]) -> Inventory:
    if region == LINKS:
        return between.inventory(site.session, _around(site), site.cluster.cluster)
    return aws_find.inventory(Search(site.session, region, site.cluster.cluster, names))


def _around(site: Site) -> list[str]:
    """Where the links may end: what they join now, and every region of the file, should their state be lost."""
    return sorted({*site.ends, *site.aws.regions})


class _Looking:
    """One region's look: the last plan, what is in AWS, and what is imported so far."""

    def __init__(self, site: Site, region: str, rules: Rules, run: Run) -> None:
        self.site, self.region, self.rules, self.run = site, region, rules, run
        self.terraform = site.terraform(region)
        self.inventory = Inventory()
        self.imports: dict[str, Found] = {}
        self.shown: dict[str, Any] = {}
        self.outcome = Outcome(0)

    def plan(self, out: str) -> None:
        """Plan with what is imported so far, and look for what the plan would create under its name."""
        if self.imports:
            files.write_json(self.terraform.folder / FILE, adopt.document(self.imports))
        self.outcome = self.run(out, False)
        self.shown = self.terraform.show(Path(out))
        self.find(_names(adopt.creates(self.shown)))

    def plan_by_tags(self, out: str) -> bool:
        """A plan that imports all that has a tag, without asking first what would be created; False when it cannot
        be made, because something is there that nothing in the file stands for."""
        from infra.cloud.mending import known
        from infra.cloud.project.terms import address_of_tag

        self.find({})
        taken = {(thing.type, thing.id) for thing in known.read(self.site, self.region).things}
        wanted = [
            Create(address_of_tag(item.tags[adopt.ADDRESS]), item.type, {"tags": item.tags})
            for item in self.inventory.found
            if item.tags.get(adopt.ADDRESS) and item.key not in taken
        ]
        unique = list({create.address: create for create in wanted}.values())
        self.imports = dict(adopt.match(unique, self.inventory.found, taken, self.rules, adopt.vpcs_of(taken)).imports)
        try:
            self.plan(out)
        except Interrupted:
            raise
        except InfraError:
            if not self.imports:
                raise
            self.imports = {}
            forget(self.site, self.region)
            return False
        return True

    def find(self, names: Mapping[str, Sequence[str]]) -> None:
        if names or not self.inventory.found:
            self.inventory = _inventory(self.site, self.region, names)

    @property
    def taken(self) -> set[Id]:
        return adopt.known(self.shown) | {item.key for item in self.imports.values()}

    def match(self) -> Match:
        """What else the last plan would create and is there."""
        wanted, taken = adopt.creates(self.shown), self.taken
        return adopt.match(wanted, self.inventory.found, taken, self.rules, adopt.vpcs_of(taken))

    def say(self, match: Match, kept: Sequence[Found]) -> None:
        texts = (*match.doubts, *self.inventory.gaps, *map(_kept, kept))
        self.site.notes += [f"{self.region}: {text}" for text in texts]


def _leftovers(items: Sequence[Found], named: Mapping[Id, str] | None = None) -> tuple[Leftover, ...]:
    return tuple(Leftover(item.type, item.id, (named or {}).get(item.key, item.title)) for item in items)


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
        address=_address(item),
        type=item.type,
        action="delete",
        title=item.title,
        reasons=(WHY,),
        irreversible=HOLDS_DATA.get(item.type, ""),
    )


def _address(item: Leftover) -> str:
    """It has none in Terraform; this one cannot be mistaken for one that has."""
    return f"{item.type}.{item.id}"


def _kept(item: Found) -> str:
    return (
        f"{item.title} is left over from an unfinished apply and is kept, because it holds or may hold data; put what "
        "it was for back into cluster.yaml to adopt it, or remove it by hand"
    )


def remove(site: Site, plan: RegionPlan, on_event: EventSink | None = None) -> list[str]:
    """Remove what the plan says is left over; what was removed, in words.

    Each is looked at once more: it must still be there, be the cluster's, and unknown to the state. ``on_event`` gets
    events as Terraform's.
    """
    from infra.cloud.mending import known
    from infra.cloud.mending.remove import Remover

    if not plan.leftovers:
        return []
    names: dict[str, list[str]] = {}
    for item in plan.leftovers:
        names.setdefault(item.type, []).append(item.id)
    there = {item.key for item in _inventory(site, plan.region, names).found}
    ours = {(thing.type, thing.id) for thing in known.read(site, plan.region).things}
    pause = 0.2 if site.cluster.local else 5.0
    regions = _around(site) if plan.region == LINKS else [plan.region]
    gone = []
    for item in plan.leftovers:
        if item.key in there and item.key not in ours:
            if site.cancel.asked:
                raise Interrupted(
                    f"stopped before {item.title} was removed", where=plan.region, fix="run the same command again"
                )
            with _told(item, on_event or (lambda event: None)):
                for region in regions:
                    Remover(site.session, region, pause=pause).remove(item.type, item.id)
            gone.append(item.title)
    return gone


@contextlib.contextmanager
def _told(item: Leftover, sink: EventSink) -> Iterator[None]:
    began = time.monotonic()
    hook = {"resource": {"addr": _address(item)}, "action": "delete"}
    sink({"type": "apply_start", "hook": hook})
    try:
        yield
    except InfraError:
        sink({"type": "apply_errored", "hook": {**hook, "elapsed_seconds": int(time.monotonic() - began)}})
        raise
    sink({"type": "apply_complete", "hook": {**hook, "elapsed_seconds": int(time.monotonic() - began)}})


def adopting(plan: RegionPlan) -> list[str]:
    """Addresses of what the plan adopts."""
    return [change.address for change in plan.changes if any(text.startswith("adopted:") for text in change.reasons)]


def forget(site: Site, region: str) -> None:
    """The imports are done, or no longer wanted."""
    (site.work.region(region) / FILE).unlink(missing_ok=True)
