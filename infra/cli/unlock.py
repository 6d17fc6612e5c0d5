"""``infra unlock``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from infra.cli.common import emit, region_option, spec_options

if TYPE_CHECKING:
    from infra.cloud.locks import Lock

EPILOG = """\b
Examples:
  infra unlock                show every lock, and ask before releasing
  infra unlock --json         show them, release nothing
  infra unlock --yes          release what no living run on this machine holds
"""


@click.command(epilog=EPILOG)
@spec_options
@region_option
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.option("--force", is_flag=True, help="Release a lock in S3 even though its owner lives on this machine.")
def command(file: Path, endpoint: str | None, as_json: bool, regions: tuple[str, ...], yes: bool, force: bool) -> int:
    """Show every lock with its owner and age, and release those that a dead run left behind.

    A lock whose owner lives on this machine is not released. Exit code 0: nothing is locked any more; 1: an error.
    """
    from infra.cloud import locks
    from infra.cloud.mending import recovery
    from infra.cloud.planning import wanted_regions
    from infra.cloud.site import open_site
    from infra.spec.load import load

    site = open_site(load(file, endpoint))
    wanted = tuple(wanted_regions(site, regions))
    session = site.session if site.cluster.state.s3 else None
    found = locks.every(site.cluster, site.work, wanted, session)
    if as_json and not yes:
        emit({"locks": [{**lock.data(), "released": False} for lock in found]})
        return 0
    if not as_json:
        click.echo(table(found) if found else "Nothing is locked.")
    if not found:
        if as_json:
            emit({"locks": []})
        return 0
    living = [lock for lock in found if lock.alive and not (force and lock.kind == "s3")]
    if living:
        raise locks.refusal(living[0])
    _ask(found, yes)
    for lock in found:
        locks.release(lock, site.cluster, session, force)
        if lock.kind == "s3":  # its owner may have made something that it did not live to record
            recovery.mark(site, lock.region, lock.created.isoformat() if lock.created else None)
    if as_json:
        emit({"locks": [{**lock.data(), "released": True} for lock in found]})
    else:
        click.echo(f"Released {len(found)}. Next: infra plan")
    return 0


def table(found: list[Lock]) -> str:
    """One line a lock."""
    return "\n".join(line(lock) for lock in found)


def line(lock: Lock) -> str:
    """Such as ``us-west-2: terraform apply by ada@laptop, 3 h ago, its owner is dead (s3://…)``."""
    owner = {True: "its owner is alive", False: "its owner is dead", None: "its owner was on another machine"}
    parts = [f"{lock.operation or 'a run'} by {lock.who}", since(lock.age()), owner[lock.alive]]
    if lock.pid and lock.alive:
        parts[-1] += f" (process {lock.pid})"
    if not lock.blocks:
        parts.append("stops nobody")
    head = f"{lock.region}: " if lock.region else ""
    return f"{head}{', '.join(part for part in parts if part)}\n  {lock.place}{f'  id {lock.id}' if lock.id else ''}"


def since(seconds: float | None) -> str:
    """Such as ``3 h ago``; '' when it is not known."""
    if seconds is None:
        return ""
    for size, unit in ((86_400, "days"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit} ago"
    return f"{max(seconds, 0):.0f} s ago"


def _ask(found: list[Lock], yes: bool) -> None:
    from infra.errors import Refused
    from infra.ui.console import interactive

    if yes:
        return
    if not interactive():
        raise Refused("nobody is there to say yes", where="infra unlock", fix="add --yes")
    elsewhere = [lock for lock in found if lock.alive is None]
    if elsewhere:
        click.echo("Make sure that no run on another machine is still at work.")
    if not click.confirm("Release?"):
        raise Refused("nothing was released", fix="run it again when you are sure")
