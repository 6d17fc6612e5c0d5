"""``infra drift``."""

from __future__ import annotations

from pathlib import Path

import click

from infra.cli.common import emit, region_option, spec_options

EPILOG = """\b
Examples:
  infra drift
  infra drift --region us-west-2
  infra drift --json | jq '.regions[].changed[].title'
"""


@click.command(epilog=EPILOG)
@spec_options
@region_option
def command(file: Path, endpoint: str | None, as_json: bool, regions: tuple[str, ...]) -> int:
    """Show what was changed behind our back: by hand, by another tool, by AWS.

    Nothing is changed, the state neither. Exit code 0: no drift; 2: there is drift; 1: an error.
    """
    from infra import proc
    from infra.cloud import drift
    from infra.cloud.site import open_site
    from infra.spec.load import load
    from infra.ui.progress import reporter

    site = open_site(load(file, endpoint))
    with (
        site.work.lock("infra drift"),
        reporter("drift", as_json) as sink,
        proc.on_ctrl_c(site.cancel, lambda text: click.echo(text, err=True)),
    ):
        found = drift.look(site, regions, sink)
    if as_json:
        emit(found.data())
    else:
        from infra.ui import drift_view

        drift_view.show(found)
    return 0 if found.empty else 2
