"""``infra inventory``."""

from __future__ import annotations

from pathlib import Path

import click

from infra.cli.common import emit, spec_options
from infra.cli.node_choose import patterns_argument
from infra.cli.node_common import Reach, reach_options

EPILOG = """\b
Examples:
  infra inventory --ansible
  infra inventory --ansible --host titan-01
\b
As a script that Ansible calls (chmod +x lab.sh; ansible -i lab.sh profile_gpu -m ping):
  #!/bin/sh
  exec infra inventory --file /path/to/cluster.yaml --ansible "$@"
"""


@click.command("inventory", epilog=EPILOG)
@patterns_argument
@click.option("--ansible", is_flag=True, help="In the form of an inventory script of Ansible (the only one so far).")
@click.option("--list", "everything", is_flag=True, help="All machines, as Ansible asks for them; the default.")
@click.option("--host", "host", metavar="NAME", default=None, help="The variables of one machine, as Ansible asks.")
@spec_options
@reach_options
def command(
    patterns: tuple[str, ...],
    ansible: bool,
    everything: bool,
    host: str | None,
    file: Path,
    endpoint: str | None,
    as_json: bool,
    reach: Reach,
) -> int:
    """Print the machines for other tools, with the cluster's host-key pins in the arguments of ssh.

    Groups are profile_P, group_G, kind_K and region_R. The output is JSON with and without --json. No machine is
    connected to. Exit code 0; 1: an error.
    """
    from infra.cli.node_choose import choose, read, trust
    from infra.node.export import ansible as form

    chosen = choose(read(file, endpoint), [host] if host is not None else patterns, reach)
    if host is not None:
        emit(form.variables(chosen.nodes[0], trust(chosen)))
    else:
        emit(form.document(chosen.nodes, trust(chosen)))
    return 0
