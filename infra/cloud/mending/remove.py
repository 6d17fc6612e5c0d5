"""Removing single things from AWS: what a killed apply left over and no state knows.

Each is removed with what is a mere part of it (a role's policies, a file system's mount targets), and waited for: the
next in order may only go once it is gone. What is gone already is no error.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from infra.cloud import aws
from infra.cloud.aws import Session
from infra.errors import CloudError

DEADLINE = 600.0
"""Seconds that one thing may take to go: a NAT gateway or a machine needs minutes."""

PAUSE = 2.0
PARTED = ("deleted", "rejected", "expired", "failed")
_ABSENT = ("NoSuchEntity", "NoSuchBucket", "InvalidPlacementGroup.Unknown")
_ABSENT_ENDS = ("NotFound", "NotFoundException")


@dataclass(frozen=True, slots=True)
class Remover:
    """Removes in one region. ``deadline`` and ``pause`` are in seconds."""

    session: Session
    region: str
    deadline: float = DEADLINE
    pause: float = PAUSE

    def remove(self, type_: str, ident: str) -> None:
        """Remove one thing by its Terraform type and its id as a state has it.

        Raises the InfraError of what AWS refuses, and CloudError when it is not gone in time.
        """
        if type_ in PLAIN:
            service, operation, argument = PLAIN[type_]
            self.call(service, operation, **{argument: [ident] if argument.endswith("Ids") else ident})
        else:
            SPECIAL[type_](self, ident)
        if type_ in GONE:
            self.wait(lambda: GONE[type_](self, ident), ident)

    def call(self, service: str, operation: str, **arguments: Any) -> Mapping[str, Any]:
        """One request; {} when what it names is not there."""
        from botocore.exceptions import ClientError

        client = self.session.client(service, self.region)
        with aws.translated(f"{service}:{operation}", where=self.region, profile=self.session.profile):
            try:
                answer: Mapping[str, Any] = getattr(client, operation)(**arguments)
            except ClientError as error:
                code = aws.code_of(error)
                if code in _ABSENT or code.endswith(_ABSENT_ENDS):
                    return {}
                raise
        return answer

    def wait(self, done: Callable[[], bool], ident: str) -> None:
        limit = time.monotonic() + self.deadline
        while not done():
            if time.monotonic() > limit:
                raise CloudError(
                    f"{ident} does not go away",
                    where=f"{self.region}: {ident}",
                    why=f"its removal was asked for {self.deadline:.0f} s ago",
                    fix="look at it in the AWS console, then run the same command again",
                )
            time.sleep(self.pause)


PLAIN: Mapping[str, tuple[str, str, str]] = {
    "aws_cloudwatch_log_group": ("logs", "delete_log_group", "logGroupName"),
    "aws_efs_mount_target": ("efs", "delete_mount_target", "MountTargetId"),
    "aws_eip": ("ec2", "release_address", "AllocationId"),
    "aws_flow_log": ("ec2", "delete_flow_logs", "FlowLogIds"),
    "aws_instance": ("ec2", "terminate_instances", "InstanceIds"),
    "aws_key_pair": ("ec2", "delete_key_pair", "KeyName"),
    "aws_launch_template": ("ec2", "delete_launch_template", "LaunchTemplateId"),
    "aws_lb": ("elbv2", "delete_load_balancer", "LoadBalancerArn"),
    "aws_lb_listener": ("elbv2", "delete_listener", "ListenerArn"),
    "aws_lb_target_group": ("elbv2", "delete_target_group", "TargetGroupArn"),
    "aws_nat_gateway": ("ec2", "delete_nat_gateway", "NatGatewayId"),
    "aws_placement_group": ("ec2", "delete_placement_group", "GroupName"),
    "aws_route_table_association": ("ec2", "disassociate_route_table", "AssociationId"),
    "aws_s3_bucket": ("s3", "delete_bucket", "Bucket"),
    "aws_subnet": ("ec2", "delete_subnet", "SubnetId"),
    "aws_vpc": ("ec2", "delete_vpc", "VpcId"),
    "aws_vpc_endpoint": ("ec2", "delete_vpc_endpoints", "VpcEndpointIds"),
}
"""One request with one argument: service, operation, argument."""


def _gateway(aws_: Remover, ident: str) -> None:
    answer = aws_.call("ec2", "describe_internet_gateways", InternetGatewayIds=[ident])
    for gateway in answer.get("InternetGateways", []):
        for item in gateway.get("Attachments", []):
            aws_.call("ec2", "detach_internet_gateway", InternetGatewayId=ident, VpcId=item["VpcId"])
        aws_.call("ec2", "delete_internet_gateway", InternetGatewayId=ident)


def _table(aws_: Remover, ident: str) -> None:
    for table in aws_.call("ec2", "describe_route_tables", RouteTableIds=[ident]).get("RouteTables", []):
        for item in table.get("Associations", []):
            if not item.get("Main"):
                aws_.call("ec2", "disassociate_route_table", AssociationId=item["RouteTableAssociationId"])
        aws_.call("ec2", "delete_route_table", RouteTableId=ident)


def _security_group(aws_: Remover, ident: str) -> None:
    """Its rules first: two groups may name each other."""
    for group in aws_.call("ec2", "describe_security_groups", GroupIds=[ident]).get("SecurityGroups", []):
        for field, operation in (("IpPermissions", "ingress"), ("IpPermissionsEgress", "egress")):
            if group.get(field):
                aws_.call("ec2", f"revoke_security_group_{operation}", GroupId=ident, IpPermissions=group[field])
        aws_.call("ec2", "delete_security_group", GroupId=ident)


def _rule(aws_: Remover, ident: str) -> None:
    answer = aws_.call("ec2", "describe_security_group_rules", SecurityGroupRuleIds=[ident])
    for rule in answer.get("SecurityGroupRules", []):
        operation = f"revoke_security_group_{'egress' if rule.get('IsEgress') else 'ingress'}"
        aws_.call("ec2", operation, GroupId=rule["GroupId"], SecurityGroupRuleIds=[ident])


def _peering(aws_: Remover, ident: str) -> None:
    """One that ended stays in the listing for hours, and a region that is neither side knows nothing of it."""
    if not _peering_gone(aws_, ident):
        aws_.call("ec2", "delete_vpc_peering_connection", VpcPeeringConnectionId=ident)


def _group(aws_: Remover, ident: str) -> None:
    if not _group_gone(aws_, ident):  # AWS has no code of its own for a group that is not there
        aws_.call("autoscaling", "delete_auto_scaling_group", AutoScalingGroupName=ident, ForceDelete=True)


def _file_system(aws_: Remover, ident: str) -> None:
    for target in _targets(aws_, ident):
        aws_.call("efs", "delete_mount_target", MountTargetId=target["MountTargetId"])
    aws_.wait(lambda: not _targets(aws_, ident), ident)
    aws_.call("efs", "delete_file_system", FileSystemId=ident)


def _targets(aws_: Remover, ident: str) -> list[Mapping[str, Any]]:
    return list(aws_.call("efs", "describe_mount_targets", FileSystemId=ident).get("MountTargets", []))


def _role(aws_: Remover, ident: str) -> None:
    for profile in aws_.call("iam", "list_instance_profiles_for_role", RoleName=ident).get("InstanceProfiles", []):
        name = profile["InstanceProfileName"]
        aws_.call("iam", "remove_role_from_instance_profile", InstanceProfileName=name, RoleName=ident)
    for name in aws_.call("iam", "list_role_policies", RoleName=ident).get("PolicyNames", []):
        aws_.call("iam", "delete_role_policy", RoleName=ident, PolicyName=name)
    for policy in aws_.call("iam", "list_attached_role_policies", RoleName=ident).get("AttachedPolicies", []):
        aws_.call("iam", "detach_role_policy", RoleName=ident, PolicyArn=policy["PolicyArn"])
    aws_.call("iam", "delete_role", RoleName=ident)


def _profile(aws_: Remover, ident: str) -> None:
    answer = aws_.call("iam", "get_instance_profile", InstanceProfileName=ident)
    for role in answer.get("InstanceProfile", {}).get("Roles", []):
        arguments = {"InstanceProfileName": ident, "RoleName": role["RoleName"]}
        aws_.call("iam", "remove_role_from_instance_profile", **arguments)
    aws_.call("iam", "delete_instance_profile", InstanceProfileName=ident)


SPECIAL: Mapping[str, Callable[[Remover, str], None]] = {
    "aws_autoscaling_group": _group,
    "aws_efs_file_system": _file_system,
    "aws_iam_instance_profile": _profile,
    "aws_iam_role": _role,
    "aws_internet_gateway": _gateway,
    "aws_route_table": _table,
    "aws_security_group": _security_group,
    "aws_vpc_security_group_egress_rule": _rule,
    "aws_vpc_peering_connection": _peering,
    "aws_vpc_security_group_ingress_rule": _rule,
}
"""What needs more than one request."""


def _all_in(answer: Mapping[str, Any], key: str, *states: str) -> bool:
    return all(item.get("State") in states for item in answer.get(key, []))


def _peering_gone(aws_: Remover, ident: str) -> bool:
    answer = aws_.call("ec2", "describe_vpc_peering_connections", VpcPeeringConnectionIds=[ident])
    return all(item["Status"]["Code"] in PARTED for item in answer.get("VpcPeeringConnections", []))


def _terminated(aws_: Remover, ident: str) -> bool:
    answer = aws_.call("ec2", "describe_instances", InstanceIds=[ident])
    machines = [item for found in answer.get("Reservations", []) for item in found["Instances"]]
    return all(item["State"]["Name"] == "terminated" for item in machines)


def _group_gone(aws_: Remover, ident: str) -> bool:
    answer = aws_.call("autoscaling", "describe_auto_scaling_groups", AutoScalingGroupNames=[ident])
    return not answer.get("AutoScalingGroups")


GONE: Mapping[str, Callable[[Remover, str], bool]] = {
    "aws_autoscaling_group": _group_gone,
    "aws_instance": _terminated,
    "aws_nat_gateway": lambda aws_, ident: _all_in(
        aws_.call("ec2", "describe_nat_gateways", NatGatewayIds=[ident]), "NatGateways", "deleted"
    ),
    "aws_vpc_peering_connection": _peering_gone,
    "aws_vpc_endpoint": lambda aws_, ident: _all_in(
        aws_.call("ec2", "describe_vpc_endpoints", VpcEndpointIds=[ident]), "VpcEndpoints", "deleted"
    ),
    "aws_efs_file_system": lambda aws_, ident: (
        not aws_.call("efs", "describe_file_systems", FileSystemId=ident).get("FileSystems")
    ),
    "aws_efs_mount_target": lambda aws_, ident: (
        not aws_.call("efs", "describe_mount_targets", MountTargetId=ident).get("MountTargets")
    ),
}
"""How to see that something which goes slowly is gone."""
