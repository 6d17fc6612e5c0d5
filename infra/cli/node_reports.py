"""``infra node reports``: what machines that pull say of themselves, without going to any of them."""

from __future__ import annotations

from pathlib import Path

import click

from infra.cli.common import emit, spec_options

EPILOG = """\b
Examples:
  infra node reports                         every machine that is to pull
  infra node reports profile:gpu
  infra node reports --json | jq -r '.nodes[] | select(.silent) | .name'
"""


@click.command("reports", epilog=EPILOG)
@click.argument("patterns", nargs=-1, metavar="[PATTERN]...")
@spec_options
def command(patterns: tuple[str, ...], file: Path, endpoint: str | None, as_json: bool) -> int:
    """Show the last report of each machine that pulls (converge.pull), from S3: no machine is logged in to.

    A machine that has not reported for three of its intervals is named. Exit code 0; 1: an error.
    """
    from infra.cloud.site import look_site
    from infra.image import promoted
    from infra.node.inventory import cloud
    from infra.node.pull import reports
    from infra.spec.load import load

    loaded = load(file, endpoint)
    found = cloud.inventory(loaded, patterns)
    profiles = [name for name, profile in loaded.cluster.profiles.items() if profile.run_list]
    nodes = [node for node in found.pick(patterns) if node.profile in profiles] if patterns or found.nodes else []
    if patterns:
        profiles = [name for name in profiles if name in {node.profile for node in nodes}]
    session = look_site(loaded).session
    session.guard()
    left = reports.read(session, loaded.cluster, profiles)
    told = {name: promoted.read(session, loaded.cluster, name) for name in profiles}
    wanted = {name: item.digest for name, item in told.items() if item is not None}
    rows = reports.rows(nodes, left, wanted, others=not patterns)
    notes = list(found.notes)
    if loaded.cluster.converge.pull is None:
        notes.append("no machine pulls: cluster.yaml has no converge: {pull: 30m}")
    notes += [f"nothing is promoted for {name}: infra policy publish {name}" for name in profiles if name not in wanted]
    if as_json:
        emit({"format": 1, "cluster": loaded.cluster.cluster, "nodes": [row.data() for row in rows], "notes": notes})
    else:
        from infra.ui import reports_view

        reports_view.show(rows, notes)
    return 0
