"""What a rule is, and what it may look at."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar, Literal

from infra.errors import Problem
from infra.spec import catalog as shipped
from infra.spec.addresses import RegionAddresses, plan_addresses
from infra.spec.catalog import Catalog, InstanceType
from infra.spec.facts import Facts
from infra.spec.load import Loaded
from infra.spec.models import CONTROL_PLANE, Cluster, Profile

Loc = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Group:
    """Equal machines in AWS: a pool, a host or the control plane. ``loc`` is where the file names it."""

    loc: Loc
    profile: str | None
    types: tuple[str, ...]
    regions: tuple[str, ...]
    most: int  # machines per region at most
    public: bool

    @property
    def label(self) -> str:
        return ".".join(map(str, self.loc))

    def type_loc(self, index: int) -> Loc:
        return (*self.loc, "instance_types", index) if self.loc[0] == "pools" else (*self.loc, "instance_type")


@dataclass(frozen=True)
class Context:
    """A cluster, its lines, and what is known about instance types and the account."""

    loaded: Loaded
    facts: Facts = field(default_factory=Facts)

    @property
    def cluster(self) -> Cluster:
        return self.loaded.cluster

    @cached_property
    def catalog(self) -> Catalog:
        return self.facts.catalog or shipped.shipped()

    @cached_property
    def _kinds(self) -> dict[str, InstanceType | None]:
        return {}

    def kind(self, name: str) -> InstanceType | None:
        """The instance type, None when it is not known."""
        if name not in self._kinds:
            self._kinds[name] = self.catalog.instance(name)
        return self._kinds[name]

    def profile(self, name: str | None) -> Profile | None:
        return self.cluster.profiles.get(name) if name else None

    @cached_property
    def groups(self) -> tuple[Group, ...]:
        """Everything that runs in AWS; of regions only those that the file lists."""
        return tuple(_groups(self.cluster))

    @cached_property
    def addresses(self) -> dict[str, RegionAddresses]:
        """Networks of each region that gets a VPC from us; empty when ``network.cidr`` is too small."""
        try:
            return {
                region: found
                for region, found in plan_addresses(self.cluster).items()
                if region not in self.cluster.network.existing
            }
        except ValueError:
            return {}


def _groups(cluster: Cluster) -> Iterator[Group]:
    listed = cluster.aws.regions if cluster.aws else []
    for name, pool in cluster.pools.items():
        regions = tuple(region for region in cluster.pool_regions(pool) if region in listed)
        types = tuple(pool.instance_types)
        yield Group(("pools", name), pool.profile, types, regions, pool.size.max, pool.subnets == "public")
    for name, host in cluster.hosts.items():
        regions = tuple(region for region in cluster.host_region(host) if region in listed)
        public = host.subnets == "public" or (host.subnets is None and bool(cluster.access.ssh_from))
        yield Group(("hosts", name), host.profile, (host.instance_type,), regions, host.count, public)
    if cluster.aws and (plane := cluster.cloud_plane):
        loc = ("kubernetes", "control_plane")
        yield Group(loc, CONTROL_PLANE, (plane.instance_type,), (cluster.aws.home,), plane.count, False)


class Rule(ABC):
    """One rule. ``passes`` and ``fails`` are examples: they are laid over ``EXAMPLE`` and tested, and documented."""

    name: ClassVar[str]
    level: ClassVar[Literal["error", "warning"]]
    summary: ClassVar[str]
    passes: ClassVar[str]
    fails: ClassVar[str]

    @abstractmethod
    def check(self, ctx: Context) -> Iterator[Problem]:
        """Every place that breaks the rule."""

    def found(self, ctx: Context, loc: Loc, what: str, why: str, fix: str) -> Problem:
        return Problem(what, where=ctx.loaded.where(*loc), why=why, fix=fix, level=self.level, rule=self.name)


EXAMPLE = """\
version: 1
cluster: example
aws: {regions: [us-west-2]}
access:
  ssh_from: [198.51.100.0/24]
  users:
    ada: {keys: ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFrORCiFghWA5IVhIrl+Sfz3oMUZ5NRhtPQ7MAB7L40P ada@laptop"]}
profiles:
  cpu: {}
  gpu: {nvidia: {driver: "580", cuda: "12.9"}}
pools:
  cpu: {profile: cpu, instance_types: [m5.large], size: {min: 0, max: 4}}
  gpu: {profile: gpu, instance_types: [g4dn.xlarge], size: {min: 0, max: 4}}
"""
