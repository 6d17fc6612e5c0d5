"""``infra autoscale simulate``."""

from __future__ import annotations

import math
from pathlib import Path

import click

from infra.cli.common import emit, spec_options

POLICIES = ("infra", "per-pod", "reference")
EPILOG = """\b
Examples:
  infra autoscale simulate trace.csv --types m5.16xlarge,g5.12xlarge --vs per-pod --vs reference
  infra autoscale simulate pods.csv --burst 120 --longest 3600 --vs per-pod --plot burst.svg
  infra autoscale simulate pods.csv --faster 2000 --gangs 4 --vs per-pod      a trace without gangs, with some
  kubectl get pods,nodes,daemonsets -A -o json > now.json
  infra autoscale simulate now.json                        the pools are those of cluster.yaml
"""


@click.command("simulate", epilog=EPILOG)
@click.argument("trace", metavar="TRACE|DUMP", type=click.Path(path_type=Path))
@click.option("--policy", type=click.Choice(POLICIES), default="infra", show_default=True, help="Who buys.")
@click.option("--vs", multiple=True, type=click.Choice(POLICIES), help="Compare with; may be given again.")
@click.option("--types", default="", metavar="TYPE,TYPE…", help="What may be bought; left out: cluster.yaml's pools.")
@click.option("--region", default="us-east-1", show_default=True, help="Of --types: whose prices.")
@click.option("--capacity", multiple=True, metavar="TYPE=N", help="So many machines of a type are to be had.")
@click.option("--burst", type=click.FloatRange(0), metavar="SECONDS", help="Everything arrives within so many seconds.")
@click.option(
    "--faster", type=click.FloatRange(0, min_open=True), default=1.0, help="Jobs arrive so many times as fast."
)
@click.option("--longest", type=click.FloatRange(1), metavar="SECONDS", help="No job runs longer.")
@click.option(
    "--gangs",
    type=click.IntRange(2),
    metavar="N",
    help="Make gangs of a trace: every N pods with GPUs that ask for the same arrive, start and end together.",
)
@click.option(
    "--duration", type=click.FloatRange(1), default=3600.0, show_default=True, help="Of a dump's pods, seconds."
)
@click.option(
    "--launch", type=click.FloatRange(0), default=30.0, show_default=True, help="Seconds until a machine runs."
)
@click.option("--join", type=click.FloatRange(0), default=90.0, show_default=True, help="Seconds until it takes pods.")
@click.option(
    "--planning",
    type=click.FloatRange(0),
    default=1.0,
    show_default=True,
    help="Seconds from a policy's look to its orders.",
)
@click.option("--billing", type=click.Choice(["second", "hour"]), default="second", show_default=True)
@click.option("--scheduler", type=click.Choice(["pack", "spread"]), default="pack", show_default=True)
@click.option(
    "--nominations/--no-nominations",
    default=True,
    show_default=True,
    help="The scheduler keeps nominations for machines that are to come: Kubernetes 1.35 and newer.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of everything that is drawn.")
@click.option(
    "--plot", type=click.Path(path_type=Path), metavar="FILE.svg", help="Draw $/h and waiting pods over time."
)
@spec_options
def command(
    trace: Path,
    policy: str,
    vs: tuple[str, ...],
    types: str,
    region: str,
    capacity: tuple[str, ...],
    burst: float | None,
    faster: float,
    longest: float | None,
    gangs: int | None,
    duration: float,
    launch: float,
    join: float,
    planning: float,
    billing: str,
    scheduler: str,
    nominations: bool,
    seed: int,
    plot: Path | None,
    file: Path,
    endpoint: str | None,
    as_json: bool,
) -> int:
    """Let policies buy machines for a trace (CSV) or for what waits in a cluster now (a dump, JSON).

    Dollars, waits, launch rounds, GPUs that nobody could use, gangs of which only a part ran. Nothing is bought, no
    cluster is asked. Equal input and seed give equal output.
    """
    from infra.autoscale.simulate.scene import Settings
    from infra.orchestration import simulation

    names = [name for name in types.split(",") if name]
    some, warnings = simulation.groups(names, region, file, endpoint)
    for warning in warnings:
        click.echo(f"warning: {warning}", err=True)
    wishes = simulation.Wishes(burst, faster, longest or math.inf, duration, seed, gangs or 0)
    settings = Settings(
        launch,
        join,
        seed=seed,
        planning=planning,
        nominations=nominations,
        billing=billing,  # type: ignore[arg-type]
        scheduler=scheduler,  # type: ignore[arg-type]
    )
    settings = simulation.capacity(some, _limits(capacity), settings)
    scene = simulation.scene(trace, some, wishes)
    results = simulation.run(scene, [policy, *vs], settings, lambda name: _tell(name, as_json))
    title = f"{len(scene.jobs):,} pods of {trace.name}, {sum(len(group.offers) for group in some)} offers"
    if plot is not None:
        from infra import files
        from infra.ui.simulate_svg import svg

        files.write_text(plot, svg(results, title))
    if as_json:
        emit(
            {"format": 1, "pods": len(scene.jobs), "plot": str(plot or ""), "results": [one.data() for one in results]}
        )
        return 0
    from infra.ui import simulate_view

    simulate_view.show(results, title)
    if plot is not None:
        click.echo(f"Drew it in {plot}. Open it in a browser.")
    return 0


def _tell(name: str, quiet: bool) -> None:
    import sys

    if not quiet and sys.stderr.isatty():
        click.echo(f"simulating {name} …", err=True)


def _limits(given: tuple[str, ...]) -> dict[str, int]:
    from infra.errors import UsageError

    found = {}
    for one in given:
        name, _, count = one.partition("=")
        if not (name and count.isascii() and count.isdigit()):
            raise UsageError(f"{one} is no TYPE=N", where="--capacity", fix="such as --capacity p5.48xlarge=4")
        found[name] = int(count)
    return found
