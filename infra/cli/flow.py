"""What ``plan``, ``apply`` and ``destroy`` have in common: read the file, open the site, plan with progress, save."""

from __future__ import annotations

import contextlib
import importlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from infra.cli.flow_nodes import Handling
    from infra.cloud.planning import RegionSink
    from infra.cloud.site import Site
    from infra.errors import Problem
    from infra.image.staged_apply import Bake
    from infra.plan.model import ImageStep, Plan
    from infra.spec.load import Loaded


AFTER_START = 0.25  # seconds until Terraform surely runs


@dataclass(frozen=True, slots=True)
class Options:
    regions: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    destroy: bool = False
    as_of: str = ""
    refresh_prices: bool = False
    adopt: bool = False
    nodes: bool = True
    ask_sudo: bool = False


def make_plan(file: Path, endpoint: str | None, options: Options, quiet: bool) -> Plan:
    """Read, check, plan and save."""
    from infra.spec.load import read

    loaded, warnings = read(file, endpoint)
    site = open_any(loaded)
    with site.work.lock("infra plan"):
        if options.as_of:
            from infra.cloud.journal import asof

            warnings = asof.go_back(site, options.as_of)
        return plan_site(site, options, warnings, quiet)


def open_any(loaded: Loaded) -> Site:
    """The site of a cluster, whether it has a cloud or not."""
    if loaded.cluster.aws is None:
        from infra.cloud.metal import metal_site

        return metal_site(loaded)
    from infra.cloud.site import open_site

    return open_site(loaded)


def plan_site(site: Site, options: Options, warnings: list[Problem], quiet: bool) -> Plan:
    """Plan with progress and save; the lock is the caller's."""
    from infra.cli import flow_nodes
    from infra.cloud import planning
    from infra.ui.progress import reporter

    planning.forget(site)
    with _readers(quiet), reporter("plan", quiet) as sink, _stoppable(site):
        looked = flow_nodes.begin(site.loaded, options, flow_nodes.reach(options.ask_sudo, quiet), site.cancel)
        try:
            plan = _cloud_plan(site, options, warnings, sink)
        except BaseException:
            site.cancel()  # nobody waits for the machines' answers any more
            raise
        plan = flow_nodes.into(plan, looked())
    if not plan.empty:  # nothing to do is no plan that a later apply could find stale
        planning.save(site, plan)
    return plan


def _cloud_plan(site: Site, options: Options, warnings: list[Problem], sink: RegionSink | None) -> Plan:
    from infra.cloud import planning

    if site.cluster.aws is None:
        from infra.cloud.metal import plan_of_metal

        return plan_of_metal(site, warnings, options.regions, options.only)
    _prices(site, options.refresh_prices)
    steps = () if options.destroy else _stage(site, options)
    request = planning.Request(
        options.regions, options.only, options.destroy, options.as_of, options.adopt, images=steps
    )
    return planning.make(site, request, warnings, sink)


def _stoppable(site: Site) -> contextlib.AbstractContextManager[None]:
    from infra import proc

    return proc.on_ctrl_c(site.cancel, lambda text: click.echo(text, err=True))


@contextlib.contextmanager
def _readers(quiet: bool) -> Iterator[None]:
    """Import what reads and shows a plan while Terraform makes it: a fifth of a second that nobody waits for."""

    def fetch() -> None:
        names = ["infra.cloud.mending.adoption", "infra.cloud.pricing.costs", "infra.plan.terraform"]
        for name in [*names, *([] if quiet else ["infra.ui.plan_view", "rich.table"])]:
            importlib.import_module(name)

    later = threading.Timer(AFTER_START, fetch)
    later.daemon = True
    later.start()
    try:
        yield
    finally:
        later.cancel()
        later.join()  # an import that is cut off by the interpreter's end can crash it


def _stage(site: Site, options: Options) -> tuple[ImageStep, ...]:
    """Choose the images that machines start from; what must be done to images first."""
    from infra.cloud import planning

    regions = planning.wanted_regions(site, options.regions)
    planning.check_parts(site, options.only)
    if not any(profile.run_list and not profile.image for profile in site.cluster.profiles.values()):
        return ()
    from infra.image import staging

    staged = staging.look(site, regions, options.only)
    site.images, site.awaited = staged.images, staged.pending
    site.notes += staged.notes
    return staged.steps


def _prices(site: Site, refresh: bool) -> None:
    """Use the prices that were fetched before, or fetch them now."""
    from infra.local import places

    if not refresh and not places.prices().is_file():
        return
    from infra.cloud.pricing import fresh

    if refresh:
        fresh.refresh(site)
    fresh.use_kept()


def apply_site(site: Site, plan: Plan, quiet: bool, check: bool, handling: Handling | None = None) -> None:
    """Apply with progress; ``check`` refuses a stale plan first. The lock is the caller's."""
    from infra.cli import flow_nodes
    from infra.cloud import applying
    from infra.orchestration import carrying
    from infra.ui.progress import reporter

    handling = handling or flow_nodes.Handling()
    how = flow_nodes.reach(handling.ask_sudo, quiet)
    there = flow_nodes.machines_of(site, plan, how) if plan.nodes else None
    with reporter("apply", quiet) as sink, _stoppable(site):
        if check:
            found = [*_images_moved(site, plan), *(flow_nodes.moved(site, plan, there) if there else [])]
            applying.refuse_stale(site, plan, moved=found)
        said = len(site.notes)
        try:
            carrying.carry_out(
                site,
                plan,
                sink,
                "destroy" if plan.destroy else "apply",
                bake=_bake(site, plan, quiet, sink),
                bring=flow_nodes.bringer(site, plan, there, sink, handling) if there else None,
            )
        finally:
            for note in site.notes[said:]:
                click.echo(note, err=True)


def _images_moved(site: Site, plan: Plan) -> list[Problem]:
    """Have the site start its machines from what the plan says; whether that is still what would be chosen."""
    if plan.destroy or not (plan.images or any(region.images for region in plan.regions)):
        return []
    from infra.image import staged_apply, staging

    staged_apply.restore(site, plan)
    return staged_apply.moved(plan, staging.look(site, plan.names, plan.only))


def _bake(site: Site, plan: Plan, quiet: bool, sink: RegionSink | None) -> Bake | None:
    """What bakes the images of the plan, if there are any."""
    if not plan.images and not any(region.awaits for region in plan.regions):
        return None
    from infra.image.bake import for_plan

    return for_plan(site, quiet, sink)
