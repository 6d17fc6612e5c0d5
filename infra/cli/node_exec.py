"""``infra node exec``."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from infra.cli.common import emit, spec_options
from infra.cli.node_choose import patterns_argument
from infra.cli.node_common import Reach, reach_options
from infra.cli.node_words import WithCommand, after_dashes
from infra.errors import InfraError, UsageError

if TYPE_CHECKING:
    from infra.node.model import Node
    from infra.node.ssh.fleet import Connection, Ran
    from infra.ui.node_view import Said

EPILOG = """\b
Examples:
  infra node exec -- uptime                                 on every machine
  infra node exec 'titan-[01-08]' -- nvidia-smi -L
  infra node exec profile:gpu --sudo -- systemctl restart docker
  infra node exec titan-01 --follow -- journalctl -f -u kubelet
  infra node exec --json -- df -P /home | jq '.nodes[] | {name, out}'
"""


@click.command("exec", cls=WithCommand, epilog=EPILOG)
@patterns_argument
@click.option("--sudo", is_flag=True, help="Run it as root.")
@click.option("--follow", is_flag=True, help="Print each line as it comes, instead of equal outputs together.")
@click.option(
    "--deadline",
    type=click.FloatRange(min=1),
    default=600.0,
    show_default=True,
    metavar="SECONDS",
    help="Give a machine up after so long.",
)
@spec_options
@reach_options
def command(
    patterns: tuple[str, ...],
    sudo: bool,
    follow: bool,
    deadline: float,
    file: Path,
    endpoint: str | None,
    as_json: bool,
    reach: Reach,
) -> int:
    """Run COMMAND on machines, side by side; on all of them without a PATTERN.

    The words after `--` are put together with spaces and run by /bin/sh, whatever the account's login shell is. Every
    line is printed with the machine that said it; machines that said the same are one block. Exit code 0: it ended with
    0 everywhere; 1: it did not, or a machine did not answer.
    """
    from infra.cli.node_choose import choose, read
    from infra.node.inventory.listing import reason
    from infra.ui.node_count import Count

    words = after_dashes()
    if not words:
        raise UsageError(
            "there is no command to run",
            where="command line",
            why="it stands after --",
            fix="write: infra node exec PATTERN -- COMMAND, such as: infra node exec titan-01 -- uptime",
        )
    follow = follow and not as_json
    count = Count("done", quiet=as_json or follow)
    chosen = choose(read(file, endpoint), patterns, reach, aside=count.aside)
    live = _Live() if follow else None

    def work(connection: Connection) -> Ran:
        on_line = live.of(connection.node) if live else None
        return connection.run(" ".join(words), root=sudo, deadline=deadline, on_line=on_line, check=False)

    with count.of(len(chosen.nodes)):
        results = chosen.fleet.each(chosen.nodes, work, count.one)
    said = _said(chosen.nodes, results, reason)
    if as_json:
        emit(
            {
                "format": 1,
                "cluster": chosen.loaded.cluster.cluster,
                "command": " ".join(words),
                "nodes": [_data(one) for one in said],
            }
        )
    else:
        from infra.ui import node_view

        node_view.outputs(said, printed=follow)
    return 1 if any(one.failed for one in said) else 0


class _Live:
    """Lines as they come, whole, each with its machine."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def of(self, node: Node) -> Callable[[str], None]:
        def line(text: str) -> None:
            with self._lock:
                click.echo(f"{node.name}: {text}")

        return line


def _said(
    nodes: Sequence[Node], results: Mapping[str, Ran | InfraError], reason: Callable[[InfraError], str]
) -> list[Said]:
    from infra.ui.node_view import Said

    found = []
    for node in nodes:
        result = results[node.name]
        if isinstance(result, InfraError):
            found.append(Said(node.name, None, "", "", reason(result), result.kind, result.problems[0].fix))
        else:
            found.append(Said(node.name, result.code, result.out, result.err))
    return found


def _data(one: Said) -> dict[str, object]:
    return {"name": one.name, "code": one.code, "out": one.out, "err": one.err, "error": one.kind, "reason": one.why}
