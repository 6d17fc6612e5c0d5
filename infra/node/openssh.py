"""OpenSSH's own client for a node: what it is to be called with, and an Include for ``~/.ssh/config``. Pure.

Both use the pins and nothing else: the host key is looked up under the machine's ident, and one that is not there, or
is another one, ends the connection.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from infra.node.model import Node

HEAD = "# Written by infra ssh-config for the cluster {cluster}; it is written anew, not changed."


def argv(
    node: Node, pins: Path, doors: Mapping[str, Node], *, identities: Sequence[Path] = (), words: Sequence[str] = ()
) -> list[str]:
    """The command line of ``ssh``. ``doors``: name -> a machine of ours that may be a jump; ``words`` are run there.

    The way through a jump is a command of its own: what is given with ``-J`` would take the user's settings.
    """
    made = ["ssh", *_options(node, pins, identities)]
    if node.jump:
        made += ["-o", f"ProxyCommand={_proxy(node.jump, pins, doors, identities)}"]
    return [*made, f"{node.user}@{node.address}", *(["--", *words] if words else [])]


def _options(node: Node, pins: Path, identities: Sequence[Path]) -> list[str]:
    found = ["-p", str(node.port)]
    for option in (
        f"HostKeyAlias={node.ident}",
        f'UserKnownHostsFile="{_escaped(pins)}"',
        "GlobalKnownHostsFile=/dev/null",
        "StrictHostKeyChecking=yes",
        "CheckHostIP=no",
        "UpdateHostKeys=no",
    ):
        found += ["-o", option]
    for path in identities:
        found += ["-i", str(path)]
    return found


def _proxy(
    jump: str, pins: Path, doors: Mapping[str, Node], identities: Sequence[Path], passed: frozenset[str] = frozenset()
) -> str:
    """The command that gets to ``%h:%p`` through ``jump``; percent signs of its own are doubled."""
    door = doors.get(jump)
    if door is None:
        user_host, port = split(jump)
        return shlex.join(["ssh", "-W", "[%h]:%p", *(["-p", port] if port else []), "--", user_host])
    words = ["ssh", "-W", "[%h]:%p", *(text.replace("%", "%%") for text in _options(door, pins, identities))]
    if door.jump and jump not in passed:
        inner = _proxy(door.jump, pins, doors, identities, passed | {jump})
        words += ["-o", "ProxyCommand=" + inner.replace("%", "%%")]
    return shlex.join([*words, f"{door.user}@{door.address}"])


def _escaped(path: Path) -> str:
    """OpenSSH expands tokens such as ``%h`` in the names of files."""
    return str(path).replace("%", "%%")


def split(jump: str) -> tuple[str, str]:
    """``user@host:port`` → (``user@host``, port or "")."""
    host, colon, port = jump.rpartition(":")
    return (host, port) if colon and port.isdigit() and not host.endswith(":") else (jump, "")


def config(
    cluster: str, nodes: Iterable[Node], pins: Path, known: Iterable[str], *, identities: Sequence[Path] = ()
) -> str:
    """Text for an Include in ``~/.ssh/config``: a Host for each node, as NAME and as NAME.CLUSTER.

    ``known`` are the names of the nodes whose host key is pinned.
    """
    pinned, listed = set(known), list(nodes)
    ours = {node.name for node in listed}
    blocks = [HEAD.format(cluster=cluster)]
    for node in listed:
        if not node.address:
            blocks.append(f"# {node.name} has no address yet")
            continue
        lines = [] if node.name in pinned else [f"# its host key is not pinned yet: infra ssh {node.name}"]
        lines += [f"Host {node.name} {node.name}.{cluster}", f"  HostName {node.address}", f"  User {node.user}"]
        lines += [f"  Port {node.port}"] if node.port != 22 else []
        lines += [
            f"  HostKeyAlias {node.ident}",
            f'  UserKnownHostsFile "{_escaped(pins)}"',
            "  GlobalKnownHostsFile /dev/null",
        ]
        lines += ["  StrictHostKeyChecking yes", "  CheckHostIP no", "  UpdateHostKeys no"]
        lines += [f'  IdentityFile "{path}"' for path in identities]
        if node.jump:
            lines.append(f"  ProxyJump {node.jump + '.' + cluster if node.jump in ours else node.jump}")
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks) + "\n"
