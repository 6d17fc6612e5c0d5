"""``infra apply``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from infra.cli.common import emit, region_option, spec_options

if TYPE_CHECKING:
    from infra.cloud.site import Site
    from infra.plan.model import Plan
    from infra.spec.load import Loaded

EPILOG = """\b
Examples:
  infra apply                 apply the saved plan; without one, plan and ask
  infra apply --yes           plan and apply without asking, unless something would be lost for good
  infra apply --only pools.gpu --region us-west-2
"""


@click.command(epilog=EPILOG)
@spec_options
@region_option
@click.option("--only", multiple=True, metavar="PART", help="Only this part, such as pools.gpu; may be given again.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.option("--no-nodes", is_flag=True, help="Without a saved plan: leave running machines out.")
@click.option("--ask-sudo", is_flag=True, help="Ask for the machines' sudo password first, once.")
@click.option("--allow-os", is_flag=True, help="Bootstrap machines whose system is not their profile's.")
@click.option("--no-drain", is_flag=True, help="Converge Kubernetes nodes with their pods on them.")
@click.option("--lose-data", is_flag=True, help="With --yes: go on even when something would be lost for good.")
def command(
    file: Path,
    endpoint: str | None,
    as_json: bool,
    regions: tuple[str, ...],
    only: tuple[str, ...],
    yes: bool,
    lose_data: bool,
    no_nodes: bool,
    ask_sudo: bool,
    allow_os: bool,
    no_drain: bool,
) -> int:
    """Do exactly what the saved plan says; refuse a stale one.

    Without a saved plan it makes one, shows it and asks. Exit code 0: done or nothing to do; 1: an error.
    """
    from infra.cli import flow, flow_nodes
    from infra.cloud import planning
    from infra.cloud.journal import asof
    from infra.errors import NoPlan
    from infra.spec.load import read

    loaded, warnings = read(file, endpoint)
    site = flow.open_any(loaded)
    handling = flow_nodes.Handling(ask_sudo, allow_os, drain=not no_drain)
    with site.work.lock("infra apply"):
        plan = planning.saved(site)
        if plan is not None and plan.as_of:
            asof.go_back(site, plan.as_of)
        every = tuple(loaded.cluster.aws.regions) if loaded.cluster.aws else ()
        if plan is not None and (regions or only) and not _same_parts(plan, only, regions or every):
            raise NoPlan(
                "the saved plan is of other parts than --only and --region name",
                where=str(site.work.plan),
                fix="make the plan you want: infra plan with the same options, then infra apply",
            )
        if plan is not None:
            flow.apply_site(site, plan, as_json, check=True, handling=handling)
        else:
            plan = flow.plan_site(
                site, flow.Options(regions=regions, only=only, nodes=not no_nodes, ask_sudo=ask_sudo), warnings, as_json
            )
            if not plan.empty:
                _agree(site, plan, yes, lose_data, as_json)
                flow.apply_site(site, plan, as_json, check=False, handling=handling)
            planning.forget(site)
    return _done(plan, as_json, loaded)


def _same_parts(plan: Plan, only: tuple[str, ...], regions: tuple[str, ...]) -> bool:
    return plan.only == only and set(plan.names) == set(regions)


def _agree(site: Site, plan: Plan, yes: bool, lose_data: bool, as_json: bool) -> None:
    """Show the plan that was just made, and ask. A plan that was not agreed to is not left to be applied later."""
    from infra.cloud import planning
    from infra.ui import plan_view

    agreed = False
    try:
        if not as_json:
            plan_view.show(plan)
        _ask(plan, yes, lose_data)
        agreed = True
    finally:  # a no, Ctrl-C at the question, a pipe that closed
        if not agreed:
            planning.forget(site)


def _ask(plan: Plan, yes: bool, lose_data: bool) -> None:
    """Ask a person; without one, only ``--yes`` goes on, and what cannot be undone needs a word more."""
    from infra.errors import Problem, Refused
    from infra.ui.console import interactive

    if yes and plan.irreversible and not lose_data:
        head = "--yes does not cover what cannot be undone"
        first = Problem(head, fix="look at infra plan, then infra apply; or add --lose-data")
        lost = [Problem(f"{change.title}: {change.irreversible}") for change in plan.irreversible]
        raise Refused(head, problems=[first, *lost])
    if yes:
        return
    if not interactive():
        raise Refused(
            "nobody is there to say yes", why="this is not a terminal", fix="look at infra plan, then infra apply"
        )
    word = "These changes cannot all be undone. Apply them" if plan.irreversible else "Apply"
    if not click.confirm(f"{word}?", default=False):
        raise Refused("not applied", why="the answer was no", fix="infra plan shows what would happen")


def _done(plan: Plan, as_json: bool, today: Loaded) -> int:
    if as_json:
        emit({"applied": not plan.empty, "plan": plan.data()})
    elif plan.empty:
        from infra.ui import plan_view

        click.echo(f"{plan.cluster}: {plan_view.nothing(plan)}")
        from infra.ui import node_plan_view

        for line in node_plan_view.lines(plan):
            click.echo(line)
    else:
        click.echo(f"\nDone. Next: infra {'status' if today.cluster.aws else 'node list'}")
    if plan.as_of and plan.spec != today.digest and not as_json:
        click.echo(f"{today.path.name} says something else than what is there now; to take the old text:")
        click.echo(f"  infra log {plan.as_of} --spec > {today.path.name}")
    return 0
