"""What carries the cluster's tag in AWS and is in no state: made by hand, or by an apply that died before it said so.

Looked for with the few describing calls that can filter by tag; buckets and roles are not looked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from infra.cloud.aws import Session, translated
from infra.cloud.known import Known

CLUSTER, ADDRESS = "infra:cluster", "infra:address"
GONE_STATES = ("terminated", "shutting-down", "deleted", "deleting")
GROUP_TAG = "aws:autoscaling:groupName"


@dataclass(frozen=True, slots=True)
class Stray:
    """``made_as`` is the Terraform address that its tag names, or ""."""

    id: str
    kind: str
    name: str = ""
    made_as: str = ""

    def data(self) -> dict[str, str]:
        return {"id": self.id, "kind": self.kind, "name": self.name, "made_as": self.made_as}


def find(session: Session, region: str, cluster: str, known: Known) -> list[Stray]:
    """Everything tagged with the cluster's name that the state does not know, by kind and id."""
    found = [*_ec2(session, region, cluster, known), *_groups(session, region, cluster, known)]
    found += _file_systems(session, region, cluster, known)
    return sorted(found, key=lambda stray: (stray.kind, stray.id))


def _ec2(session: Session, region: str, cluster: str, known: Known) -> Iterator[Stray]:
    """One listing of tags covers every kind of thing in EC2; what it names is then looked at.

    Machines of a group, their disks and interfaces carry the cluster's name and no address: they are the group's.
    """
    tags, kinds = _tags(session, region)
    ours = {name: said for name, said in tags.items() if said.get(CLUSTER) == cluster and name not in known.ids}
    wanted = {name for name, said in ours.items() if kinds[name] == "instance" or ADDRESS in said}
    groups = {thing.values.get("name") for thing in known.of("aws_autoscaling_group")}
    for kind in sorted({kinds[name] for name in wanted}):
        for name in _there(session, region, kind, sorted(name for name in wanted if kinds[name] == kind), groups):
            yield Stray(name, kind.replace("-", " "), ours[name].get("Name", ""), _address(ours[name]))


def _tags(session: Session, region: str) -> tuple[dict[str, dict[str, str]], dict[str, str]]:
    """(tags that matter, kind) of everything in EC2, by id."""
    tags: dict[str, dict[str, str]] = {}
    kinds: dict[str, str] = {}
    with translated("ec2:DescribeTags", region, session.profile):
        pages = session.client("ec2", region).get_paginator("describe_tags")
        for key in (CLUSTER, ADDRESS, "Name"):
            for page in pages.paginate(Filters=[{"Name": "key", "Values": [key]}]):
                for item in page["Tags"]:
                    tags.setdefault(item["ResourceId"], {})[key] = item["Value"]
                    kinds[item["ResourceId"]] = item["ResourceType"]
    return tags, kinds


# Kind as tags name it -> (operation, filter by id, where the answers are, where the id is).
_LISTS = {
    "instance": ("describe_instances", "instance-id", "Reservations", "InstanceId"),
    "natgateway": ("describe_nat_gateways", "nat-gateway-id", "NatGateways", "NatGatewayId"),
    "subnet": ("describe_subnets", "subnet-id", "Subnets", "SubnetId"),
    "vpc": ("describe_vpcs", "vpc-id", "Vpcs", "VpcId"),
    "route-table": ("describe_route_tables", "route-table-id", "RouteTables", "RouteTableId"),
    "security-group": ("describe_security_groups", "group-id", "SecurityGroups", "GroupId"),
    "internet-gateway": (
        "describe_internet_gateways",
        "internet-gateway-id",
        "InternetGateways",
        "InternetGatewayId",
    ),
    "vpc-endpoint": ("describe_vpc_endpoints", "vpc-endpoint-id", "VpcEndpoints", "VpcEndpointId"),
}


def _there(session: Session, region: str, kind: str, ids: list[str], groups: set[Any]) -> list[str]:
    """Those that exist: AWS lists tags of what was deleted a moment ago. Kinds not in the table are believed."""
    if kind not in _LISTS:
        return ids
    operation, by, answers, own = _LISTS[kind]
    with translated(f"ec2:{operation}", region, session.profile):
        said = getattr(session.client("ec2", region), operation)(Filters=[{"Name": by, "Values": ids}])[answers]
    items = [item for group in said for item in group["Instances"]] if kind == "instance" else said
    return [item[own] for item in items if not _gone(item) and _group(item) not in groups]


def _gone(item: Mapping[str, Any]) -> bool:
    state = item.get("State", "")
    return (state["Name"] if isinstance(state, dict) else state) in GONE_STATES


def _group(item: Mapping[str, Any]) -> str | None:
    """The Auto Scaling group that started an instance."""
    return next((tag["Value"] for tag in item.get("Tags", ()) if tag["Key"] == GROUP_TAG), "")


def _groups(session: Session, region: str, cluster: str, known: Known) -> Iterator[Stray]:
    with translated("autoscaling:DescribeAutoScalingGroups", region, session.profile):
        pages = session.client("autoscaling", region).get_paginator("describe_auto_scaling_groups")
        for page in pages.paginate(Filters=[{"Name": f"tag:{CLUSTER}", "Values": [cluster]}]):
            for item in page["AutoScalingGroups"]:
                tags = {tag["Key"]: tag["Value"] for tag in item.get("Tags", ())}
                name = item["AutoScalingGroupName"]
                deleting = item.get("Status", "").startswith("Delete")
                if tags.get(CLUSTER) == cluster and name not in known.ids and not deleting:
                    yield Stray(name, "Auto Scaling group", name, _address(tags))


def _file_systems(session: Session, region: str, cluster: str, known: Known) -> Iterator[Stray]:
    with translated("elasticfilesystem:DescribeFileSystems", region, session.profile):
        pages = session.client("efs", region).get_paginator("describe_file_systems")
        for page in pages.paginate():
            for item in page["FileSystems"]:
                tags = {tag["Key"]: tag["Value"] for tag in item.get("Tags", ())}
                gone = item["LifeCycleState"] in GONE_STATES
                if tags.get(CLUSTER) == cluster and item["FileSystemId"] not in known.ids and not gone:
                    yield Stray(item["FileSystemId"], "EFS file system", item.get("Name", ""), _address(tags))


def _address(tags: Mapping[str, Any]) -> str:
    from infra.cloud.root_terms import address_of_tag

    return address_of_tag(str(tags.get(ADDRESS, ""))) if tags.get(ADDRESS) else ""
