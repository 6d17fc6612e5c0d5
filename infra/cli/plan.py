"""``infra plan``."""

from __future__ import annotations

from pathlib import Path

import click

from infra.cli.common import emit, region_option, spec_options

EPILOG = """\b
Examples:
  infra plan
  infra plan --region us-west-2 --only pools.gpu
  infra plan --json | jq '.regions[].changes[].title'
"""


@click.command(epilog=EPILOG)
@spec_options
@region_option
@click.option("--only", multiple=True, metavar="PART", help="Only this part, such as pools.gpu; may be given again.")
@click.option("--details", is_flag=True, help="A line for every resource.")
@click.option("--as-of", default="", metavar="N", help="Plan the way back to what apply N of infra log applied.")
@click.option("--adopt", is_flag=True, help="Take over what AWS has of this cluster and the state does not know.")
@click.option("--no-nodes", is_flag=True, help="Leave running machines out: no SSH.")
@click.option("--ask-sudo", is_flag=True, help="Ask for the machines' sudo password first, once.")
@click.option("--refresh-prices", is_flag=True, help="Ask AWS for today's list prices first.")
def command(
    file: Path,
    endpoint: str | None,
    as_json: bool,
    regions: tuple[str, ...],
    only: tuple[str, ...],
    details: bool,
    as_of: str,
    adopt: bool,
    refresh_prices: bool,
    no_nodes: bool,
    ask_sudo: bool,
) -> int:
    """Show what would happen and what it costs, and save it for infra apply.

    Exit code 0: nothing to do; 2: there are changes; 1: an error.
    """
    from infra.cli import flow

    options = flow.Options(
        regions=regions,
        only=only,
        as_of=as_of,
        refresh_prices=refresh_prices,
        adopt=adopt,
        nodes=not no_nodes,
        ask_sudo=ask_sudo,
    )
    plan = flow.make_plan(file, endpoint, options, as_json)
    if as_json:
        emit(plan.data())
    else:
        from infra.ui import plan_view

        plan_view.show(plan, details)
        if not plan.empty:
            click.echo("\nSaved. Next: infra apply")
    return 0 if plan.empty else 2
