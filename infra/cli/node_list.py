"""``infra node list``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from infra.cli.common import emit, spec_options
from infra.cli.node_choose import patterns_argument
from infra.cli.node_common import Reach, reach_options

if TYPE_CHECKING:
    from infra.errors import InfraError
    from infra.node.inventory.look import Look
    from infra.node.model import Node
    from infra.spec.load import Loaded

EPILOG = """\b
Examples:
  infra node list
  infra node list 'titan-[01-08]' profile:gpu
  infra node list --offline                  no SSH: what the file and AWS say
  infra node list --json | jq -r '.nodes[] | select(.current | not) | .name'
"""


@click.command("list", epilog=EPILOG)
@patterns_argument
@click.option("--offline", is_flag=True, help="Make no connection to any machine.")
@spec_options
@reach_options
def command(
    patterns: tuple[str, ...], file: Path, endpoint: str | None, as_json: bool, offline: bool, reach: Reach
) -> int:
    """Show machines: name, profile, address, GPUs, image or policy, last converge, health.

    All of them without a PATTERN. A machine that does not answer is a row with the reason, and no error: exit code 0;
    1: an error.
    """
    from infra.cli.node_choose import choose, read
    from infra.node.inventory import cloud, listing

    loaded = read(file, endpoint)
    said: Mapping[str, Look | InfraError] = {}
    if offline:
        found = cloud.inventory(loaded, patterns, health=True)
        nodes = found.pick(patterns)
    else:
        from infra.node.inventory.look import look
        from infra.ui.node_count import Count

        count = Count("looked at", quiet=as_json)
        chosen = choose(loaded, patterns, reach, health=True, aside=count.aside)
        found, nodes = chosen.inventory, chosen.nodes
        with count.of(len(nodes)):
            said = chosen.fleet.each(nodes, look, count.one)
    notes = list(found.notes)
    rows = listing.rows(found, nodes, said, _wanted(loaded, nodes, notes))
    if as_json:
        emit(
            {
                "format": 1,
                "cluster": loaded.cluster.cluster,
                "offline": offline,
                "nodes": [row.data() for row in rows],
                "notes": notes,
            }
        )
    else:
        from infra.ui import node_view

        node_view.listing(rows, notes, offline)
    return 0


def _wanted(loaded: Loaded, nodes: Sequence[Node], notes: list[str]) -> dict[str, str]:
    """Profile -> the digest of its policy now. A policy that cannot be made is a note: the machines are there."""
    from infra import policy
    from infra.errors import InfraError

    found: dict[str, str] = {}
    for profile in dict.fromkeys(node.profile for node in nodes):
        if profile in loaded.cluster.profiles:
            try:
                found[profile] = policy.of(loaded, profile).digest
            except InfraError as error:
                notes.append(f"the policy of {profile} cannot be made: {error} (infra policy show {profile})")
    return found
