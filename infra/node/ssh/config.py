"""What the user's ~/.ssh/config adds: identity files, a jump, a port, an address. cluster.yaml's word comes first."""

from __future__ import annotations

import dataclasses
import functools
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import paramiko

from infra.node.model import Node

log = logging.getLogger("infra.node.ssh.fleet")


@dataclass(frozen=True, slots=True)
class Hints:
    """``node`` with the holes filled, the identity files named for it, and whether only those may be used."""

    node: Node
    identities: tuple[Path, ...] = ()
    only: bool = False


def hints(node: Node, path: Path | None) -> Hints:
    """What the file says of this machine, under its name and under its address."""
    config = _read(path) if path is not None else None
    if config is None:
        return Hints(node)
    said: dict[str, Any] = {}
    for name in dict.fromkeys((node.address, node.name)):
        if name:
            said = {**_lookup(config, name), **said}
    address = _lookup(config, node.address).get("hostname", node.address) if node.address else ""
    port = str(said.get("port", ""))
    jump = str(said.get("proxyjump", ""))
    return Hints(
        dataclasses.replace(
            node,
            address=address,
            port=int(port) if node.port == 22 and port.isdigit() else node.port,
            jump=node.jump or ("" if jump.lower() == "none" else jump),
        ),
        tuple(Path(item).expanduser() for item in said.get("identityfile", ())),
        str(said.get("identitiesonly", "")).lower() == "yes",
    )


def user(name: str, path: Path | None) -> str:
    """The account that the file names for a host; "" when it names none."""
    config = _read(path) if path is not None else None
    return str(_lookup(config, name).get("user", "")) if config else ""


@functools.cache
def _read(path: Path) -> paramiko.SSHConfig | None:
    """The file, read once; None when there is none, or when it holds what cannot be read here (ssh itself may)."""
    try:
        return paramiko.SSHConfig.from_path(str(path))
    except OSError:
        return None
    except (paramiko.SSHException, ValueError) as error:
        log.debug("%s is not used: %s", path, error)
        return None


def _lookup(config: paramiko.SSHConfig, name: str) -> dict[str, Any]:
    try:
        return dict(config.lookup(name))
    except (paramiko.SSHException, ImportError, OSError, ValueError) as error:  # Match exec without its library
        log.debug("~/.ssh/config says nothing of %s: %s", name, error)
        return {}
