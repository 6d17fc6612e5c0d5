"""What is in AWS of one cluster in one region: everything with its tag, and what has a name that a plan wants.

A few describing calls per service, side by side; none changes anything. Only an adoption pays for them.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any

from infra.cloud import aws
from infra.cloud.aws import Session
from infra.cloud.mending.adopt import CLUSTER, Found
from infra.errors import AccessDenied

Item = Mapping[str, Any]
THREADS = 6


@dataclass(frozen=True, slots=True)
class Search:
    """Where to look. ``names``: by Terraform type, the names that are looked up besides what carries the tag."""

    session: Session
    region: str
    cluster: str
    names: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def client(self, service: str) -> Any:
        return self.session.client(service, self.region)

    def pages(self, service: str, operation: str, key: str, **arguments: Any) -> list[Item]:
        """All items of a listing. An answer that does not come in pages is one page."""
        client = self.client(service)
        with aws.translated(f"{service}:{operation}", profile=self.session.profile):
            if client.can_paginate(operation):
                return [item for page in client.get_paginator(operation).paginate(**arguments) for item in page[key]]
            return list(getattr(client, operation)(**arguments)[key])

    def ask(self, service: str, operation: str, absent: Sequence[str], **arguments: Any) -> Item | None:
        """One answer, or None when AWS says that there is no such thing (``absent``: the codes that say so)."""
        from botocore.exceptions import ClientError

        with aws.translated(f"{service}:{operation}", profile=self.session.profile):
            try:
                answer: Item = getattr(self.client(service), operation)(**arguments)
            except ClientError as error:
                if aws.code_of(error) in absent:
                    return None
                raise
        return answer


@dataclass(frozen=True, slots=True)
class Ec2:
    """How EC2 describes a kind. ``keys``: Terraform's argument -> EC2's field."""

    type: str
    operation: str
    answer: str
    id: str
    keys: Mapping[str, str] = field(default_factory=dict)
    created: str = ""

    @property
    def filter(self) -> str:
        """Two kinds call their filters otherwise."""
        return "Filter" if self.type in ("aws_nat_gateway", "aws_flow_log") else "Filters"


GONE = ("deleting", "deleted", "failed", "rejected", "expired")
_NAMED_GROUP = {"vpc_id": "VpcId", "name": "GroupName"}
_SERVED = {"vpc_id": "VpcId", "service_name": "ServiceName"}
_TEMPLATE = {"name": "LaunchTemplateName"}

EC2 = (
    Ec2("aws_vpc", "describe_vpcs", "Vpcs", "VpcId"),
    Ec2("aws_subnet", "describe_subnets", "Subnets", "SubnetId", {"vpc_id": "VpcId", "cidr_block": "CidrBlock"}),
    Ec2("aws_internet_gateway", "describe_internet_gateways", "InternetGateways", "InternetGatewayId"),
    Ec2("aws_route_table", "describe_route_tables", "RouteTables", "RouteTableId"),
    Ec2("aws_security_group", "describe_security_groups", "SecurityGroups", "GroupId", _NAMED_GROUP),
    Ec2("security_group_rule", "describe_security_group_rules", "SecurityGroupRules", "SecurityGroupRuleId"),
    Ec2("aws_eip", "describe_addresses", "Addresses", "AllocationId"),
    Ec2(
        "aws_nat_gateway",
        "describe_nat_gateways",
        "NatGateways",
        "NatGatewayId",
        {"subnet_id": "SubnetId"},
        "CreateTime",
    ),
    Ec2("aws_vpc_endpoint", "describe_vpc_endpoints", "VpcEndpoints", "VpcEndpointId", _SERVED, "CreationTimestamp"),
    Ec2("aws_flow_log", "describe_flow_logs", "FlowLogs", "FlowLogId", {}, "CreationTime"),
    Ec2(
        "aws_launch_template",
        "describe_launch_templates",
        "LaunchTemplates",
        "LaunchTemplateId",
        _TEMPLATE,
        "CreateTime",
    ),
    Ec2("aws_key_pair", "describe_key_pairs", "KeyPairs", "KeyName", {"key_name": "KeyName"}, "CreateTime"),
    Ec2("aws_placement_group", "describe_placement_groups", "PlacementGroups", "GroupName", {"name": "GroupName"}),
)
"""One describing call each; instances come in reservations and have a function of their own."""

Finder = Callable[[Search], Iterable[Found]]


@dataclass(frozen=True, slots=True)
class Inventory:
    """What was found, and sentences on where nobody lets us look."""

    found: tuple[Found, ...] = ()
    gaps: tuple[str, ...] = ()


def inventory(search: Search) -> Inventory:
    """Everything of the cluster in the region. What we may not look at is a gap; other refusals are raised."""
    search.client("ec2")  # loads botocore once, before the threads would all do so
    finders: list[Finder] = [*[partial(_ec2, kind=kind) for kind in EC2], *FINDERS]
    found: list[Found] = []
    gaps: list[str] = []
    with ThreadPoolExecutor(THREADS, thread_name_prefix="find") as pool:
        for future in [pool.submit(_all, finder, search) for finder in finders]:
            try:
                found += future.result()
            except AccessDenied as error:
                gaps.append(f"not looked at: {error}")
    return Inventory(tuple(found), tuple(gaps))


def _all(finder: Finder, search: Search) -> list[Found]:
    return list(finder(search))


def _ec2(search: Search, kind: Ec2) -> Iterable[Found]:
    tag = {"Name": f"tag:{CLUSTER}", "Values": [search.cluster]}
    items = search.pages("ec2", kind.operation, kind.answer, **{kind.filter: [tag]})
    for name in search.names.get(kind.type, ()):  # made, and not yet tagged
        if not any(item[kind.id] == name or name in map(item.get, kind.keys.values()) for item in items):
            items += _by_name(search, kind, name)
    for item in items:
        if item.get("State") in GONE or item.get("GroupName") == "default":
            continue
        yield from _found(kind, item)


def _by_name(search: Search, kind: Ec2, name: str) -> list[Item]:
    filters = {
        "aws_launch_template": "launch-template-name",
        "aws_key_pair": "key-name",
        "aws_placement_group": "group-name",
    }
    if kind.type not in filters:
        return []
    return search.pages("ec2", kind.operation, kind.answer, Filters=[{"Name": filters[kind.type], "Values": [name]}])


def _found(kind: Ec2, item: Item) -> Iterable[Found]:
    tags = tags_of(item.get("Tags"))
    type_ = kind.type
    keys = {name: item.get(key, "") for name, key in kind.keys.items()}
    if type_ == "security_group_rule":
        type_ = f"aws_vpc_security_group_{'egress' if item.get('IsEgress') else 'ingress'}_rule"
        keys = {"security_group_id": item.get("GroupId", "")}
    if type_ == "aws_nat_gateway":
        keys["allocation_id"] = next((one.get("AllocationId", "") for one in item.get("NatGatewayAddresses", [])), "")
    if type_ == "aws_route_table":
        yield from _associations(item)
        yield from routes(item)
    vpc = "" if type_ == "aws_vpc" else _vpc(item)
    created = _time(item.get(kind.created)) if kind.created else None
    yield Found(type_, item[kind.id], tags, keys, vpc=vpc, created=created)


def _associations(table: Item) -> Iterable[Found]:
    for item in table.get("Associations", []):
        if subnet := item.get("SubnetId"):
            keys = {"subnet_id": subnet, "route_table_id": table["RouteTableId"]}
            path = f"{subnet}/{table['RouteTableId']}"
            found = Found("aws_route_table_association", item["RouteTableAssociationId"], {}, keys, path, _vpc(table))
            yield found


def routes(table: Item) -> Iterable[Found]:
    """Those that somebody made. A state has them under a number of their destination."""
    for item in table.get("Routes", []):
        target = item.get("DestinationCidrBlock")
        if target and item.get("Origin") == "CreateRoute":
            ident = f"r-{table['RouteTableId']}{zlib.crc32(target.encode())}"
            keys = {"route_table_id": table["RouteTableId"], "destination_cidr_block": target}
            yield Found("aws_route", ident, {}, keys, f"{table['RouteTableId']}_{target}", _vpc(table))


def _vpc(item: Item) -> str:
    attached = next((one.get("VpcId", "") for one in item.get("Attachments", []) if isinstance(one, Mapping)), "")
    logged = item.get("ResourceId", "")
    return str(item.get("VpcId") or attached or (logged if str(logged).startswith("vpc-") else ""))


def _instances(search: Search) -> Iterable[Found]:
    """Hosts and control planes; a pool's machines carry no address and belong to their group."""
    live = ["pending", "running", "stopping", "stopped"]
    filters = [
        {"Name": f"tag:{CLUSTER}", "Values": [search.cluster]},
        {"Name": "instance-state-name", "Values": live},
    ]
    for reservation in search.pages("ec2", "describe_instances", "Reservations", Filters=filters):
        for item in reservation["Instances"]:
            keys = {"subnet_id": item.get("SubnetId", "")}
            created = _time(item.get("LaunchTime"))
            yield Found(
                "aws_instance", item["InstanceId"], tags_of(item.get("Tags")), keys, vpc=_vpc(item), created=created
            )


