"""What ``plan``, ``apply`` and ``destroy`` have in common: read the file, open the site, plan with progress, save."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from infra.cloud.site import Site
    from infra.errors import Problem
    from infra.plan.model import Plan


@dataclass(frozen=True, slots=True)
class Options:
    regions: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    destroy: bool = False
    as_of: str = ""
    refresh_prices: bool = False
    adopt: bool = False


def make_plan(file: Path, endpoint: str | None, options: Options, quiet: bool) -> Plan:
    """Read, check, plan and save. A cluster without a cloud gets its plan of machines alone."""
    from infra.spec.load import read

    loaded, warnings = read(file, endpoint)
    if loaded.cluster.aws is None:
        from infra.cloud.metal import plan_of_metal

        return plan_of_metal(loaded, warnings)
    from infra.cloud.site import open_site

    site = open_site(loaded)
    with site.work.lock("infra plan"):
        if options.as_of:
            from infra.cloud.journal import asof

            warnings = asof.go_back(site, options.as_of)
        return plan_site(site, options, warnings, quiet)


def plan_site(site: Site, options: Options, warnings: list[Problem], quiet: bool) -> Plan:
    """Plan with progress and save; the lock is the caller's."""
    from infra import proc
    from infra.cloud import planning
    from infra.ui.progress import reporter

    _prices(site, options.refresh_prices)
    request = planning.Request(options.regions, options.only, options.destroy, options.as_of, options.adopt)
    planning.forget(site)
    with reporter("plan", quiet) as sink, proc.on_ctrl_c(site.cancel, lambda text: click.echo(text, err=True)):
        plan = planning.make(site, request, warnings, sink)
    if not plan.empty:  # nothing to do is no plan that a later apply could find stale
        planning.save(site, plan)
    return plan


def _prices(site: Site, refresh: bool) -> None:
    """Use the prices that were fetched before, or fetch them now."""
    from infra.local import places

    if not refresh and not (places.cache() / "prices.json").is_file():
        return
    from infra.cloud.pricing import fresh

    if refresh:
        fresh.refresh(site)
    fresh.use_kept()


def apply_site(site: Site, plan: Plan, quiet: bool, check: bool) -> None:
    """Apply with progress; ``check`` refuses a stale plan first. The lock is the caller's."""
    from infra import proc
    from infra.cloud import applying
    from infra.ui.progress import reporter

    with reporter("apply", quiet) as sink, proc.on_ctrl_c(site.cancel, lambda text: click.echo(text, err=True)):
        if check:
            applying.refuse_stale(site, plan)
        said = len(site.notes)
        try:
            applying.apply(site, plan, sink, "destroy" if plan.destroy else "apply")
        finally:
            for note in site.notes[said:]:
                click.echo(note, err=True)
