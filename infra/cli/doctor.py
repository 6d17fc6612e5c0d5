"""``infra doctor``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from infra.cli.common import emit, spec_options

if TYPE_CHECKING:
    from infra.cloud.checkup.check import Check

EPILOG = """\b
Examples:
  infra doctor                this machine, and what cluster.yaml needs
  infra doctor --json | jq '.checks[] | select(.status == "fail")'
"""
COLOURS = {"ok": "green", "warn": "yellow", "fail": "red", "skip": "bright_black"}


@click.command(epilog=EPILOG)
@spec_options
def command(file: Path, endpoint: str | None, as_json: bool) -> int:
    """Check tools, versions, credentials and quotas; say what to do about each.

    Works without cluster.yaml (this machine only) and without a network. Exit code 0: nothing fails; 1: something does.
    """
    from infra.cloud.checkup import doctor

    checks = doctor.examine(file, endpoint)
    if as_json:
        emit(doctor.data(checks))
    else:
        for check in checks:
            click.echo(line(check))
        click.echo(summary(checks))
    return 0 if doctor.healthy(checks) else 1


def line(check: Check) -> str:
    """The status, where and what, and under it why and what to do when it is not well."""
    head = click.style(f"{check.status:<4}", fg=COLOURS[check.status])
    region = f"{check.region}: " if check.region and not check.what.startswith(check.region) else ""
    lines = [f"{head}  {check.name:<16} {region}{check.what}"]
    if check.status in ("warn", "fail"):
        lines += [f"{'':<6}{'':<17}why: {check.why}"] if check.why else []
    if check.fix and check.status != "ok":
        lines.append(f"{'':<6}{'':<17}fix: {check.fix}")
    return "\n".join(lines)


def summary(checks: list[Check]) -> str:
    count = {status: sum(check.status == status for check in checks) for status in COLOURS}
    said = f"{count['fail']} failed, {count['warn']} to look at, {count['ok']} well"
    file = next((check.status for check in checks if check.name == "file"), "skip")
    following = "" if count["fail"] else f". Next: infra {'init' if file == 'skip' else 'plan'}"
    return f"\n{said}{following}"
