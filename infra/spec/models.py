"""The typed form of ``cluster.yaml``, version 1.

A model here says what a value looks like; whether values fit each other is for the rules in ``infra.spec.rules``.
Sizes are in GB (10**9 bytes), prices nowhere. Every default is safe and cheap: nothing here starts a machine that the
file does not name.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    field_validator,
    model_validator,
)

from infra.spec.names import expand

REGION = r"^[a-z]{2}(-[a-z]+)+-[0-9]$"
LOCAL = "local"

Name = Annotated[
    str,
    StringConstraints(pattern=r"^[a-z][a-z0-9-]*$", max_length=32),
    Field(description="lower-case letters, digits and dashes, starting with a letter, at most 32 characters"),
]
RegionName = Annotated[str, StringConstraints(pattern=REGION), Field(description="an AWS region, such as us-west-2")]
InstanceTypeName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]+\.[a-z0-9-]+$")]
MountPoint = Annotated[str, StringConstraints(pattern=r"^/[A-Za-z0-9._/-]*$"), Field(description="an absolute path")]
UserName = Annotated[str, StringConstraints(pattern=r"^[a-z_][a-z0-9_-]{0,31}$")]


def _network(value: str) -> str:
    try:
        net = ipaddress.ip_network(value)
    except ValueError as error:
        raise ValueError(f"{error}; a network is written 10.40.0.0/14") from error
    if net.version != 4:
        raise ValueError("only IPv4 networks are supported")
    return str(net)


Cidr = Annotated[str, AfterValidator(_network), Field(description="an IPv4 network, such as 10.40.0.0/14")]

_UNITS = {"": 1, "GB": 1, "GIB": 1, "G": 1, "TB": 1000, "TIB": 1024, "T": 1000}


def _gigabytes(value: Any) -> Any:
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        match = re.fullmatch(r"\s*([0-9]{1,7})\s*([A-Za-z]*)\s*", value)
        if not match or match[2].upper() not in _UNITS:
            raise ValueError("a size is a number of GB, or a text such as 200GB or 1TB")
        return int(match[1]) * _UNITS[match[2].upper()]
    return value


Gigabytes = Annotated[
    int, BeforeValidator(_gigabytes, json_schema_input_type=int | str), Field(ge=1, le=64_000, description="100GB, 1TB")
]


def _text(value: Any) -> Any:
    """Versions are often written without quotes: 580, 12.9."""
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


Version = Annotated[
    str,
    BeforeValidator(_text, json_schema_input_type=str | float),
    StringConstraints(pattern=r"^[0-9]+(\.[0-9]+){0,3}$"),
]


class Model(BaseModel):
    """Frozen, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Aws(Model):
    """Where the cloud part lives. The first region is home."""

    regions: list[RegionName] = Field(min_length=1, description="in order of preference; the first is home")
    endpoint: str | None = Field(
        None, description="'local' for the embedded AWS; a URL for another AWS-compatible server; leave out for AWS"
    )
    profile: str | None = Field(None, description="a profile of ~/.aws/config")
    account: Annotated[str, BeforeValidator(_text), StringConstraints(pattern=r"^[0-9]{12}$")] | None = Field(
        None, description="the only account this file may be applied to"
    )

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

    bucket: str = Field(min_length=3, max_length=63)
    prefix: str = Field("", pattern=r"^[A-Za-z0-9._/-]*$")
    region: RegionName


class State(Model):
    s3: S3State | None = None


class Selector(Model):
    """Something that is already there: by ``id``, or by ``tags``."""

    id: str | None = None
    tags: dict[str, str] = {}

    @model_validator(mode="after")
    def _one(self) -> Selector:
        if (self.id is None) == (not self.tags):
            raise ValueError("give either id or tags")
        return self


class SubnetSelector(Model):
    """Subnets that are already there: by ``ids``, or by ``tags``."""

    ids: list[str] = []
    tags: dict[str, str] = {}

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
    cidr: Cidr = Field("10.40.0.0/14", description="carved into one equal part per region")
    zones: int = Field(2, ge=1, le=6, description="availability zones used in each region")
    nat: Literal["one", "per-zone", "none"] = "one"
    existing: dict[RegionName, ExistingNetwork] = {}
    flow_logs: bool = Field(True, description="VPC flow logs, rejected traffic, kept 30 days")


class User(Model):
    keys: list[Annotated[str, StringConstraints(pattern=r"^(ssh|ecdsa|sk-)\S+ [A-Za-z0-9+/=]+( .*)?$")]] = Field(
        min_length=1, description="SSH public keys"
    )
    sudo: bool = False


class Access(Model):
    ssh_from: list[Cidr] = Field([], description="networks that may reach port 22; none: through SSM only")
    users: dict[UserName, User] = {}


class Nvidia(Model):
    driver: Version = Field("580", description="driver branch")
    cuda: Version = Field("12.9", description="CUDA toolkit")
    module: Literal["open", "proprietary"] | None = Field(
        None, description="kernel module; left out: what the GPU needs"
    )


class Docker(Model):
    version: Version = "28"


