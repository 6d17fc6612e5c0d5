"""``infra status``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from infra.cli.common import emit, region_option, spec_options

if TYPE_CHECKING:
    from infra.cloud.status import Status

EPILOG = """\b
Examples:
  infra status
  infra status --region us-west-2
  infra status --json | jq '.regions[].parts[] | select(.healthy | not)'
"""


@click.command(epilog=EPILOG)
@spec_options
@region_option
def command(file: Path, endpoint: str | None, as_json: bool, regions: tuple[str, ...]) -> int:
    """Show what exists, and its health: networks, pools, hosts, storage, the control plane.

    Nothing is changed. Exit code 0, healthy or not; 1: an error.
    """
    found = _look(file, endpoint, regions)
    if as_json:
        emit(found.data())
    else:
        from infra.ui import status_view

        status_view.show(found)
    return 0


def _look(file: Path, endpoint: str | None, regions: tuple[str, ...]) -> Status:
    from infra.cloud import status
    from infra.cloud.site import look_site
    from infra.cloud.work import now
    from infra.plan.machines import machines
    from infra.spec.load import load

    loaded = load(file, endpoint)
    if loaded.cluster.aws is None:
        return status.Status(loaded.cluster.cluster, now(), metal=machines(loaded.cluster))
    return status.look(look_site(loaded), regions)
