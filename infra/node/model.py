"""A machine as we mean to reach it: its name, what it is to be, where it is, and who it must prove to be. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["metal", "host", "pool", "control-plane"]


@dataclass(frozen=True, slots=True)
class Node:
    """One machine.

    ``name`` is unique in the cluster: ``titan-01`` (metal), ``dev-1`` (a host), ``gpu-0c1d2e`` (of a pool).
    ``group`` is the name of its metal group, host or pool. ``address`` may be "" for an instance that has none yet.
    ``jump`` is the name of another node, or ``user@host:port``, to go through; "" for the direct way.
    ``host_keys`` are the keys that the file or AWS vouches for, as ``type base64``; the pins hold what was seen.
    ``where`` is the machine's place in cluster.yaml (``file:line``).
    """

    name: str
    kind: Kind
    group: str
    profile: str
    user: str
    address: str = ""
    port: int = 22
    jump: str = ""
    host_keys: tuple[str, ...] = ()
    region: str = ""
    instance: str = ""
    instance_type: str = ""
    image: str = ""
    gpus: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    where: str = ""

    @property
    def ident(self) -> str:
        """What its host key is pinned under: the machine, not its address. An instance's id, or a metal box's name."""
        return self.instance or f"{self.kind}/{self.name}"

    @property
    def login(self) -> str:
        """``user@address`` or ``user@address:port``, for people."""
        return f"{self.user}@{self.address}" + (f":{self.port}" if self.port != 22 else "")
