"""``infra destroy``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from infra.cli.common import emit, region_option, spec_options

if TYPE_CHECKING:
    from infra.cloud.destroy import Holding
    from infra.cloud.site import Site
    from infra.plan.model import Plan

EPILOG = """\b
Examples:
  infra destroy                            list everything, ask for the cluster's name, remove it
  infra destroy --only pools.gpu
  infra destroy --region us-east-1 --yes-i-mean research
  infra destroy --delete-data              also what is in its buckets, all versions of it
"""


@click.command(epilog=EPILOG)
@spec_options
@region_option
@click.option("--only", multiple=True, metavar="PART", help="Only this part, such as pools.gpu; may be given again.")
@click.option("--yes-i-mean", default=None, metavar="CLUSTER", help="The cluster's name, instead of typing it.")
@click.option("--delete-data", is_flag=True, help="Delete what is in the buckets, every version of it.")
def command(
    file: Path,
    endpoint: str | None,
    as_json: bool,
    regions: tuple[str, ...],
    only: tuple[str, ...],
    yes_i_mean: str | None,
    delete_data: bool,
) -> int:
    """Remove everything that infra made, after listing what holds data.

    The cluster's name must be typed. Exit code 0: removed, or nothing was there; 1: an error, or another name.
    """
    from infra.cloud import destroy
    from infra.cloud.site import open_site
    from infra.spec.load import load

    loaded = load(file, endpoint)
    if yes_i_mean is not None:
        destroy.refuse_other_name(yes_i_mean, loaded.cluster.cluster)
    site = open_site(loaded)
    with site.work.lock("infra destroy"):
        wanted = destroy.wanted(site, regions)
        if not wanted:
            return _nothing(site, regions, as_json)
        plan = _plan(site, wanted, only, as_json)
        found = destroy.holdings(site, plan)
        if not as_json:
            _show(plan, found)
        if plan.empty:
            return _nothing(site, regions, as_json)
        if not delete_data:
            destroy.refuse_full_buckets(found)
        if yes_i_mean is None:
            _ask(site.cluster.cluster)
        said = destroy.empty_buckets(site, found) if delete_data else []
        for line in said if not as_json else ():
            click.echo(line)
        _apply(site, plan, as_json)
        said = destroy.forget(site, plan)
        site.notes += said
        for line in said if not as_json else ():
            click.echo(line)
        _done(site, plan, found, tuple(wanted) if not only else (), as_json)
    return 0


def _plan(site: Site, regions: list[str], only: tuple[str, ...], quiet: bool) -> Plan:
    from infra import proc
    from infra.cloud import destroy
    from infra.ui.progress import reporter

    with reporter("plan", quiet) as sink, proc.on_ctrl_c(site.cancel, lambda text: click.echo(text, err=True)):
        return destroy.make(site, regions, only, sink)


def _apply(site: Site, plan: Plan, quiet: bool) -> None:
    from infra.cli import flow

    flow.apply_site(site, plan, quiet, check=False)


def _show(plan: Plan, found: list[Holding]) -> None:
    from infra.ui import destroy_view, plan_view

    plan_view.show(plan)
    destroy_view.holdings(found)


def _ask(cluster: str) -> None:
    from infra.cloud import destroy
    from infra.errors import Refused
    from infra.ui.console import interactive

    if not interactive():
        raise Refused(
            "nobody is there to type the cluster's name",
            why="this is not a terminal; nothing was touched",
            fix=f"infra destroy --yes-i-mean {cluster}",
        )
    destroy.refuse_other_name(click.prompt(f"Type the cluster's name ({cluster}) to destroy it", default=""), cluster)


def _nothing(site: Site, regions: tuple[str, ...], as_json: bool) -> int:
    if as_json:
        emit({"format": 1, "cluster": site.cluster.cluster, "destroyed": False, "holds": [], "left": [], "plan": None})
    else:
        where = f" in {', '.join(regions)}" if regions else ""
        click.echo(f"{site.cluster.cluster}: nothing exists{where}; there is nothing to destroy")
    return 0


def _done(site: Site, plan: Plan, found: list[Holding], regions: tuple[str, ...], as_json: bool) -> None:
    from infra.cloud import destroy
    from infra.ui import destroy_view

    left = destroy.left(site, regions)
    if not as_json:
        destroy_view.left(left, destroy.stays(site), plan)
        return
    emit(
        {
            "format": 1,
            "cluster": site.cluster.cluster,
            "destroyed": True,
            "holds": [item.data() for item in found],
            "left": [item.data() for item in left],
            "notes": [*destroy.stays(site), *site.notes],
            "plan": plan.data(),
        }
    )
