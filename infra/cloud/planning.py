"""Making a plan: every region's Terraform project is written, planned and read, in parallel, and the whole is saved."""

from __future__ import annotations

import difflib
import re
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from infra import files
from infra.cloud import remote_state
from infra.cloud.mending import known, recovery, rescue, restart
from infra.cloud.mending.rules import Rules
from infra.cloud.project import joining, modules, root
from infra.cloud.project.links import names
from infra.cloud.site import Site
from infra.cloud.terraform import Event, Outcome
from infra.cloud.work import now, who
from infra.errors import InfraError, NoPlan, Problem, UsageError
from infra.plan import words
from infra.plan.machines import machines
from infra.plan.model import LINKS, ImageStep, Plan, RegionPlan, from_data

PLAN_FILE = "plan.tfplan"
_CALL = re.compile(r'(?m)^module "([^"]+)" \{\s+source\s*=\s*"([^"]+)"')  # one module calling another
LEFT = "{region} is not in the file any more and still has resources: infra destroy --region {region} removes them"
RegionSink = Callable[[str, Event], None]


@dataclass(frozen=True, slots=True)
class Request:
    """What to plan: all regions or some, the whole or ``only`` parts such as ``pools.gpu``; or the way to nothing."""

    regions: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    destroy: bool = False
    as_of: str = ""
    adopt: bool = False
    rules: Mapping[str, Rules] = field(default_factory=dict)
    """By region: how to look for what an unfinished apply left. Made by ``make``."""
    images: tuple[ImageStep, ...] = ()
    """What must be done to images first."""


def make(site: Site, request: Request, warnings: Sequence[Problem] = (), sink: RegionSink | None = None) -> Plan:
    """Plan every wanted region side by side. Nothing is saved but the regions' ``plan.tfplan``.

    One failed region does not hide another's failure: all are waited for and all problems are raised together.
    """
    regions = wanted_regions(site, request.regions)
    check_parts(site, request.only)
    targets = {region: wanted_targets(site, region, request.only) for region in regions}
    request = replace(request, rules=recovery.begin(site, [*regions, LINKS], request.adopt))
    prepare_state(site, regions)
    site.notes += restart.set_aside(site)
    if not request.regions:
        site.notes += [LEFT.format(region=region) for region in known.leftover_regions(site)]
    busy = [region for region in regions if targets[region] is not None]
    from infra.cloud import links  # which plans by what is here

    found = side_by_side(
        [*busy, *links.beside(site, request)],
        lambda region: plan_region(site, region, request, targets.get(region) or [], sink),
    )
    guess = found.pop() if found and found[-1].region == LINKS else None
    created = [change.address for item in found for change in item.changes if change.action == "create"]
    site.notes += joining.sentences(site.cluster, created)
    if (between := links.plan(site, request, found, sink, guess)) is not None:
        found.append(between)
    if not request.only:
        recovery.settle(site, [item for item in found if item.region in request.rules])
    return blank(site, request, warnings, found)


def blank(site: Site, request: Request, warnings: Sequence[Problem] = (), regions: Sequence[RegionPlan] = ()) -> Plan:
    """The plan around what was found in the regions."""
    return Plan(
        cluster=site.cluster.cluster,
        created=now(),
        who=who(),
        spec=site.loaded.digest,
        spec_file=str(site.loaded.path),
        engine=site.engine.data(),
        regions=tuple(regions),
        machines=machines(site.cluster) if not request.destroy else (),
        notes=tuple(site.notes),
        images=request.images,
        only=request.only,
        destroy=request.destroy,
        as_of=request.as_of,
        endpoint=site.aws.endpoint or "",
        warnings=tuple(problem.data() for problem in warnings),
        prices_date=prices_date(),
    )


def prices_date() -> str:
    """The days of the list prices in use."""
    from infra.cloud.pricing import costs

    return costs.date()


def prepare_state(site: Site, regions: Sequence[str]) -> None:
    """Make the state's bucket if it is not there. Asked only before a first init: later, Terraform would say so."""
    if site.cluster.state.s3 and any(site.work.needs_init(region, mark(site, region)) for region in regions):
        remote_state.ensure_bucket(site.session, site.cluster, site.notes.append)


def plan_region(
    site: Site,
    region: str,
    request: Request,
    targets: Sequence[str] = (),
    sink: RegionSink | None = None,
    out: str = PLAN_FILE,
) -> RegionPlan:
    """Write one region's project, plan it into ``out`` and read the result."""
    started = time.monotonic()
    project = prepare(site, region)
    found = plan_project(site, region, request, targets, sink, out)
    chosen = site.images.get(region, {})
    return replace(
        found,
        images=dict(chosen),
        awaits={ami: name for ami, name in site.awaited.items() if ami in chosen.values()},
        limits=tuple(root.limits(site.cluster, region, site.line)),
        project=project,
        seconds=round(time.monotonic() - started, 3),
    )


def prepare(site: Site, region: str) -> str:
    """Write one region's project and initialise it when that is due; the project's digest."""
    project = site.work.prepare(region, site.project(region), site.line)
    ready = mark(site, region)
    if site.work.needs_init(region, ready):
        rescue.before_init(site.work.region(region))
        site.terraform(region).init()
        site.work.set_ready(region, ready)
    if said := rescue.push_errored(site.terraform(region)):
        site.notes.append(said)
    return project


