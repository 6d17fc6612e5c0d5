"""Where things are, and who may come in: AWS, state, network, access."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field, field_validator, model_validator

from infra.spec.form import Model
from infra.spec.scalars import Account, Bucket, Cidr, KeyPrefix, PublicKey, RegionName, UserName

LOCAL = "local"


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
        if value and "@" in value:
            raise ValueError("an endpoint holds no user and password: it is written into files")
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
    ssh_ca: list[PublicKey] = Field(
        [], description="public keys of SSH CAs that certify the nodes' host keys, for a node's name or address"
    )
    user_ca: list[PublicKey] = Field(
        [],
        description="public keys of SSH CAs whose users' certificates open the accounts that they name, on every node",
    )
