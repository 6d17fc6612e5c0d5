"""What the planner sees: pods, nodes and the Auto Scaling groups, frozen at one moment. No I/O, no behaviour.

Amounts are integers (``quantity``): millicores, bytes, counts. Times are seconds since the epoch. Everything sorts
and hashes, so that equal snapshots give equal plans.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

Amounts = tuple[tuple[str, int], ...]
"""Resource and amount, sorted by resource; nothing is there twice, and zeros are left out."""
Labels = Mapping[str, str]
Market = Literal["on-demand", "spot"]
Within = Literal["zone", "region"]

ZONE, REGION = "topology.kubernetes.io/zone", "topology.kubernetes.io/region"
HOSTNAME, TYPE = "kubernetes.io/hostname", "node.kubernetes.io/instance-type"
NAME = "metadata.name"
"""Stands for the node's name among its labels, so that matchFields and matchExpressions are one thing."""


class Taint(NamedTuple):
    key: str
    value: str
    effect: str


class Toleration(NamedTuple):
    """``key`` "" with operator Exists tolerates everything; ``effect`` "" is every effect."""

    key: str
    operator: str
    value: str
    effect: str


class Expression(NamedTuple):
    """One requirement on labels: operator In, NotIn, Exists, DoesNotExist, Gt or Lt."""

    key: str
    operator: str
    values: tuple[str, ...]


Term = tuple[Expression, ...]
"""Expressions of which all must hold."""


class Spread(NamedTuple):
    """A topology spread constraint that decides (DoNotSchedule)."""

    key: str
    max_skew: int
    selector: Term
    min_domains: int


class Gang(NamedTuple):
    """Pods that run together or not at all: ``size`` of them at least, 0 when nobody says how many."""

    name: str
    size: int
    within: Within


class Needs(NamedTuple):
    """Everything about a pod that decides where it may run; pods with equal needs are one item to the planner.

    ``affinity`` are the terms of the required node affinity, of which one must hold; None when there is none.
    ``apart`` are the selectors of pods that may not share its node.
    """

    requests: Amounts
    selector: tuple[tuple[str, str], ...] = ()
    affinity: tuple[Term, ...] | None = None
    tolerations: tuple[Toleration, ...] = ()
    priority: int = 0
    spreads: tuple[Spread, ...] = ()
    apart: tuple[Term, ...] = ()
    gang: Gang | None = None


@dataclass(frozen=True, slots=True)
class Pod:
    """``node`` "" means that it waits. ``problem`` says why nothing is planned for it, though it waits.

    ``nominated``: the machine that somebody proposed to the scheduler for it (``status.nominatedNodeName``), "" none.
    ``owner`` is the kind of its controller ("" without one); ``evictable`` the wish of its annotation, if any.
    """

    namespace: str
    name: str
    needs: Needs
    node: str = ""
    labels: Labels = field(default_factory=dict)
    owner: str = ""
    owner_name: str = ""
    evictable: bool | None = None
    mirror: bool = False
    problem: str = ""
    nominated: str = ""

    @property
    def key(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Node:
    """A machine that the API server knows. ``group`` "" is a machine of no Auto Scaling group, such as metal.

    ``joining``: it is there, but not ready for the first time yet; ``broken``: it is not to be counted on;
    ``leaving``: it is on its way out, and is kept when work finds no place elsewhere without buying.
    """

    name: str
    allocatable: Amounts
    labels: Labels = field(default_factory=dict)
    taints: tuple[Taint, ...] = ()
    group: str = ""
    joining: bool = False
    broken: bool = False
    leaving: bool = False
    created: float = 0.0
    idle_since: float | None = None


class Place(NamedTuple):
    """Where and how a machine is bought; the backoff list is made of these."""

    region: str
    zone: str
    type: str
    market: str

    def __str__(self) -> str:
        return f"{self.type} {self.market} in {self.zone or self.region}"


@dataclass(frozen=True, slots=True)
class Offer:
    """One kind of machine that a group can launch: ``price`` in $/h, ``in_flight`` launched and not a node yet.

    ``coming``: the names that the first of those in flight will have as nodes, as far as they are known.
    ``closed`` says why no more of it can be bought, "" when they can; ``ONLY_IN_FLIGHT`` is told to nobody.
    """

    place: Place
    price: float
    allocatable: Amounts
    in_flight: int = 0
    closed: str = ""
    coming: tuple[str, ...] = ()


ONLY_IN_FLIGHT = "it is only what the group has launched already"


@dataclass(frozen=True, slots=True)
class Group:
    """An Auto Scaling group. ``desired`` counts its nodes and what is in flight; labels and taints are its nodes'.

    Groups of one ``pool`` ("" is a pool of its own) have ``maximum`` machines together, not each.
    """

    name: str
    offers: tuple[Offer, ...]
    minimum: int = 0
    maximum: int = 0
    desired: int = 0
    labels: Labels = field(default_factory=dict)
    taints: tuple[Taint, ...] = ()
    pool: str = ""


@dataclass(frozen=True, slots=True)
class Daemon:
    """A DaemonSet's pod, as far as it takes room on new machines."""

    name: str
    needs: Needs


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The input of a plan. ``starved`` are places that refused lately: nothing is bought there.

    ``seats``: what was promised to waiting pods (``namespace/name``) before: a node, a machine that is coming, or a
    ``flight_name``. They keep it as long as it is there and they fit.
    """

    pods: tuple[Pod, ...] = ()
    nodes: tuple[Node, ...] = ()
    groups: tuple[Group, ...] = ()
    daemons: tuple[Daemon, ...] = ()
    starved: frozenset[Place] = frozenset()
    now: float = 0.0
    warnings: tuple[str, ...] = ()
    seats: Mapping[str, str] = field(default_factory=dict)


def flight_name(group: str, place: Place, number: int) -> str:
    """What a plan calls the number-th (from 1) machine in flight of a group's offer."""
    return f"{group}: in flight, {place} #{number}"


def new_name(group: str, place: Place, number: int) -> str:
    """What a plan calls the number-th machine that it buys of a group's offer."""
    return f"{group}: new, {place} #{number}"


def amounts(of: Mapping[str, int]) -> Amounts:
    """The canonical form of a mapping of resources."""
    return tuple(sorted((name, amount) for name, amount in of.items() if amount))
