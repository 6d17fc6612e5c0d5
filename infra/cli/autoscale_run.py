"""``infra autoscale run``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from infra.cli.common import emit, spec_options

if TYPE_CHECKING:
    from infra.autoscale.controller import Controller, LoopResult
    from infra.orchestration.autoscaling import SystemClock, Telling

WEBHOOK = "INFRA_WEBHOOK"
EPILOG = """\b
Examples:
  infra autoscale run --once --dry-run       what would be done now; exit code 2: something would be
  infra autoscale run --once                 one loop, from a laptop
  infra autoscale run --metrics 8080         for ever, as in the cluster; Ctrl-C ends it between two requests
  infra autoscale run --once --dry-run --json | jq '.decisions[].reason'
"""


@click.command("run", epilog=EPILOG)
@click.option("--once", "single", is_flag=True, help="One loop, then end.")
@click.option("--dry-run", is_flag=True, help="Change nothing. With --once.")
@click.option("--interval", type=click.FloatRange(1), default=15.0, show_default=True, help="Seconds between loops.")
@click.option(
    "--optimize", type=click.FloatRange(0), default=0.0, show_default=True, help="Seconds for a cheaper plan."
)
@click.option(
    "--settle",
    type=click.FloatRange(0),
    default=15.0,
    show_default=True,
    help="Seconds without new work before machines are bought (150 at most), so that a burst is one launch.",
)
@click.option("--cap", type=click.IntRange(0), default=10, show_default=True, help="Machines on their way out at once.")
@click.option("--idle", type=click.FloatRange(0), default=10.0, show_default=True, help="Minutes idle before one goes.")
@click.option("--metrics", type=click.IntRange(0, 65535), metavar="PORT", help="Serve /metrics and /healthz there.")
@click.option(
    "--webhook",
    default=lambda: os.environ.get(WEBHOOK, ""),
    show_default=f"${WEBHOOK}",
    metavar="URL",
    help="Tell Slack, or anybody.",
)
@click.option("--kubeconfig", type=click.Path(path_type=Path), help="Left out: as kubectl does it, or the pod's own.")
@click.option("--context", default="", help="Of the kubeconfig.")
@spec_options
def command(
    single: bool,
    dry_run: bool,
    interval: float,
    optimize: float,
    settle: float,
    cap: int,
    idle: float,
    metrics: int | None,
    webhook: str,
    kubeconfig: Path | None,
    context: str,
    file: Path,
    endpoint: str | None,
    as_json: bool,
) -> int:
    """Size the autoscaled pools by the work that waits in Kubernetes.

    Buys for everything that waits in one plan, gives back what idles, moves on where AWS has no capacity. Without
    --once it runs until it is told to stop, and prints a line of JSON for each decision.

    \b
    Exit codes: 0: done, or nothing to do. 2: --once --dry-run would change something. 1: an error.
    """
    from infra.autoscale.controller import Settings
    from infra.errors import UsageError
    from infra.orchestration import autoscaling

    if dry_run and not single:
        raise UsageError("--dry-run wants --once", where="command line", fix="infra autoscale run --once --dry-run")
    settings = Settings(
        autoscaling.identity(),
        interval=interval,
        optimize=optimize,
        settle=0.0 if single else settle,
        cap=cap,
        idle_minutes=idle,
    )
    clock = autoscaling.SystemClock()
    made, cluster = autoscaling.controller(file, endpoint, kubeconfig, context, clock, settings)
    log = (lambda text: None) if single else click.echo
    with autoscaling.Telling(cluster.cluster, log, metrics, webhook) as telling:
        if single:
            return _once(made, telling, dry_run, as_json)
        return _for_ever(made, telling, clock)


def _once(made: Controller, telling: Telling, dry_run: bool, as_json: bool) -> int:
    from infra.autoscale.told import changes
    from infra.orchestration import autoscaling

    result = autoscaling.once(made, telling, dry_run)
    if as_json:
        emit(_data(result))
    else:
        _show(result)
    return 2 if dry_run and changes(result) else 0


def _data(result: LoopResult) -> dict[str, object]:
    from infra.autoscale.told import line, pending

    found = result.plan
    return {
        "format": 1,
        "dry_run": result.dry_run,
        "leading": result.leading,
        "decisions": [line(one, result) for one in result.decisions],
        "pending": dict(pending(result)),
        "desired": {str(fleet): count for fleet, count in result.desired.items()},
        "dollars_per_hour": round(result.counts.spending, 6),
        "plan_dollars_per_hour": round(found.cost, 6) if found else 0.0,
        "plan_bound": round(found.certificate.bound, 6) if found else 0.0,
        "seconds": {phase: round(value, 6) for phase, value in result.seconds.items()},
    }


def _show(result: LoopResult) -> None:
    from infra.autoscale.told import changes, sentence

    for one in result.decisions:
        click.echo(sentence(one))
    counts = result.counts
    click.echo(
        f"{counts.waiting} pods wait, {counts.placed} of them have a place; "
        f"{counts.nodes} nodes, {counts.in_flight} machines on their way, ${counts.spending:,.2f}/h"
    )
    if result.dry_run and changes(result):
        click.echo("Nothing was changed. Next: infra autoscale run --once")
    elif not changes(result):
        click.echo("Nothing to do.")


def _for_ever(made: Controller, telling: Telling, clock: SystemClock) -> int:
    from infra import proc

    if telling.metrics is not None:
        click.echo(f"metrics on port {telling.metrics}", err=True)
    with proc.on_ctrl_c(clock.stop, lambda text: click.echo(text, err=True)):
        made.run(telling.tell)
    return 0
