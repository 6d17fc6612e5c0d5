"""What is simulated, and how the simulated world behaves."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from infra.autoscale.simulate.floor import Scheduler
from infra.autoscale.simulate.results import Billing
from infra.autoscale.simulate.trace import Job
from infra.autoscale.snapshot import Daemon, Group, Node, Place, Pod


@dataclass(frozen=True)
class Settings:
    """``launch`` seconds from the order until a machine runs and is paid for; ``join`` from there until it takes pods,
    drawn up to ``spread`` (a share) longer. ``planning`` seconds pass from a policy's look to its orders.
    ``nominations``: the scheduler keeps nominations for machines that are not there yet (Kubernetes from 1.35).
    ``capacity``: machines that a place has, unlimited where it is not named. ``tail``: seconds after the last work for
    which machines that are still there are paid."""

    launch: float = 30.0
    join: float = 90.0
    spread: float = 0.2
    planning: float = 1.0
    nominations: bool = True
    seed: int = 0
    billing: Billing = "second"
    capacity: Mapping[Place, int] = field(default_factory=dict)
    scheduler: Scheduler = "pack"
    tail: float = 3600.0
    horizon: float = math.inf


@dataclass(frozen=True)
class Scene:
    """What there is to simulate. ``nodes`` are there from the start and cost what their group's offer does; those
    without a group cost nothing. ``bound`` run on them for as long as the simulation lasts."""

    jobs: tuple[Job, ...]
    groups: tuple[Group, ...]
    nodes: tuple[Node, ...] = ()
    bound: tuple[Pod, ...] = ()
    daemons: tuple[Daemon, ...] = ()
