"""The world as one loop sees it: machines, nodes and pods matched, with what the loop has changed since kept up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from infra.autoscale.controller.notes import Leaving
from infra.autoscale.ports import Fleet, FleetId, Machine, Raw
from infra.autoscale.snapshot import Daemon, Node, Pod


@dataclass(slots=True)
class Berth:
    """A fleet. ``desired`` is what it is now, this loop's changes included. ``blind``: its region does not answer, and
    ``machines`` are only those that were on their way."""

    fleet: Fleet
    desired: int
    blind: bool = False
    alive: dict[str, Machine] = field(default_factory=dict)
    """Pending or in service, by id."""
    interrupted: dict[str, Machine] = field(default_factory=dict)
    going: dict[str, Machine] = field(default_factory=dict)
    """Terminating, or detached."""
    flying: list[Machine] = field(default_factory=list)
    """Of ``alive``: no node is there yet."""
    ended: int = 0
    """Machines that this loop gave back."""
    vain: int = 0
    """Machines that the group's minimum asks for and that will not come for now."""

    @property
    def id(self) -> FleetId:
        return self.fleet.id

    @property
    def unfilled(self) -> int:
        """Machines that were asked for and are not there."""
        there = len(self.flying) if self.blind else len(self.alive)
        return max(0, self.desired - there)

    @property
    def coming(self) -> int:
        """Those of them that may still come."""
        return max(0, self.unfilled - self.vain)

    @property
    def floor(self) -> int:
        """What the desired capacity may be lowered to without the group having to choose a machine."""
        return max(self.fleet.minimum, len(self.alive) + len(self.interrupted))

    @property
    def in_flight(self) -> int:
        return self.coming + len(self.flying)

    def lost(self, machine: str, lowered: bool) -> None:
        """A machine was terminated; ``lowered``: and the desired capacity with it."""
        self.alive.pop(machine, None)
        self.interrupted.pop(machine, None)
        self.flying = [one for one in self.flying if one.id != machine]
        if lowered:
            self.desired -= 1
            self.ended += 1


@dataclass(slots=True)
class Seat:
    """A node and who sits on it. ``pods`` are its work: no DaemonSets' pods, no static ones."""

    raw: Raw
    node: Node
    berth: Berth | None = None
    machine: Machine | None = None
    leaving: Leaving | None = None
    cordoned: bool = False
    ready: bool = False
    gone: bool = False
    """Its machine is no more, or is going, and the node does not answer."""
    pods: list[Pod] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.node.name


@dataclass
class View:
    """``deleting`` are pods (``namespace/name``) that are being deleted. ``blind`` is why, by region."""

    now: float
    pods: tuple[Pod, ...]
    seats: dict[str, Seat]
    berths: dict[FleetId, Berth]
    daemons: tuple[Daemon, ...]
    deleting: frozenset[str]
    blind: Mapping[str, str]
    warnings: list[str]

    def seen(self) -> Iterable[Berth]:
        """The fleets of regions that answer."""
        return (berth for berth in self.berths.values() if not berth.blind)

    def of(self, berth: Berth) -> list[Seat]:
        return [seat for seat in self.seats.values() if seat.berth is berth]
