"""The typed form of ``cluster.yaml``, version 1.

A model here says what a value looks like; whether values fit each other is for the rules in ``infra.spec.rules``.
Sizes are in GB (10**9 bytes), prices nowhere. Every default is safe and cheap: nothing here starts a machine that the
file does not name.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from infra.spec.names import LIMIT, expand
from infra.spec.scalars import (
    Account,
    Bucket,
    Cidr,
    ClusterName,
    Gigabytes,
    HostName,
    ImageId,
    InstanceTypeName,
    KeyPrefix,
    MountPoint,
    Name,
    PublicKey,
    RegionName,
    ReservationId,
    RunListItem,
    UserName,
    Version,
    plain,
)

LOCAL = "local"

Labels = Annotated[dict[str, str], Field(description="Kubernetes labels of the nodes, and tags of the machines")]


class Model(BaseModel):
    """Frozen; an unknown key is an error; a key with nothing after it is as if it were not there."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    @model_validator(mode="before")
    @classmethod
    def _written(cls, value: Any) -> Any:
        if isinstance(value, dict) and None in value.values():
            return {key: item for key, item in value.items() if item is not None}
        return value


class Aws(Model):
    """Where the cloud part lives. The first region is home."""

    regions: list[RegionName] = Field(min_length=1, description="in order of preference; the first is home")
    endpoint: str | None = Field(
        None, description="'local' for the embedded AWS; a URL for another AWS-compatible server; leave out for AWS"
    )
    profile: str | None = Field(None, description="a profile of ~/.aws/config")
    account: Account | None = Field(None, description="the only account this file may be applied to")

    @field_validator("regions")
    @classmethod
    def _unique(cls, value: list[str]) -> list[str]:
        if len(set(value)) != len(value):
            raise ValueError("a region is named twice")
        return value

    @field_validator("endpoint")
    @classmethod
    def _endpoint(cls, value: str | None) -> str | None:
        if value not in (None, LOCAL) and not re.match(r"^https?://[^\s/]+", str(value)):
            raise ValueError("an endpoint is 'local' or a URL such as http://127.0.0.1:5000")
        return value

    @property
    def home(self) -> str:
        return self.regions[0]


class S3State(Model):
    """Terraform state in S3, encrypted, versioned and locked; the bucket is made if it is not there."""

    bucket: Bucket = Field(description="the bucket of the state; not one that holds data")
    prefix: KeyPrefix = Field("", description="folder in the bucket")
    region: RegionName = Field(description="where the bucket is")


class State(Model):
    """Where Terraform's state is kept; left out: in files beside cluster.yaml."""

    s3: S3State | None = None


class Selector(Model):
    """Something that is already there: by ``id``, or by ``tags``."""

    id: str | None = Field(None, description="such as vpc-0123456789abcdef0")
    tags: dict[str, str] = Field({}, description="tags that exactly one has")

    @model_validator(mode="after")
    def _one(self) -> Selector:
        if (self.id is None) == (not self.tags):
            raise ValueError("give either id or tags")
        return self


class SubnetSelector(Model):
    """Subnets that are already there: by ``ids``, or by ``tags``."""

    ids: list[str] = Field([], description="such as subnet-0123456789abcdef0")
    tags: dict[str, str] = Field({}, description="tags that all of them have")

    @model_validator(mode="after")
    def _one(self) -> SubnetSelector:
        if bool(self.ids) == bool(self.tags):
            raise ValueError("give either ids or tags")
        return self


class ExistingNetwork(Model):
    """The lab's own VPC in one region. Nothing in it is changed but for security groups that we add."""

    vpc: Selector
    private: SubnetSelector
    public: SubnetSelector | None = None