def _groups(search: Search) -> Iterable[Found]:
    wanted = set(search.names.get("aws_autoscaling_group", ()))
    for item in search.pages("autoscaling", "describe_auto_scaling_groups", "AutoScalingGroups"):
        tags, name = tags_of(item.get("Tags")), item["AutoScalingGroupName"]
        if (tags.get(CLUSTER) == search.cluster or name in wanted) and item.get("Status") is None:
            yield Found("aws_autoscaling_group", name, tags, {"name": name}, created=_time(item.get("CreatedTime")))


def _file_systems(search: Search) -> Iterable[Found]:
    wanted = set(search.names.get("aws_efs_file_system", ()))
    for item in search.pages("efs", "describe_file_systems", "FileSystems"):
        tags, token, ident = tags_of(item.get("Tags")), item["CreationToken"], item["FileSystemId"]
        ours = tags.get(CLUSTER) == search.cluster or token in wanted
        if not ours or item["LifeCycleState"] in GONE:
            continue
        created = _time(item["CreationTime"])
        yield Found("aws_efs_file_system", ident, tags, {"creation_token": token}, created=created)
        for target in search.pages("efs", "describe_mount_targets", "MountTargets", FileSystemId=ident):
            if target["LifeCycleState"] not in GONE:
                keys = {"file_system_id": ident, "subnet_id": target["SubnetId"]}
                yield Found("aws_efs_mount_target", target["MountTargetId"], {}, keys, vpc=target.get("VpcId", ""))


