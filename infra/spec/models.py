"""The typed form of ``cluster.yaml``, version 1.

A model here says what a value looks like; whether values fit each other is for the rules in ``infra.spec.rules``.
Sizes are in GB (10**9 bytes), prices nowhere. Every default is safe and cheap: nothing here starts a machine that the
file does not name.
"""

from __future__ import annotations

import ipaddress
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from infra.spec.form import Model
from infra.spec.machines import (
    Capacity,
    Docker,
    Gpus,
    Host,
    Metal,
    MetalHost,
    Nvidia,
    Pool,
    Profile,
    Size,
    Taint,
    expanded,
    names_of,
)
from infra.spec.places import (
    LOCAL,
    Access,
    Aws,
    ExistingNetwork,
    Network,
    S3State,
    Selector,
    State,
    SubnetSelector,
    User,
)
from infra.spec.scalars import (
    Bucket,
    Cidr,
    ClusterName,
    Gigabytes,
    HostName,
    InstanceTypeName,
    Minutes,
    MountPoint,
    Name,
    RegionName,
    Sha256,
    Version,
)

__all__ = [
    "CONTROL_PLANE",
    "LOCAL",
    "Access",
    "Autoscale",
    "Aws",
    "Capacity",
    "Chef",
    "Cluster",
    "ControlPlane",
    "Converge",
    "Docker",
    "Efs",
    "ExistingNetwork",
    "Gpus",
    "Host",
    "Kubernetes",
    "Metal",
    "MetalHost",
    "Model",
    "Network",
    "Nfs",
    "Nvidia",
    "Pool",
    "Profile",
    "S3Bucket",
    "S3State",
    "Selector",
    "Size",
    "State",
    "Storage",
    "SubnetSelector",
    "Taint",
    "User",
    "expanded",
]


class Nfs(Model):
    """A file server that is already there."""

    host: str = Field(min_length=1, description="its name or address")
    export: MountPoint = Field(description="the exported folder")


class Efs(Model):
    """A file system that AWS grows and serves; encrypted."""

    throughput: Literal["elastic", "bursting"] = Field("elastic", description="elastic is paid by use")
    backup: bool = Field(True, description="daily, kept 35 days")

    @model_validator(mode="before")
    @classmethod
    def _nothing(cls, value: Any) -> Any:
        return {} if value is None else value


class S3Bucket(Model):
    """An object store; encrypted and private."""

    bucket: Bucket = Field(description="its name, unique in all of AWS")
    expire_days: int | None = Field(None, ge=1, le=36_500, description="objects older than this are deleted")
    versioned: bool = Field(True, description="deleted and replaced objects can be had back")


class Storage(Model):
    """One file system: exactly one of ``nfs``, ``efs``, ``s3``, and where it is mounted."""

    nfs: Nfs | None = None
    efs: Efs | None = None
    s3: S3Bucket | None = None
    mount: MountPoint = Field(description="the folder on every node, such as /data")
    regions: list[RegionName] = Field([], description="left out: the home region")

    @model_validator(mode="before")
    @classmethod
    def _empty_efs(cls, value: Any) -> Any:
        return {**value, "efs": {}} if isinstance(value, dict) and "efs" in value and value["efs"] is None else value

    @model_validator(mode="after")
    def _one(self) -> Storage:
        if sum(kind is not None for kind in (self.nfs, self.efs, self.s3)) != 1:
            raise ValueError("a storage is exactly one of nfs, efs and s3")
        return self

    @property
    def kind(self) -> Literal["nfs", "efs", "s3"]:
        return "nfs" if self.nfs else "efs" if self.efs else "s3"


CONTROL_PLANE = "control-plane"
"""The profile of the machines below. A file need not have it: they are baked like all others."""


API_PORT = 6443


class ControlPlane(Model):
    """The machines that run the API server and etcd: instances, or physical ones that ``metal`` names."""

    instance_type: InstanceTypeName = Field("m5.large", description="2 vCPUs and 2 GiB at least")
    count: Literal[1, 3] = Field(1, description="3 for one that survives the loss of a machine")
    disk: Gigabytes = Field(100, description="root disk, encrypted: 100GB, 1TB")
    metal: Annotated[list[HostName], BeforeValidator(names_of, json_schema_input_type=list[str])] = Field(
        [], description="physical machines instead, one or three: names of machines of metal, or patterns of them"
    )
    address: str | None = Field(
        None,
        min_length=1,
        description="with metal: where the API is; a free IP address of their network, which goes from one to another, "
        "or a name that you keep in DNS",
    )
    schedule: bool = Field(True, description="with metal: they run pods, too")

    @property
    def size(self) -> int:
        """How many machines."""
        return len(self.metal) or self.count

    @property
    def virtual(self) -> str:
        """The address that the machines hand to each other; "" for a name, or none."""
        try:
            return str(ipaddress.IPv4Address(self.address or ""))
        except ValueError:
            return ""


class Autoscale(Model):
    """Pools grow with waiting pods and shrink when machines idle."""

    pools: list[Name] = Field([], description="the pools whose size follows the work")