class Network(Model):
    """The VPC of each region: private and public subnets in each zone."""

    cidr: Cidr = Field("10.40.0.0/14", description="carved into one equal part per region")
    zones: int = Field(2, ge=1, le=6, description="availability zones used in each region")
    nat: Literal["one", "per-zone", "none"] = Field("one", description="NAT gateways of each region")
    existing: dict[RegionName, ExistingNetwork] = Field({}, description="regions in which the lab has a VPC of its own")
    flow_logs: bool = Field(True, description="VPC flow logs, rejected traffic, kept 30 days")


class User(Model):
    """Somebody who may log in on every node."""

    keys: list[PublicKey] = Field(min_length=1, description="SSH public keys")
    sudo: bool = Field(False, description="may become root")


class Access(Model):
    """Who may log in, and from where."""

    ssh_from: list[Cidr] = Field([], description="networks that may reach port 22; none: through SSM only")
    users: dict[UserName, User] = {}


class Nvidia(Model):
    """The driver and the CUDA toolkit of a machine with NVIDIA GPUs."""

    driver: Version = Field("580", description="driver branch")
    cuda: Version = Field("12.9", description="CUDA toolkit")
    module: Literal["open", "proprietary"] | None = Field(
        None, description="kernel module; left out: what the GPU needs"
    )


class Docker(Model):
    """The container engine."""

    version: Version = Field("28", description="of Docker Engine")


class Profile(Model):
    """What a machine is. Baked into an AMI for the cloud, pushed over SSH to metal."""

    os: Literal["ubuntu-22.04", "ubuntu-24.04"] = Field("ubuntu-24.04", description="the operating system")
    run_list: list[RunListItem] = Field([], description="roles and recipes of the cookbooks, in order")
    nvidia: Nvidia | None = None
    docker: Docker | None = None
    attributes: Annotated[dict[str, Any], AfterValidator(plain)] = Field(
        {}, description="attributes for the cookbooks, as Chef knows them"
    )
    image: ImageId | None = Field(None, description="an AMI to use as it is")

    @model_validator(mode="before")
    @classmethod
    def _nothing(cls, value: Any) -> Any:
        return {} if value is None else value


class Size(Model):
    """Machines in each region of the pool. ``desired`` left out: the autoscaler's, or ``min``."""

    min: int = Field(0, ge=0, le=10_000, description="never fewer")
    desired: int | None = Field(
        None, ge=0, le=10_000, description="at the start; later too, if nothing scales the pool"
    )
    max: int = Field(ge=0, le=10_000, description="never more")

    @model_validator(mode="before")
    @classmethod
    def _number(cls, value: Any) -> Any:
        if isinstance(value, int) and not isinstance(value, bool):
            return {"min": value, "desired": value, "max": value}
        return value


class Capacity(Model):
    """How capacity is bought: ``on-demand``, ``spot``, ``{reservation: cr-…}`` or ``{block: cr-…}``."""

    kind: Literal["on-demand", "spot", "reservation", "block"] = Field(
        "on-demand", description="seldom written: the other keys tell it"
    )
    reservation: ReservationId | None = Field(None, description="a capacity reservation, or a capacity block's")
    on_demand_base: int = Field(0, ge=0, le=10_000, description="with spot: so many are bought on demand first")

    @model_validator(mode="before")
    @classmethod
    def _forms(cls, value: Any) -> Any:
        if isinstance(value, str):
            if value not in ("on-demand", "spot"):
                raise ValueError("a capacity is on-demand, spot, {reservation: cr-…} or {block: cr-…}")
            return {"kind": value}
        if isinstance(value, dict) and "kind" not in value:
            given = dict(value)
            if "block" in given and "reservation" not in given:
                return {"kind": "block", "reservation": given.pop("block"), **given}
            if "reservation" in given and "spot" not in given:
                return {"kind": "reservation", **given}
            if given.get("spot") is True:
                given.pop("spot")
                return {"kind": "spot", **given}
            if "on_demand_base" in given and "spot" not in given:
                return {"kind": "spot", **given}
        return value

    @model_validator(mode="after")
    def _fits(self) -> Capacity:
        if (self.kind in ("reservation", "block")) != (self.reservation is not None):
            raise ValueError(f"capacity {self.kind} and reservation {self.reservation} do not go together")
        return self


