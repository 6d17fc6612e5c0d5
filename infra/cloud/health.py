"""What AWS says now of the things that a state knows: a few describing calls per region, side by side.

Things are asked for by filters, never by id alone: one that is gone is simply not in the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from infra.cloud.aws import Session, code_of, translated
from infra.cloud.describing import CHUNK, Describing, Item
from infra.cloud.mending.known import Known

AT_ONCE = 6
ACTIVITIES = 20
IMPAIRED = ("impaired", "insufficient-data")


@dataclass(frozen=True, slots=True)
class Seen:
    """AWS's answers by id (groups by name, mount targets by file system, targets by target group)."""

    vpcs: Mapping[str, Item] = field(default_factory=dict)
    subnets: Mapping[str, Item] = field(default_factory=dict)
    nats: Mapping[str, Item] = field(default_factory=dict)
    peerings: Mapping[str, Item] = field(default_factory=dict)
    groups: Mapping[str, Item] = field(default_factory=dict)
    activities: Mapping[str, Sequence[Item]] = field(default_factory=dict)
    templates: Mapping[str, Item] = field(default_factory=dict)
    instances: Mapping[str, Item] = field(default_factory=dict)
    checks: Mapping[str, Item] = field(default_factory=dict)
    file_systems: Mapping[str, Item] = field(default_factory=dict)
    mounts: Mapping[str, Sequence[Item]] = field(default_factory=dict)
    targets: Mapping[str, Sequence[Item]] = field(default_factory=dict)
    buckets: Mapping[str, bool] = field(default_factory=dict)


def look(session: Session, known: Known, peerings: Sequence[str] = ()) -> Seen:
    """One pass over the region; ``peerings`` are the ids of its links. Raises what the first refused call says."""
    eye = _Eye(session, known.region)
    session.client("ec2", known.region)  # loads botocore once, before the threads would all do so
    groups = _names(known, "aws_autoscaling_group")
    jobs: dict[str, Callable[[], Any]] = {
        "vpcs": lambda: eye.ec2("describe_vpcs", "Vpcs", "VpcId", "vpc-id", _vpcs(known)),
        "subnets": lambda: eye.ec2("describe_subnets", "Subnets", "SubnetId", "subnet-id", _ids(known, "aws_subnet")),
        "nats": lambda: eye.ec2(
            "describe_nat_gateways", "NatGateways", "NatGatewayId", "nat-gateway-id", _ids(known, "aws_nat_gateway")
        ),
        "peerings": lambda: eye.ec2(
            "describe_vpc_peering_connections",
            "VpcPeeringConnections",
            "VpcPeeringConnectionId",
            "vpc-peering-connection-id",
            peerings,
        ),
        "templates": lambda: eye.templates(_names(known, "aws_launch_template")),
        "groups": lambda: eye.groups(groups),
        "activities": lambda: eye.activities(groups),
        "file_systems": lambda: eye.file_systems(_ids(known, "aws_efs_file_system")),
        "mounts": lambda: eye.mounts(_ids(known, "aws_efs_file_system")),
        "targets": lambda: eye.targets(_ids(known, "aws_lb_target_group")),
        "buckets": lambda: eye.buckets(_ids(known, "aws_s3_bucket")),
    }
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="health") as pool:
        futures = {name: pool.submit(job) for name, job in jobs.items()}
        found = {name: future.result() for name, future in futures.items()}
        machines = [item["InstanceId"] for group in found["groups"].values() for item in group["Instances"]]
        machines += _ids(known, "aws_instance")
        instances = pool.submit(eye.instances, machines)
        checks = pool.submit(eye.checks, _ids(known, "aws_instance"))
        return Seen(**found, instances=instances.result(), checks=checks.result())


def _ids(known: Known, kind: str) -> list[str]:
    return [thing.id for thing in known.of(kind) if thing.id]


def _names(known: Known, kind: str) -> list[str]:
    return [str(thing.values["name"]) for thing in known.of(kind) if thing.values.get("name")]


def _vpcs(known: Known) -> list[str]:
    """The VPC that we made, or the lab's own."""
    own = known.outputs.get("vpc_id")
    return _ids(known, "aws_vpc") or ([own] if isinstance(own, str) else [])