def plan_project(
    site: Site, region: str, request: Request, targets: Sequence[str], sink: RegionSink | None, out: str = PLAN_FILE
) -> RegionPlan:
    """Plan the project that is in the region's folder, whatever wrote it."""
    terraform = site.terraform(region)
    path = terraform.folder / out
    emit = None if sink is None else lambda event: sink(region, event)

    def run(file: str, destroy: bool) -> Outcome:
        return terraform.plan(Path(file), emit, targets=targets, destroy=destroy)

    rules = request.rules.get(region)
    if rules is None:
        outcome = run(out, request.destroy)
        # What reads a plan is imported after Terraform was started: a plan's start is on everybody's path.
        from infra.cloud.mending import adoption

        looked = adoption.Looked(outcome)
    else:
        from infra.cloud.mending import adoption

        looked = adoption.look(site, region, rules, run, out, destroy=request.destroy, whole=not targets)
    from infra.cloud.pricing import costs
    from infra.plan import terraform as reading

    outcome = looked.outcome
    base = RegionPlan(region, file=files.digest(path.read_bytes()), leftovers=looked.leftovers, kept=looked.kept)
    if not outcome.changes and not looked.leftovers:
        # Reading a plan back costs a start of the provider: with nothing in it there is nothing to read. What drifted
        # and calls for no change is for `infra drift`.
        same = costs.of_raw_state(known.read(site, region).raw, region)
        return replace(base, before=same.sum, after=same.sum, full=same.full)
    shown = looked.shown or terraform.show(Path(out))
    if named := _names(site, region):
        shown = reading.renamed(shown, named)
    before, after = costs.of_plan(shown, region)
    return replace(
        base,
        changes=(*looked.changes, *costs.priced(reading.changes(shown), before, after)),
        drift=tuple(reading.drift(shown, known.neighbours(site, region))),
        before=before.sum,
        after=after.sum,
        full=after.full,
        world=reading.world(shown),
    )


def _names(site: Site, region: str) -> dict[str, str]:
    """Ids that are shown in words: of images that are baked first, of what the links join."""
    if region == LINKS:
        return names(site.ends)
    return {ami: f"the image of {name}" for ami, name in site.awaited.items()}


def mark(site: Site, region: str) -> str:
    """What a ``terraform init`` depends on: engine, provider, backend and the set of module calls."""
    content = site.project(region)
    sources = {name: call.get("source") for name, call in content.get("module", {}).items()}
    cli = site.env.get("TF_CLI_CONFIG_FILE", "")
    nested = {path: _CALL.findall(text) for path, text in modules.sources().items()}
    return files.digest([site.engine.data(), content.get("terraform"), sources, nested, site.line.major, cli])


def wanted_regions(site: Site, asked: Sequence[str]) -> list[str]:
    """The regions to work on, in the file's order. Raises UsageError for one that the file does not name."""
    known = site.aws.regions
    for name in asked:
        if name not in known:
            raise UsageError(
                f"region {name!r} is not in {site.loaded.path.name}",
                where=f"--region {name}",
                fix=f"one of: {', '.join(known)}",
            )
    return [name for name in known if not asked or name in asked]


def wanted_targets(site: Site, region: str, only: Sequence[str]) -> list[str] | None:
    """Terraform targets for ``--only``; [] for everything, None when the region has none of it."""
    if not only or region == LINKS:
        return []
    there = calls(site, region)
    return [name for name in (f"module.{words.module(part)}" for part in only) if name in there] or None


def calls(site: Site, region: str) -> set[str]:
    """The addresses of the modules that the region's project calls."""
    return {f"module.{name}" for name in site.project(region).get("module", {})}


def check_parts(site: Site, only: Sequence[str]) -> None:
    """Raise UsageError for a part that the file does not have."""
    cluster = site.cluster
    known = [f"pools.{name}" for name in cluster.pools] + [f"hosts.{name}" for name in cluster.hosts]
    known += [f"metal.{name}" for name in cluster.metal]
    known += [f"storage.{name}" for name in cluster.storage] + ["network", "identity", "control-plane"]
    for item in only:
        if item not in known:
            close = difflib.get_close_matches(item, known, n=1)
            raise UsageError(
                f"{site.loaded.path.name} has no part {item!r}",
                where=f"--only {item}",
                fix=f"did you mean {close[0]}?" if close else f"one of: {', '.join(known)}",
            )


def side_by_side(regions: Sequence[str], work: Callable[[str], RegionPlan]) -> list[RegionPlan]:
    """Run ``work`` for every region at once; raise one error that carries every region's problems."""
    if len(regions) == 1:
        return [work(regions[0])]
    with ThreadPoolExecutor(max(len(regions), 1), thread_name_prefix="region") as pool:
        futures = [pool.submit(work, region) for region in regions]
    errors = [error for future in futures if isinstance(error := future.exception(), BaseException)]
    for error in errors:
        if not isinstance(error, InfraError):
            raise error
    raise_all([error for error in errors if isinstance(error, InfraError)])
    return [future.result() for future in futures]


def raise_all(errors: Sequence[InfraError]) -> None:
    """Raise nothing, the one error, or one of the first's kind with everybody's problems."""
    if not errors:
        return
    problems = list(dict.fromkeys(problem for error in errors for problem in error.problems))
    raise type(errors[0])(str(errors[0]), problems=problems) from errors[0]


def save(site: Site, plan: Plan) -> None:
    files.write_json(site.work.plan, plan.data(), mode=0o600)


def forget(site: Site) -> None:
    """The saved plan is used up, or no longer true."""
    site.work.plan.unlink(missing_ok=True)


def saved(site: Site) -> Plan | None:
    """The saved plan, or None. Raises NoPlan when the file is damaged."""
    if not site.work.plan.is_file():
        return None
    try:
        return from_data(files.read_json(site.work.plan))
    except ValueError as error:
        raise NoPlan(
            "the saved plan cannot be read", where=str(site.work.plan), why=str(error), fix="make a new one: infra plan"
        ) from error