class Profile(Model):
    """What a machine is. Baked into an AMI for the cloud, pushed over SSH to metal."""

    os: Literal["ubuntu-22.04", "ubuntu-24.04"] = "ubuntu-24.04"
    run_list: list[Annotated[str, StringConstraints(pattern=r"^(role|recipe)\[[a-z][a-z0-9_:-]*\]$")]] = []
    nvidia: Nvidia | None = None
    docker: Docker | None = None
    attributes: dict[str, Any] = Field({}, description="attributes for the cookbooks, as Chef knows them")
    image: Annotated[str, StringConstraints(pattern=r"^ami-[0-9a-f]{8,17}$")] | None = Field(
        None, description="an AMI to use as it is"
    )

    @model_validator(mode="before")
    @classmethod
    def _nothing(cls, value: Any) -> Any:
        return {} if value is None else value


class Size(Model):
    """Machines in each region of the pool. ``desired`` left out: the autoscaler's, or ``min``."""

    min: int = Field(0, ge=0, le=10_000)
    desired: int | None = Field(None, ge=0, le=10_000)
    max: int = Field(ge=0, le=10_000)

    @model_validator(mode="before")
    @classmethod
    def _number(cls, value: Any) -> Any:
        if isinstance(value, int) and not isinstance(value, bool):
            return {"min": value, "desired": value, "max": value}
        return value


class Capacity(Model):
    """How capacity is bought: ``on-demand``, ``spot``, or a reservation."""

    kind: Literal["on-demand", "spot", "reservation", "block"] = "on-demand"
    reservation: Annotated[str, StringConstraints(pattern=r"^cr-[0-9a-f]{8,17}$")] | None = None
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
    key: str
    value: str = ""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] = "NoSchedule"


class Pool(Model):
    """An Auto Scaling group of equal machines in each of ``regions``."""

    profile: Name
    instance_types: list[InstanceTypeName] = Field(min_length=1, description="in order of preference")
    regions: list[RegionName] = Field([], description="left out: the home region")
    size: Size
    capacity: Capacity = Capacity()
    placement: Literal["cluster", "spread", "partition"] | None = None
    efa: bool = False
    disk: Gigabytes = 100
    subnets: Literal["private", "public"] = "private"
    labels: dict[str, str] = {}
    taints: list[Taint] = []


class Host(Model):
    """Long-lived instances to log in to."""

    profile: Name
    instance_type: InstanceTypeName
    count: int = Field(1, ge=0, le=100)
    region: RegionName | None = Field(None, description="left out: the home region")
    disk: Gigabytes = 100
    subnets: Literal["private", "public"] | None = Field(
        None, description="left out: public when access.ssh_from names anybody, else private"
    )
    labels: dict[str, str] = {}


class Gpus(Model):
    model: Name
    count: int = Field(ge=1, le=16)


class MetalHost(Model):
    name: str = Field(pattern=r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$", max_length=253)
    address: str = ""
    port: int = Field(22, ge=1, le=65_535)
    host_key: str | None = Field(None, description="the SSH host key to expect")

    @property
    def short(self) -> str:
        return self.name.split(".")[0]


def _metal_hosts(value: Any) -> Any:
    if not isinstance(value, list):
        return value
    hosts: list[Any] = []
    for item in value:
        hosts += [{"name": name} for name in expand(item)] if isinstance(item, str) else [item]
    return hosts


class Metal(Model):
    """Physical machines that are reached by SSH."""

    profile: Name
    hosts: Annotated[
        list[MetalHost],
        BeforeValidator(_metal_hosts, json_schema_input_type=list[str | MetalHost]),
        Field(min_length=1, description="names, patterns such as titan-[01-08].lab, or {name, address, port}"),
    ]
    user: UserName = "ubuntu"
    gpus: Gpus | None = None
    jump: str | None = Field(None, description="a host to go through (ProxyJump)")
    cidr: Cidr | None = Field(None, description="the network they are in")
    labels: dict[str, str] = {}


class Nfs(Model):
    host: str = Field(min_length=1)
    export: MountPoint


class Efs(Model):
    throughput: Literal["elastic", "bursting"] = "elastic"
    backup: bool = True

    @model_validator(mode="before")
    @classmethod
    def _nothing(cls, value: Any) -> Any:
        return {} if value is None else value


class S3Bucket(Model):
    bucket: str = Field(min_length=3, max_length=63)
    expire_days: int | None = Field(None, ge=1, le=36_500)
    versioned: bool = True


class Storage(Model):
    """One file system: exactly one of ``nfs``, ``efs``, ``s3``, and where it is mounted."""

    nfs: Nfs | None = None
    efs: Efs | None = None
    s3: S3Bucket | None = None
    mount: MountPoint
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
    instance_type: InstanceTypeName = "m5.large"
    count: Literal[1, 3] = 1
    disk: Gigabytes = 100


class Autoscale(Model):
    pools: list[Name] = []


class Kubernetes(Model):
    version: Version = "1.36"
    control_plane: ControlPlane = ControlPlane()
    pod_cidr: Cidr = "10.32.0.0/13"
    service_cidr: Cidr = "10.31.0.0/16"
    autoscale: Autoscale | None = None


class Cluster(Model):
    """Everything one ``cluster.yaml`` describes."""

    version: Literal[1] = Field(description="of this format")
    cluster: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]*$", max_length=24)] = Field(
        description="its name: lower-case letters, digits and dashes, at most 24 characters"
    )
    aws: Aws | None = None
    state: State = State()
    network: Network = Network()
    access: Access = Access()
    profiles: dict[Name, Profile] = {}
    pools: dict[Name, Pool] = {}
    hosts: dict[Name, Host] = {}
    metal: dict[Name, Metal] = {}
    storage: dict[Name, Storage] = {}
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
