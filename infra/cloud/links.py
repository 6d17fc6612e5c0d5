"""The way between the regions, planned and applied after them: VPC peerings and their routes.

The project has a state of its own. What a region is yet to make has a stand-in for its id in the first plan; when the
regions are there, the project is planned once more with the true ids, and must then do just what was shown. A destroy
goes the other way: the links first, then the regions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from infra.cloud import applying, planning
from infra.cloud.mending import known as knowing
from infra.cloud.mending import recovery
from infra.cloud.mending.known import Known
from infra.cloud.mending.rules import Rules
from infra.cloud.planning import RegionSink, Request
from infra.cloud.project import links as project
from infra.cloud.project.links import VPC, Ends
from infra.cloud.site import Site
from infra.errors import Problem, StalePlan
from infra.plan.model import LINKS, Change, RegionPlan

_NEW = ("create", "replace", "import")


def beside(site: Site, request: Request) -> list[str]:
    """``links``, when they can be planned beside the regions: all that is to be joined is there, and most likely stays
    as it is. Else nothing."""
    if not _wanted(site, request):
        return []
    site.ends = ends(site)
    there = {region for region, things in site.ends.items() if VPC in things}
    return [LINKS] if there >= set(project.linked(site.cluster)) else []


def plan(
    site: Site, request: Request, regions: Sequence[RegionPlan], sink: RegionSink | None, guess: RegionPlan | None
) -> RegionPlan | None:
    """What is done between the regions after ``regions`` are applied. None where there is nothing to join, and nothing
    of it is left, and for a plan of some regions or of other parts alone.

    ``guess`` was planned beside them, and is it if none of them moves anything that is joined.
    """
    if not _wanted(site, request):
        return None
    waits = tuple(item.region for item in regions if any(project.end(change.address) for change in _moving(item)))
    if guess is None or waits:
        site.ends = ends(site, regions)
        guess = planning.plan_region(site, LINKS, request, (), sink)
    return replace(guess, ends=_plain(site.ends), waits=waits)


def _wanted(site: Site, request: Request) -> bool:
    if request.destroy or request.regions or (request.only and "network" not in request.only):
        return False
    if project.linked(site.cluster):
        return True
    return knowing.has_links(site) and (LINKS in request.rules or bool(knowing.read(site, LINKS).things))


def parting(site: Site, leaving: Sequence[str], only: Sequence[str], sink: RegionSink | None) -> RegionPlan | None:
    """What goes before ``leaving`` are destroyed: all that joins them with anything. None when there is no such."""
    state = knowing.read(site, LINKS)
    since = recovery.doubtful(site)
    if (only and "network" not in only) or not (state.things or LINKS in since):
        return None
    going, staying = _pairs(state, leaving)
    if state.things and not going:
        return None
    here = ends(site)
    site.ends = {region: here[region] if staying and region not in leaving else {} for region in here}
    rules = {LINKS: Rules(site.cluster.cluster, since[LINKS])} if LINKS in since else {}
    targets = [f"module.{project.call(*pair)}" for pair in sorted(going)] if staying else []
    found = planning.plan_region(site, LINKS, Request(rules=rules), targets, sink)
    return replace(found, ends=_plain(site.ends))


def ends(site: Site, regions: Sequence[RegionPlan] = ()) -> Ends:
    """What is joined: as the states of the regions have it, and as it will be once ``regions`` are applied."""
    plans = {item.region: item for item in regions}
    found: dict[str, Mapping[str, str]] = {
        region: {} for region in sorted(knowing.providers(knowing.read(site, LINKS)))
    }
    for region in project.linked(site.cluster):
        there = {name: thing.id for thing in knowing.read(site, region).things if (name := project.end(thing.address))}
        for change in _moving(plans[region]) if region in plans else ():
            name = project.end(change.address)
            if name and change.action in ("delete", "forget"):
                there.pop(name, None)
            elif name:
                there[name] = project.stand_in(region, name)
        if VPC in there:
            found[region] = there
    return found


def _moving(region: RegionPlan) -> list[Change]:
    """What has another id afterwards, or none."""
    adopted = [change for change in region.changes if any(text.startswith("adopted:") for text in change.reasons)]
    return [change for change in region.changes if change.action in (*_NEW, "delete", "forget") or change in adopted]


def _pairs(state: Known, leaving: Sequence[str]) -> tuple[set[tuple[str, ...]], set[tuple[str, ...]]]:
    pairs = {pair for thing in state.things if (pair := project.sides(thing.address))}
    going = {pair for pair in pairs if set(pair) & set(leaving)}
    return going, pairs - going


def _plain(found: Ends) -> dict[str, dict[str, str]]:
    return {region: dict(things) for region, things in found.items()}


def again(site: Site, item: RegionPlan, sink: RegionSink | None = None) -> RegionPlan:
    """The plan with the true ids of what its regions made meanwhile.

    Raises StalePlan when Terraform would then do anything that was not shown.
    """
    if not item.waits:
        return item
    site.ends = ends(site)
    fresh = planning.plan_region(site, LINKS, Request(), (), sink)
    problems = [
        Problem(f"{LINKS}: {change.title}: {change.action}", why="; ".join(change.reasons), fix=applying.AGAIN)
        for change in unforeseen(item, fresh)
    ]
    if problems:
        head = f"{LINKS}: with the regions there, the plan would do something else"
        raise StalePlan(head, problems=[Problem(head, why="nothing was touched there", fix=applying.AGAIN), *problems])
    return replace(fresh, ends=_plain(site.ends), leftovers=item.leftovers)


def unforeseen(shown: RegionPlan, fresh: RegionPlan) -> list[Change]:
    """What ``fresh`` does and ``shown`` did not say. What was to be replaced and is gone with its table is made anew;
    what was to be deleted may be gone already."""
    before = {change.address: change for change in shown.changes}
    found = []
    for change in fresh.changes:
        was = before.get(change.address)
        address = change.address
        same = was is not None and was.action == change.action and shown.world.get(address) == fresh.world.get(address)
        remade = was is not None and was.action in ("replace", "update") and change.action == "create"
        gone = was is not None and was.action == "delete" == change.action
        if not (same or remade or gone):
            found.append(change)
    return found