class Kubernetes(Model):
    """One cluster over the pools and the metal."""

    version: Version = Field("1.36", description="minor version, such as 1.36")
    control_plane: ControlPlane = ControlPlane()
    pod_cidr: Cidr = Field("10.32.0.0/13", description="addresses of pods; a /24 of it per node")
    service_cidr: Cidr = Field("10.31.0.0/16", description="addresses of services")
    autoscale: Autoscale | None = None
    pod_credentials: Literal["none", "node"] = Field(
        "none", description="what pods are in AWS: none, nobody; or node, whatever the role of their machine may"
    )
    image: str | None = Field(
        None, min_length=1, description="container image of infra, for the autoscaler; left out: infra:VERSION"
    )


class Chef(Model):
    """The client that converges every machine; its package is pinned by its digest."""

    client: Literal["cinc", "chef"] = Field("cinc", description="cinc is free; chef needs a licence, and a url")
    version: Version = Field("18.5.0", description="of the client")
    url: str | None = Field(
        None, min_length=1, description="its package: a URL, or a path beside this file; left out: where Cinc publishes"
    )
    sha256: Sha256 | dict[Literal["x86_64", "arm64"], Sha256] | None = Field(
        None, description="of the package; one per architecture where they differ"
    )

    def digest(self, architecture: str) -> str:
        """The package's sha256 for an architecture; "" when it is not given."""
        if isinstance(self.sha256, dict):
            return next((value for name, value in self.sha256.items() if name == architecture), "")
        return self.sha256 or ""


class Converge(Model):
    """What machines do by themselves to be as promoted; without it they change when an operator changes them."""

    pull: Minutes | None = Field(
        None, description="so often each machine fetches the promoted policy from S3: 30m, 2h; left out: never"
    )
    reboot: bool = Field(False, description="a machine that pulls reboots by itself where a driver needs it")


class Cluster(Model):
    """Everything one ``cluster.yaml`` describes."""

    version: Literal[1] = Field(description="of this format")
    cluster: ClusterName = Field(description="its name: lower-case letters, digits and dashes, at most 24 characters")
    aws: Aws | None = None
    state: State = State()
    network: Network = Network()
    access: Access = Access()
    profiles: dict[Name, Profile] = Field({}, description="what a machine is")
    pools: dict[Name, Pool] = Field({}, description="Auto Scaling groups")
    hosts: dict[Name, Host] = Field({}, description="long-lived machines to log in to")
    metal: dict[Name, Metal] = Field({}, description="physical machines, in groups")
    storage: dict[Name, Storage] = Field({}, description="file systems, mounted on every node")
    kubernetes: Kubernetes | None = None
    chef: Chef = Chef()
    converge: Converge = Converge()

    @model_validator(mode="after")
    def _baked(self) -> Cluster:
        if self.cloud_plane and CONTROL_PLANE not in self.profiles:
            self.profiles[CONTROL_PLANE] = Profile(run_list=[f"role[{CONTROL_PLANE}]"])
        return self

    @property
    def local(self) -> bool:
        """True when the cloud part runs on the embedded AWS."""
        return self.aws is not None and self.aws.endpoint == LOCAL

    @property
    def workname(self) -> str:
        """The name of the work folder: the embedded AWS never shares a state with the real one."""
        return f"{self.cluster}@local" if self.local else self.cluster

    def pool_regions(self, pool: Pool) -> list[str]:
        return pool.regions or self._home

    def host_region(self, host: Host) -> list[str]:
        return [host.region] if host.region else self._home

    def storage_regions(self, storage: Storage) -> list[str]:
        return [] if storage.kind == "nfs" else storage.regions or self._home

    def autoscaled(self, pool: str) -> bool:
        """True when the autoscaler sets the pool's size; plans then leave ``desired`` alone."""
        scale = self.kubernetes.autoscale if self.kubernetes else None
        return scale is not None and pool in scale.pools

    @property
    def cloud_plane(self) -> ControlPlane | None:
        """The control plane, where it is of instances in the home region."""
        kube = self.kubernetes
        return kube.control_plane if kube and self.aws and not kube.control_plane.metal else None

    @property
    def plane_hosts(self) -> list[tuple[str, MetalHost]]:
        """The physical machines of the control plane, with their groups, in its order; the first makes the cluster."""
        wanted = self.kubernetes.control_plane.metal if self.kubernetes else []
        known = {host.short: (group, host) for group, metal in self.metal.items() for host in metal.hosts}
        return [known[name.split(".")[0]] for name in wanted if name.split(".")[0] in known]

    @property
    def api(self) -> str:
        """``host:port`` of the API of physical machines; "" where the control plane is elsewhere."""
        hosts = self.plane_hosts
        if self.kubernetes is None or not hosts:
            return ""
        first = hosts[0][1]
        return f"{self.kubernetes.control_plane.address or first.address or first.name}:{API_PORT}"

    @property
    def _home(self) -> list[str]:
        return [self.aws.home] if self.aws else []
