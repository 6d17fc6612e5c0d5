"""``infra kube join-token``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from infra.cli.common import emit, spec_options
from infra.cli.kube_common import Way, way_options

if TYPE_CHECKING:
    from datetime import datetime

    from infra.kube.tokens import Invitation
    from infra.spec.load import Loaded

EPILOG = """\b
Examples:
  infra kube join-token                      the token that machines join with now, or a new one
  infra kube join-token --new --ttl 15       another one, good for a quarter of an hour
  infra kube join-token --json | jq -r .command
"""


@click.command("join-token", epilog=EPILOG)
@spec_options
@way_options
@click.option("--new", is_flag=True, help="Make one, also when a published one is good.")
@click.option(
    "--ttl",
    type=click.IntRange(5, 1440),
    default=60,
    show_default=True,
    metavar="MINUTES",
    help="So long a new one is good.",
)
def command(file: Path, endpoint: str | None, as_json: bool, way: Way, new: bool, ttl: int) -> int:
    """Show what a machine needs to join: the API, a token that is good for a short time, the hash of the authority.

    Machines of pools and of metal: in the file join by themselves; this is for any other. Whoever has the token can
    make a machine a node until it ends. Exit code 0; 1: an error.
    """
    from datetime import UTC, datetime, timedelta

    from infra.cli.kube_common import reach, section
    from infra.kube import tokens
    from infra.spec.load import load

    loaded = load(file, endpoint)
    section(loaded)
    now = datetime.now(UTC)
    found = None if new or loaded.cluster.cloud_plane is None else _published(loaded, now)
    made = found is None
    if found is None:
        kube = reach(loaded, way)
        found, secret = tokens.fresh(kube.get(tokens.INFO), timedelta(minutes=ttl), now)
        kube.create(tokens.PLACE, secret)
    if as_json:
        emit({"format": 1, "cluster": loaded.cluster.cluster, "new": made, "command": found.command, **found.data()})
        return 0
    minutes = int((found.expires - now).total_seconds() // 60)
    click.echo(f"sudo {found.command}")
    click.echo(f"\n{'A new token' if made else 'The published token'}, good for {minutes} minutes.", err=True)
    return 0


def _published(loaded: Loaded, now: datetime) -> Invitation | None:
    """What the control plane has left in SSM; None when there is none, or it ends too soon."""
    from infra.cloud import parameters
    from infra.cloud.site import look_site
    from infra.errors import LocalError
    from infra.kube import tokens

    try:
        session = look_site(loaded).session
    except LocalError:
        return None
    session.guard()
    text = parameters.read(session, loaded.cluster.cluster, parameters.JOIN)
    return tokens.published(text, now) if text is not None else None
