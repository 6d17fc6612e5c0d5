"""OpenSSH's own client for a node: what it is to be called with, and an Include for ``~/.ssh/config``. Pure.

Both use the cluster's pins and nothing else: the host key is looked up under the machine's ident, and one that is not
there, or is another one, ends the connection. Where a CA vouches for host keys, a machine without a pin is believed by
its certificate, for its name or address.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from infra.node.model import Node

HEAD = "# Written by infra ssh-config for the cluster {cluster}; it is written anew, not changed."


@dataclass(frozen=True, slots=True)
class Trust:
    """The file of ``pins``, the idents that have a key there, and the file of ``authorities`` (None: there is no CA).

    ``doors``: name -> a machine of ours that others may be reached through.
    """

    pins: Path
    pinned: frozenset[str]
    doors: Mapping[str, Node]
    authorities: Path | None = None

    def known(self, node: Node) -> bool:
        """Whether OpenSSH can tell this machine from another."""
        return node.ident in self.pinned or self.authorities is not None

    def options(self, node: Node) -> dict[str, str]:
        """Those that decide whom OpenSSH believes."""
        by_certificate = self.authorities if node.ident not in self.pinned else None
        return {
            **({} if by_certificate else {"HostKeyAlias": node.ident}),
            "UserKnownHostsFile": f'"{_escaped(by_certificate or self.pins)}"',
            "GlobalKnownHostsFile": "/dev/null",
            "StrictHostKeyChecking": "yes",
            "CheckHostIP": "no",
            "UpdateHostKeys": "no",
        }

    def way(self, jump: str) -> list[Node]:
        """The machines that ``jump`` names, the first one to reach first. One that is none of ours has an ident too."""
        return [self.doors.get(item) or outside(item) for item in jump.split(",")] if jump else []


def outside(jump: str) -> Node:
    """A jump host that is no machine of ours: ``host``, ``user@host``, ``user@host:port``, ``user@[address]:port``."""
    user, _, place = jump.rpartition("@")
    host, port = place, ""
    if place.startswith("["):
        host, _, port = place[1:].partition("]")
        port = port.removeprefix(":")
    elif place.count(":") == 1:
        host, _, port = place.partition(":")
    number = int(port) if port.isdigit() else 22
    return Node(f"{host}:{port}" if port else host, "host", "jump", "", user, address=host, port=number)


def authorities(keys: Iterable[str]) -> str:
    """The text of a file of CAs, as OpenSSH reads it."""
    return "".join(f"@cert-authority * {key}\n" for key in keys)


def argv(node: Node, trust: Trust, *, identities: Sequence[Path] = (), words: Sequence[str] = ()) -> list[str]:
    """The command line of ``ssh``; ``words`` are run there.

    The way through a jump is a command of its own: what is given with ``-J`` would take the user's settings.
    """
    made = ["ssh", *_options(node, trust, identities)]
    if node.jump:
        made += ["-o", f"ProxyCommand={_proxy(node, trust, identities)}"]
    return [*made, _login(node), *(["--", *words] if words else [])]


def _login(node: Node) -> str:
    return f"{node.user}@{node.address}" if node.user else node.address


def _options(node: Node, trust: Trust, identities: Sequence[Path]) -> list[str]:
    found = ["-p", str(node.port)]
    for name, value in trust.options(node).items():
        found += ["-o", f"{name}={value}"]
    for path in identities:
        found += ["-i", str(path)]
    return found


def _proxy(node: Node, trust: Trust, identities: Sequence[Path], passed: frozenset[str] = frozenset()) -> str:
    """The command that gets to ``%h:%p`` through the node's jump; percent signs of its own are doubled."""
    door = trust.way(node.jump)[-1]
    words = ["ssh", "-W", "[%h]:%p", *(text.replace("%", "%%") for text in _options(door, trust, identities))]
    before = node.jump.rpartition(",")[0]  # what it is itself reached through
    behind = replace(door, jump=before) if before else door
    if behind.jump and door.ident not in passed:
        inner = _proxy(behind, trust, identities, passed | {door.ident})
        words += ["-o", "ProxyCommand=" + inner.replace("%", "%%")]
    return shlex.join([*words, _login(door)])


def _escaped(path: Path) -> str:
    """OpenSSH expands tokens such as ``%h`` in the names of files."""
    return str(path).replace("%", "%%")


def config(cluster: str, nodes: Iterable[Node], trust: Trust, *, identities: Sequence[Path] = ()) -> str:
    """Text for an Include in ``~/.ssh/config``: a Host for each node, as NAME and as NAME.CLUSTER."""
    listed = list(nodes)
    ours = {node.name for node in listed}
    strangers = {item.name: item for node in listed for item in trust.way(node.jump) if item.name not in ours}
    blocks = [HEAD.format(cluster=cluster)]
    for node in (*listed, *strangers.values()):
        blocks.append(_block(node, cluster, trust, identities))
    return "\n\n".join(blocks) + "\n"


def _block(node: Node, cluster: str, trust: Trust, identities: Sequence[Path]) -> str:
    if not node.address:
        return f"# {node.name} has no address yet"
    lines = [] if trust.known(node) else [f"# its host key is not pinned yet: infra ssh {node.name}"]
    full = alias(node, cluster)
    lines.append(f"Host {full}" if node.group == "jump" else f"Host {node.name} {full}")
    lines.append(f"  HostName {node.address}")
    lines += [f"  User {node.user}"] if node.user else []
    lines += [f"  Port {node.port}"] if node.port != 22 else []
    lines += [f"  {name} {value}" for name, value in trust.options(node).items()]
    lines += [f'  IdentityFile "{_escaped(path)}"' for path in identities]
    if node.jump:
        lines.append(f"  ProxyJump {','.join(alias(item, cluster) for item in trust.way(node.jump))}")
    return "\n".join(lines)


def alias(node: Node, cluster: str) -> str:
    """The name that a node has in the Include and nowhere else."""
    return f"{node.name.replace(':', '-')}.{cluster}"
