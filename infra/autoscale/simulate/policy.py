"""What a policy sees and what it may order: the protocol between the simulated world and who buys its machines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from infra.autoscale.snapshot import Place, Snapshot


@dataclass(frozen=True, slots=True)
class Launch:
    """``count`` machines more of a group, of one place."""

    group: str
    place: Place
    count: int


@dataclass(frozen=True)
class View:
    """The world at one look. ``since``: when each waiting pod arrived; ``failed``: launches refused since the last
    look; ``launched``: when each machine (by node name) was launched."""

    snapshot: Snapshot
    since: Mapping[str, float] = field(default_factory=dict)
    failed: tuple[Launch, ...] = ()
    launched: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Orders:
    """``remove`` are node names; their pods are evicted. ``nominate``: the machine that is proposed to the scheduler,
    by waiting pod; "" takes a proposal back. ``again``: look again at this moment whatever happens, None: not before
    something has happened."""

    launches: tuple[Launch, ...] = ()
    remove: tuple[str, ...] = ()
    again: float | None = None
    nominate: Mapping[str, str] = field(default_factory=dict)


class Policy(Protocol):
    """Decides at each look; keeps its own memory."""

    name: str
    interval: float
    """Seconds between looks."""
    gangs: bool
    """Whether the scheduler beside it binds gangs whole."""

    def decide(self, view: View) -> Orders: ...
