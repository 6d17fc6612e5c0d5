"""``infra ssh``."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

import click

from infra.cli.common import emit, spec_options
from infra.cli.node_common import Reach, reach_options
from infra.cli.node_words import WithCommand, after_dashes
from infra.errors import LoginRefused, ToolMissing, UsageError

if TYPE_CHECKING:
    from infra.cli.node_choose import Chosen

EPILOG = """\b
Examples:
  infra ssh titan-01
  infra ssh dev-1 -- nvidia-smi -L
  infra ssh i-0123456789abcdef0 -i ~/.ssh/lab
  infra ssh titan-01 --json | jq -r '.argv | @sh'      the command line, without running it
"""


@click.command("ssh", cls=WithCommand, epilog=EPILOG)
@click.argument("name")
@spec_options
@reach_options
def command(name: str, file: Path, endpoint: str | None, as_json: bool, reach: Reach) -> int:
    """Log in to the machine NAME with OpenSSH's own client, or run COMMAND there.

    Its host key must be the pinned one. A key that nobody vouches for and that is not pinned yet is shown, and pinned
    when you say that it is right; without a terminal that is an error, which says what to do. The exit code is ssh's.
    """
    from infra.cli.node_choose import choose, read, trust
    from infra.node.export import openssh

    chosen = choose(read(file, endpoint), [name], reach)
    if len(chosen.nodes) != 1:
        raise UsageError(
            f"{name!r} stands for {len(chosen.nodes)} machines",
            where="command line",
            why=", ".join(node.name for node in chosen.nodes[:8]),
            fix="name one; to run a command on many: infra node exec",
        )
    node = chosen.nodes[0]
    known = trust(chosen)
    way = [node, *(item for door in chosen.reached for item in known.way(door.jump))]
    if not as_json and any(item.ident not in known.pinned for item in way):
        _first_contact(chosen)
        known = trust(chosen)
    words = openssh.argv(node, known, identities=reach.identities, words=after_dashes() or ())
    if as_json:
        emit({"format": 1, "name": node.name, "pinned": known.known(node), "argv": words})
        return 0
    _become(words)
    return 1


def _first_contact(chosen: Chosen) -> None:
    """Connect once ourselves: the key is shown, asked about and pinned in the one place where that is done."""
    with contextlib.suppress(LoginRefused):  # OpenSSH may know other ways in
        chosen.fleet.connect(chosen.nodes[0]).close()


def _become(words: list[str]) -> None:
    import os
    import sys

    sys.stdout.flush()
    sys.stderr.flush()
    try:
        os.execvp(words[0], words)
    except OSError as error:
        raise ToolMissing(
            "the program ssh cannot be started",
            where=words[0],
            why=error.strerror or str(error),
            fix="install OpenSSH's client: apt install openssh-client",
        ) from error
