"""What a machine is, and the three kinds of them: pools, hosts, metal."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from infra.spec.form import Model
from infra.spec.names import LIMIT, expand
from infra.spec.scalars import (
    Cidr,
    Fact,
    Gigabytes,
    HostName,
    ImageId,
    InstanceTypeName,
    Name,
    RegionName,
    ReservationId,
    RunListItem,
    Share,
    UserName,
    Version,
    ZoneName,
    plain,
)

Labels = Annotated[dict[str, str], Field(description="Kubernetes labels of the nodes")]


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


class MayDiffer(Model):
    """What need not be the same on all machines of a profile, beside what ships as allowed."""

    what: Fact = Field(description="as infra node verify names it; `*` stands for anything: `sysctl:net.core.*`")
    why: str = Field(min_length=8, description="the reason, which the report shows")


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
    may_differ: list[MayDiffer] = Field([], description="what infra node verify lets its machines have differently")

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
            if given.get("spot") is True:
                given.pop("spot")
                return {"kind": "spot", **given}
            if "reservation" in given:
                return {"kind": "reservation", **given}
            if "on_demand_base" in given and "spot" not in given:
                return {"kind": "spot", **given}
        return value

    @model_validator(mode="after")
    def _fits(self) -> Capacity:
        if self.kind in ("reservation", "block") and self.reservation is None:
            raise ValueError(f"the {self.kind} is not named: {{{self.kind}: cr-…}}")
        return self


class Taint(Model):
    """Keeps pods away that do not tolerate it."""

    key: str = Field(description="such as lab/gpu")
    value: str = Field("", description="may be empty")
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] = Field(
        "NoSchedule", description="what happens to pods that do not tolerate it"
    )


class Pool(Model):
    """An Auto Scaling group of equal machines in each of ``regions``."""

    profile: Name = Field(description="one of the profiles")
    instance_types: list[InstanceTypeName] = Field(min_length=1, description="in order of preference")
    regions: list[RegionName] = Field([], description="left out: the home region")
    zone: ZoneName | None = Field(
        None,
        description="the only zone of its machines: a reservation's, such as us-east-2b; left out: all that are used",
    )
    size: Size
    capacity: Capacity = Capacity()
    placement: Literal["cluster", "spread", "partition"] | None = Field(
        None,
        description="placement group: cluster for the fastest network, in one zone",
    )
    efa: bool = Field(False, description="Elastic Fabric Adapter on every card that has one")
    disk: Gigabytes = Field(100, description="root disk, encrypted: 100GB, 1TB")
    subnets: Literal["private", "public"] = Field("private", description="where its machines are")
    labels: Labels = {}
    taints: list[Taint] = Field([], description="Kubernetes taints of the nodes")


class Host(Model):
    """Long-lived instances to log in to."""

    profile: Name = Field(description="one of the profiles")
    instance_type: InstanceTypeName = Field(description="such as g4dn.xlarge")
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

    name: HostName = Field(description="its name in the network; the part before the first dot is its name here")
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


def names_of(value: Any) -> Any:
    """A list of names, with all that its patterns stand for. One that is not well formed is refused as a name."""
    if not isinstance(value, list):
        return value
    return [host["name"] if isinstance(host, dict) else host for item in value for host in expanded(item)]


def _metal_hosts(value: Any) -> Any:
    if not isinstance(value, list):
        return value
    hosts: list[Any] = []
    for item in value:
        hosts += expanded(item)
        if len(hosts) > LIMIT:
            raise ValueError(f"a group has at most {LIMIT} machines")
    return hosts


def at_a_time(share: str, machines: int) -> int:
    """``2`` or ``25%`` of so many machines: at least 1, rounded down."""
    return max(1, machines * int(share[:-1]) // 100 if share.endswith("%") else int(share))


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
    max_unavailable: Share = Field("1", description="so many are converged at a time: a number, or a part such as 25%")
    labels: Labels = {}

    def at_a_time(self, machines: int | None = None) -> int:
        """How many of ``machines`` (left out: all of the group) may be away at once; at least 1, rounded down."""
        return at_a_time(self.max_unavailable, len(self.hosts) if machines is None else machines)
