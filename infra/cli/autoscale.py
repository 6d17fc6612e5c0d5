"""``infra autoscale``: a group whose commands are imported when they run."""

from __future__ import annotations

import click

from infra.cli.lazy import Lazy

# name -> (module, one line of help). The group's help is printed from here without importing any of them.
COMMANDS: dict[str, tuple[str, str]] = {
    "run": ("infra.cli.autoscale_run", "Size the pools by the work that waits; for ever, or once."),
    "explain": ("infra.cli.autoscale_explain", "Why a pod waits, or where it is to run, in words."),
    "simulate": (
        "infra.cli.autoscale_simulate",
        "What a policy would buy for a trace or a dump, and what others would.",
    ),
}

EXAMPLE = """
Examples:
  infra autoscale run --once --dry-run                     what would be done now; nothing is
  infra autoscale explain research/train-0                 why this pod waits
  infra autoscale simulate trace.csv --vs per-pod --plot course.svg
"""


class Commands(Lazy):
    table = COMMANDS
    example = EXAMPLE
    program = "infra autoscale"


@click.group("autoscale", cls=Commands)
def command() -> None:
    """Machines for the work that waits in Kubernetes: bought in one plan, given back when they idle."""