class Taint(Model):
    """Keeps pods away that do not tolerate it."""

    key: str
    value: str = ""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] = "NoSchedule"


class Pool(Model):
    """An Auto Scaling group of equal machines in each of ``regions``."""

    profile: Name = Field(description="one of the profiles")
    instance_types: list[InstanceTypeName] = Field(min_length=1, description="in order of preference")
    regions: list[RegionName] = Field([], description="left out: the home region")
    size: Size
    capacity: Capacity = Capacity()
    placement: Literal["cluster", "spread", "partition"] | None = Field(
        None, description="placement group: cluster for the fastest network, in one zone"
    )
    efa: bool = Field(False, description="Elastic Fabric Adapter on every card that has one")
    disk: Gigabytes = Field(100, description="root disk, encrypted: 100GB, 1TB")
    subnets: Literal["private", "public"] = Field("private", description="where its machines are")
    labels: Labels = {}
    taints: list[Taint] = Field([], description="Kubernetes taints of the nodes")


class Host(Model):
    """Long-lived instances to log in to."""

    profile: Name = Field(description="one of the profiles")
    instance_type: InstanceTypeName
    count: int = Field(1, ge=0, le=100, description="so many equal ones")
    region: RegionName | None = Field(None, description="left out: the home region")
    disk: Gigabytes = Field(100, description="root disk, encrypted: 100GB, 1TB")
    subnets: Literal["private", "public"] | None = Field(
        None, description="left out: public when access.ssh_from names anybody, else private"
    )
    labels: Labels = {}


class Gpus(Model):
    """The GPUs of each machine of the group."""

    model: Name = Field(description="such as titan-x-pascal, rtx-3090, a100")
    count: int = Field(ge=1, le=16, description="in each machine")


class MetalHost(Model):
    """One physical machine."""

    name: HostName
    address: str = Field("", description="where SSH finds it; left out: its name")
    port: int = Field(22, ge=1, le=65_535, description="of SSH")
    host_key: str | None = Field(None, description="the SSH host key to expect")

    @property
    def short(self) -> str:
        return self.name.split(".")[0]


def expanded(item: Any) -> list[Any]:
    """One entry of ``hosts`` as it is read: a text stands for all names of its pattern. A pattern that is not well
    formed stays as it is, and is refused as a name, with the reason."""
    if not isinstance(item, str):
        return [item]
    try:
        return [{"name": name} for name in expand(item)]
    except ValueError:
        return [{"name": item}]


def _metal_hosts(value: Any) -> Any:
    if not isinstance(value, list):
        return value
    hosts: list[Any] = []
    for item in value:
        hosts += expanded(item)
        if len(hosts) > LIMIT:
            raise ValueError(f"a group has at most {LIMIT} machines")
    return hosts


class Metal(Model):
    """Physical machines that are reached by SSH."""

    profile: Name = Field(description="one of the profiles")
    hosts: Annotated[
        list[MetalHost],
        BeforeValidator(_metal_hosts, json_schema_input_type=list[str | MetalHost]),
        Field(min_length=1, description="names, patterns such as titan-[01-08].lab, or {name, address, port}"),
    ]
    user: UserName = Field("ubuntu", description="the account to log in as; it may use sudo")
    gpus: Gpus | None = None
    jump: str | None = Field(None, description="a host to go through (ProxyJump)")
    cidr: Cidr | None = Field(None, description="the network they are in")
    labels: Labels = {}


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


class ControlPlane(Model):
    """The machines that run the API server and etcd."""

    instance_type: InstanceTypeName = "m5.large"
    count: Literal[1, 3] = Field(1, description="3 for one that survives the loss of a machine")
    disk: Gigabytes = Field(100, description="root disk, encrypted: 100GB, 1TB")


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
    def _home(self) -> list[str]:
        return [self.aws.home] if self.aws else []