def _roles(search: Search) -> Iterable[Found]:
    """IAM lists no tags: only names that a plan wants, and those that begin as ours do, are looked at."""
    for item in _iam(search, "list_roles", "Roles", "RoleName", "aws_iam_role"):
        name = item["RoleName"]
        answer = search.ask("iam", "list_role_tags", ("NoSuchEntity",), RoleName=name)
        if answer is not None:
            tags = tags_of(answer["Tags"])
            yield Found("aws_iam_role", name, tags, {"name": name}, created=_time(item["CreateDate"]))


def _profiles(search: Search) -> Iterable[Found]:
    for item in _iam(
        search, "list_instance_profiles", "InstanceProfiles", "InstanceProfileName", "aws_iam_instance_profile"
    ):
        name = item["InstanceProfileName"]
        answer = search.ask("iam", "get_instance_profile", ("NoSuchEntity",), InstanceProfileName=name)
        if answer is not None:
            tags = tags_of(answer["InstanceProfile"].get("Tags"))
            created = _time(item["CreateDate"])
            yield Found("aws_iam_instance_profile", name, tags, {"name": name}, created=created)


def _iam(search: Search, operation: str, key: str, name: str, type_: str) -> Iterable[Item]:
    wanted = set(search.names.get(type_, ()))
    prefix = f"{search.cluster}-{search.region}-"
    for item in search.pages("iam", operation, key):
        if item[name] in wanted or item[name].startswith(prefix):
            yield item


def _log_groups(search: Search) -> Iterable[Found]:
    prefixes = {f"/infra/{search.cluster}/", *search.names.get("aws_cloudwatch_log_group", ())}
    items = {
        item["logGroupName"]: item
        for prefix in sorted(prefixes)
        for item in search.pages("logs", "describe_log_groups", "logGroups", logGroupNamePrefix=prefix)
    }
    for name, item in items.items():
        answer = search.ask("logs", "list_tags_log_group", ("ResourceNotFoundException",), logGroupName=name)
        if answer is not None:
            created = datetime.fromtimestamp(item["creationTime"] / 1000, UTC)
            yield Found("aws_cloudwatch_log_group", name, answer.get("tags", {}), {"name": name}, created=created)


