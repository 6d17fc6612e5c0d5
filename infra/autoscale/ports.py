"""What the controller asks of the world: an API server and the Auto Scaling groups. Protocols and their words, no I/O.

``infra.kube.api`` and ``infra.cloud.fleets`` fill them; tests fill them with worlds in memory.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from infra.autoscale.snapshot import Labels, Market, Taint
from infra.errors import KubeError

Raw = dict[str, Any]
"""An object of Kubernetes as JSON."""


class FleetId(str):
    """``us-west-2/research-gpu``: region and name of an Auto Scaling group."""

    @property
    def region(self) -> str:
        return self.split("/", 1)[0]

    @property
    def name(self) -> str:
        return self.split("/", 1)[1]


@dataclass(frozen=True, slots=True)
class Machine:
    """An instance of a group. ``launched`` in seconds since the epoch, by the cloud's clock.

    ``node`` is its private DNS name, which its node has when it has no providerID; "" when it is not known.
    ``state``: pending (not running yet), in-service, leaving (terminating, or detached), or interrupted: spot is about
    to take it back.
    """

    id: str
    type: str
    zone: str
    state: Literal["pending", "in-service", "leaving", "interrupted"]
    launched: float
    market: Market = "on-demand"
    node: str = ""


@dataclass(frozen=True, slots=True)
class Failure:
    """A scaling activity that failed. ``code`` as EC2 has it (InsufficientInstanceCapacity, VcpuLimitExceeded…);
    ``code``, ``zone`` and ``type`` are "" when the message does not name them."""

    id: str
    when: float
    code: str
    message: str
    zone: str = ""
    type: str = ""


@dataclass(frozen=True, slots=True)
class Fleet:
    """An Auto Scaling group as AWS has it. ``types`` in order of preference; ``zones`` are those of its subnets.

    ``resources`` are what its tags promise of a machine (``nvidia.com/gpu``); CPU and memory come from the type.
    ``failures``: those of the last hour, the newest first. ``pool_maximum`` is what all groups of the pool in this
    region may have together, 0 when nothing says so.
    """

    id: FleetId
    pool: str
    types: tuple[str, ...]
    zones: tuple[str, ...]
    market: Market
    minimum: int
    maximum: int
    desired: int
    labels: Labels = field(default_factory=dict)
    taints: tuple[Taint, ...] = ()
    resources: Mapping[str, str] = field(default_factory=dict)
    machines: tuple[Machine, ...] = ()
    failures: tuple[Failure, ...] = ()
    pool_maximum: int = 0


@dataclass(frozen=True, slots=True)
class Sight:
    """The groups of all regions that answered; ``blind`` says why the others did not, by region."""

    fleets: tuple[Fleet, ...]
    blind: Mapping[str, str] = field(default_factory=dict)


class Cloud(Protocol):
    """The Auto Scaling groups of one cluster, in all its regions. Errors: ``infra.errors.CloudError``."""

    def look(self) -> Sight:
        """All groups that are the autoscaler's; a region that does not answer is in ``blind``, and no error."""

    def resize(self, fleet: FleetId, desired: int) -> None:
        """Set the desired capacity. The same number twice does nothing more."""

    def terminate(self, fleet: FleetId, machine: str) -> None:
        """Terminate one instance and lower the desired capacity by one. One that is gone already is no error."""

    def replace(self, fleet: FleetId, machine: str) -> None:
        """Terminate one instance, which the group replaces."""


class Kube(Protocol):
    """An API server, as raw JSON. Errors: ``infra.errors.KubeError`` and its kinds.

    Paths are whole: ``/api/v1/nodes/ip-10-40-1-7``.
    """

    def list(self, path: str) -> list[Raw]:
        """All items of a collection as the server's cache has them (resourceVersion 0). A kind that the server does not
        have is an empty list."""

    def get(self, path: str) -> Raw | None:
        """One object; None when it is not there."""

    def create(self, path: str, body: Raw) -> Raw:
        """Raises KubeConflict when it is there already."""

    def replace(self, path: str, body: Raw) -> Raw:
        """Raises KubeConflict when the resourceVersion in the body is no longer the newest."""

    def patch(self, path: str, body: Raw | Sequence[Raw], kind: Literal["merge", "strategic", "json"] = "merge") -> Raw:
        """Raises KubeConflict as ``replace`` does, KubeGone when the object is not there."""

    def patch_all(self, many: Sequence[tuple[str, Raw]]) -> Sequence[KubeError | None]:
        """Merge patches of (path, body), several at a time; what came of each, in their order: an error is no end."""

    def delete(self, path: str) -> None:
        """One that is gone already is no error."""

    def evict(self, namespace: str, name: str) -> str:
        """Ask for a pod's eviction; "" when it was granted or the pod is gone, else why not: a disruption budget."""


class Clock(Protocol):
    """Seconds since the epoch, and a wait that ends early when it is told to stop."""

    def now(self) -> float: ...

    def wait(self, seconds: float) -> bool:
        """True when it is time to stop."""
