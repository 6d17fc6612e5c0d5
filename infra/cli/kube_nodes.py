"""``infra kube nodes``."""

from __future__ import annotations

from pathlib import Path

import click

from infra.cli.common import emit, spec_options
from infra.cli.kube_common import Way, way_options

EPILOG = """\b
Examples:
  infra kube nodes
  infra kube nodes --json | jq -r '.nodes[] | select(.node == "") | .machine'      who has not joined
"""


@click.command("nodes", epilog=EPILOG)
@spec_options
@way_options
def command(file: Path, endpoint: str | None, as_json: bool, way: Way) -> int:
    """Show the cluster's nodes beside the machines of the inventory: where each is from, version, GPUs, taints, age.

    A machine that should be a node and is none is a row, too. Exit code 0; 1: an error.
    """
    from datetime import UTC, datetime

    from infra.cli.kube_common import reach
    from infra.kube.health import NODES
    from infra.kube.members import members
    from infra.node.inventory import cloud
    from infra.spec.load import load

    loaded = load(file, endpoint)
    kube = reach(loaded, way)
    nodes = kube.list(NODES)
    found = cloud.inventory(loaded)
    rows = members(nodes, found.nodes, datetime.now(UTC))
    if as_json:
        data = [row.data() for row in rows]
        emit({"format": 1, "cluster": loaded.cluster.cluster, "nodes": data, "notes": list(found.notes)})
    else:
        from infra.ui import kube_view

        kube_view.nodes(rows, found.notes)
    return 0