def _buckets(search: Search) -> Iterable[Found]:
    """Only buckets that a plan names: S3 finds nothing by tag."""
    wanted = set(search.names.get("aws_s3_bucket", ()))
    if not wanted:
        return
    for item in search.pages("s3", "list_buckets", "Buckets"):
        if item["Name"] in wanted:
            answer = search.ask("s3", "get_bucket_tagging", ("NoSuchTagSet", "NoSuchBucket"), Bucket=item["Name"])
            tags = tags_of(answer["TagSet"] if answer else None)
            keys = {"bucket": item["Name"]}
            yield Found("aws_s3_bucket", item["Name"], tags, keys, created=_time(item.get("CreationDate")))


def _balancers(search: Search) -> Iterable[Found]:
    """Load balancers, their listeners and target groups; all three carry tags."""
    items = {
        item["LoadBalancerArn"]: ("aws_lb", {"name": item["LoadBalancerName"]}, item)
        for item in search.pages("elbv2", "describe_load_balancers", "LoadBalancers")
    }
    items |= {
        item["TargetGroupArn"]: ("aws_lb_target_group", {"name": item["TargetGroupName"]}, item)
        for item in search.pages("elbv2", "describe_target_groups", "TargetGroups")
    }
    wanted = {name for type_ in ("aws_lb", "aws_lb_target_group") for name in search.names.get(type_, ())}
    tags = _balancer_tags(search, list(items))
    for arn, (type_, keys, item) in items.items():
        if tags.get(arn, {}).get(CLUSTER) != search.cluster and keys["name"] not in wanted:
            continue
        yield Found(
            type_, arn, tags.get(arn, {}), keys, vpc=item.get("VpcId", ""), created=_time(item.get("CreatedTime"))
        )
        if type_ == "aws_lb":
            yield from _listeners(search, arn, item.get("VpcId", ""))


def _listeners(search: Search, balancer: str, vpc: str) -> Iterable[Found]:
    items = search.pages("elbv2", "describe_listeners", "Listeners", LoadBalancerArn=balancer)
    tags = _balancer_tags(search, [item["ListenerArn"] for item in items])
    for item in items:
        keys = {"load_balancer_arn": balancer, "port": item.get("Port")}
        yield Found("aws_lb_listener", item["ListenerArn"], tags.get(item["ListenerArn"], {}), keys, vpc=vpc)


def _balancer_tags(search: Search, arns: Sequence[str]) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for start in range(0, len(arns), 20):  # as many as AWS answers for at once
        part = list(arns[start : start + 20])
        for item in search.pages("elbv2", "describe_tags", "TagDescriptions", ResourceArns=part):
            found[item["ResourceArn"]] = tags_of(item["Tags"])
    return found


FINDERS: tuple[Finder, ...] = (
    _instances,
    _groups,
    _file_systems,
    _roles,
    _profiles,
    _log_groups,
    _buckets,
    _balancers,
)


def strangers(search: Search) -> list[str]:
    """Ids of networks and templates with the cluster's tag: few calls, to see whether the cluster is there at all.

    The things themselves are asked for and not their tags: a tag can outlive what it was on for a while.
    """
    mine = [{"Name": f"tag:{CLUSTER}", "Values": [search.cluster]}]
    asked = (
        ("describe_vpcs", "Vpcs", "VpcId"),
        ("describe_security_groups", "SecurityGroups", "GroupId"),
        ("describe_launch_templates", "LaunchTemplates", "LaunchTemplateId"),
    )
    try:
        return sorted(
            item[key]
            for method, list_name, key in asked
            for item in search.pages("ec2", method, list_name, Filters=mine)
        )
    except AccessDenied:
        return []  # it only guards; who may not look may still apply


def tags_of(pairs: Any) -> dict[str, str]:
    return {str(pair["Key"]): str(pair["Value"]) for pair in pairs or ()}


def _time(value: Any) -> datetime | None:
    """EC2 gives moments with a zone; anything else is not known."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value.replace("Z", "+00:00"))
        except ValueError:
            return None
    if not isinstance(value, datetime):
        return None
    return value if value.tzinfo else value.replace(tzinfo=UTC)
