"""A restart that is waited for: over only when another boot answers."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

from infra.errors import InfraError, LoginRefused, NodeError, NodeFailed, NodeUnreachable
from infra.node.ssh.fleet import Connection

POLL = 1.0
LOGIN = 10.0  # seconds for one try
# From a process of its own: the session it was asked in ends with the machine. Only in the boot that was meant: who
# asks twice does not restart it twice.
SCRIPT = """\
[ "$(cat /proc/sys/kernel/random/boot_id)" = "$1" ] || exit 0
sync
if [ -d /run/systemd/system ]; then
    systemd-run --quiet --on-active=1 --timer-property=AccuracySec=100ms systemctl reboot 2>/dev/null || \\
        setsid sh -c 'sleep 1; systemctl reboot' </dev/null >/dev/null 2>&1 8>&- 9>&- &
else
    setsid sh -c 'sleep 1; reboot' </dev/null >/dev/null 2>&1 8>&- 9>&- &
fi
"""
BOOT = "cat /proc/sys/kernel/random/boot_id"


def restart(connection: Connection, boot: str, *, deadline: float, tick: Callable[[float], None] | None = None) -> str:
    """Restart the machine that is in ``boot``; the id of the boot that it is in then.

    ``tick`` gets the seconds waited so far, now and then. Raises NodeUnreachable when it does not come back in time.
    """
    with contextlib.suppress(NodeUnreachable):  # it may be gone before it has answered
        connection.run(SCRIPT, boot, deadline=30)
    began = time.monotonic()
    last: InfraError | None = None
    while (waited := time.monotonic() - began) < deadline:
        if tick is not None:
            tick(waited)
        connection.fleet.pause(POLL)  # Ctrl-C ends it: the machine comes back without us
        try:
            connection.reconnect(deadline=LOGIN)
            now = connection.run(BOOT, root=False, deadline=15).out.strip()
        except (NodeUnreachable, NodeFailed, LoginRefused) as error:  # refused: it is still starting up
            last = error
            continue
        if now and now != boot:
            return now
    raise _gone(connection, deadline, last)


def _gone(connection: Connection, deadline: float, last: InfraError | None) -> NodeError:
    node = connection.node
    if last is None:
        return NodeFailed(
            f"{node.name} did not restart within {deadline / 60:.0f} min: it is still in the boot it was in",
            where=node.where or node.login,
            why="it was told to, and something there holds it up",
            fix="look what: systemd-inhibit --list; systemctl list-jobs. Restart it and run the same command again",
        )
    return NodeUnreachable(
        f"{node.name} was restarted, and does not answer since {deadline / 60:.0f} min",
        where=node.where or node.login,
        why=last.problems[0].why,
        fix="look at its console: a disk check, a boot menu, a driver that hangs. When it is up again, run the same "
        "command again: it goes on where this stopped",
    )
