"""What a machine is and what state it is in, asked in one round trip before anything is changed there."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Literal

from infra.errors import NodeFailed
from infra.node import scripts
from infra.node.bring.facts import Facts, Incomplete, parse
from infra.node.ssh.fleet import Connection

How = Literal["quick", "drift", "force"]

DRIFT = 240.0
SLACK = 60.0  # seconds that the script may take besides waiting for another package manager


def ask(
    connection: Connection,
    digest: str,
    *,
    hosts: Sequence[str] = (),
    patience: float = 300,
    how: How = "quick",
    waiting: Callable[[str], None] | None = None,
) -> Facts:
    """Run it on the machine.

    ``how`` says when there is nothing to do, so that the rest is not looked at: where the machine is at that policy
    (quick), where besides nothing differs from how it was left (drift), never (force). ``waiting`` is told who holds
    the package manager's lock, while that is waited for.
    """
    heard: list[float] = []

    def line(text: str) -> None:
        if text.startswith("clock\t"):
            heard.append(time.time())
        if waiting is not None and text.startswith("waiting\t"):
            waiting(text.partition("\t")[2])

    ran = connection.run(
        scripts.text("preflight"),
        digest,
        str(int(patience)),
        " ".join(hosts),
        how,
        deadline=patience + SLACK + (DRIFT if how == "drift" else 0.0),
        on_line=line,
        check=False,
    )
    try:
        return parse(ran.out.splitlines(), heard[0] if heard else time.time())
    except Incomplete as error:
        node = connection.node
        raise NodeFailed(
            f"{node.name} could not be looked at",
            where=node.where or node.login,
            why="\n".join((ran.err.strip() or ran.out.strip() or str(error)).splitlines()[-5:]),
            fix="look at what that machine says (a full disk, no /proc), then run the same command again",
        ) from error