class _Eye(Describing):
    __slots__ = ()

    def ec2(self, operation: str, answer: str, own: str, by: str, ids: Sequence[str]) -> dict[str, Item]:
        found: dict[str, Item] = {}
        name = "Filter" if operation == "describe_nat_gateways" else "Filters"
        for start in range(0, len(ids), CHUNK):
            only = [{"Name": by, "Values": list(ids[start : start + CHUNK])}]
            found |= {item[own]: item for item in self.pages("ec2", operation, answer, **{name: only})}
        return found

    def templates(self, names: Sequence[str]) -> dict[str, Item]:
        return self.ec2(
            "describe_launch_templates", "LaunchTemplates", "LaunchTemplateId", "launch-template-name", names
        )

    def groups(self, names: Sequence[str]) -> dict[str, Item]:
        if not names:
            return {}
        items = self.pages("autoscaling", "describe_auto_scaling_groups", "AutoScalingGroups")
        return {item["AutoScalingGroupName"]: item for item in items if item["AutoScalingGroupName"] in names}

    def activities(self, names: Sequence[str]) -> dict[str, list[Item]]:
        """The newest of each group, newest first."""
        from botocore.exceptions import ClientError

        found: dict[str, list[Item]] = {}
        for name in names:
            with translated("autoscaling:DescribeScalingActivities", self.region, self.session.profile):
                try:
                    said = self.session.client("autoscaling", self.region).describe_scaling_activities(
                        AutoScalingGroupName=name, MaxRecords=ACTIVITIES
                    )
                except ClientError as error:
                    if code_of(error) != "ValidationError":  # the group is gone
                        raise
                    continue
            found[name] = list(said["Activities"])
        return found

    def checks(self, ids: Sequence[str]) -> dict[str, Item]:
        """Of hosts and the control plane; those of a pool's machines are the group's to look at."""
        found: dict[str, Item] = {}
        for start in range(0, len(ids), CHUNK):
            only = [{"Name": "instance-id", "Values": list(ids[start : start + CHUNK])}]
            items = self.pages("ec2", "describe_instance_status", "InstanceStatuses", Filters=only)
            found |= {item["InstanceId"]: item for item in items}
        return found

    def file_systems(self, ids: Sequence[str]) -> dict[str, Item]:
        if not ids:
            return {}
        items = self.pages("efs", "describe_file_systems", "FileSystems")
        return {item["FileSystemId"]: item for item in items if item["FileSystemId"] in ids}

    def mounts(self, ids: Sequence[str]) -> dict[str, list[Item]]:
        from botocore.exceptions import ClientError

        found: dict[str, list[Item]] = {}
        for name in ids:
            with translated("elasticfilesystem:DescribeMountTargets", self.region, self.session.profile):
                try:
                    said = self.session.client("efs", self.region).describe_mount_targets(FileSystemId=name)
                except ClientError as error:
                    if code_of(error) != "FileSystemNotFound":
                        raise
                    continue
            found[name] = list(said["MountTargets"])
        return found

    def targets(self, arns: Sequence[str]) -> dict[str, list[Item]]:
        from botocore.exceptions import ClientError

        found: dict[str, list[Item]] = {}
        for arn in arns:
            with translated("elasticloadbalancing:DescribeTargetHealth", self.region, self.session.profile):
                try:
                    said = self.session.client("elbv2", self.region).describe_target_health(TargetGroupArn=arn)
                except ClientError as error:
                    if code_of(error) != "TargetGroupNotFound":
                        raise
                    continue
            found[arn] = list(said["TargetHealthDescriptions"])
        return found

    def buckets(self, names: Sequence[str]) -> dict[str, bool]:
        """Whether each is there (and ours to see)."""
        from botocore.exceptions import ClientError

        found: dict[str, bool] = {}
        for name in names:
            with translated("s3:ListBucket", f"s3://{name}", self.session.profile):
                try:
                    self.session.client("s3", self.region).head_bucket(Bucket=name)
                    found[name] = True
                except ClientError as error:
                    if code_of(error) not in ("404", "NoSuchBucket", "NotFound"):
                        raise
                    found[name] = False
        return found
