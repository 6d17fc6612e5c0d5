"""Terraform addresses in the words of cluster.yaml. Pure."""

from __future__ import annotations

import re

_KINDS = {
    "aws_vpc": "VPC",
    "aws_vpc_peering_connection": "VPC peering",
    "aws_vpc_peering_connection_accepter": "VPC peering's acceptance",
    "aws_subnet": "subnet",
    "aws_internet_gateway": "internet gateway",
    "aws_nat_gateway": "NAT gateway",
    "aws_eip": "public address",
    "aws_route": "route",
    "aws_route_table": "route table",
    "aws_route_table_association": "route table association",
    "aws_vpc_endpoint": "VPC endpoint",
    "aws_security_group": "security group",
    "aws_security_group_rule": "security group rule",
    "aws_vpc_security_group_ingress_rule": "security group rule (in)",
    "aws_vpc_security_group_egress_rule": "security group rule (out)",
    "aws_default_security_group": "default security group",
    "aws_flow_log": "flow log",
    "aws_cloudwatch_log_group": "log group",
    "aws_launch_template": "launch template",
    "aws_autoscaling_group": "Auto Scaling group",
    "aws_placement_group": "placement group",
    "aws_instance": "instance",
    "aws_key_pair": "key pair",
    "aws_iam_role": "role",
    "aws_iam_role_policy": "role policy",
    "aws_iam_role_policy_attachment": "role policy attachment",
    "aws_iam_instance_profile": "instance profile",
    "aws_efs_file_system": "EFS file system",
    "aws_efs_mount_target": "EFS mount target",
    "aws_s3_bucket": "S3 bucket",
    "aws_lb": "load balancer",
    "aws_lb_target_group": "target group",
    "aws_lb_target_group_attachment": "target group member",
    "aws_lb_listener": "listener",
}
ALL = "all"  # the key of the only one of its kind, where there could be several
_THINGS = ("pool", "host", "storage")
_LINK = "link_"
_ADDRESS = re.compile(r"^(?:module\.(?P<module>[^.\[]+)(?:\[[^\]]*\])?\.)?(?P<rest>.*)$")

# A module called by a module: its name says which of several equal things is meant.
_INNER = re.compile(r"module\.(?P<name>[^.\[]+)(?:\[[^\]]*\])?\.")


def part(address: str) -> str:
    """The part of cluster.yaml an address belongs to: ``pool gpu``, ``network``, ``control plane``."""
    match = _ADDRESS.match(address)
    module = (match and match["module"]) or ""
    for thing in _THINGS:
        if module.startswith(f"{thing}_"):
            return f"{thing} {module[len(thing) + 1 :].replace('_', '-')}"
    if module.startswith(_LINK):
        return " ↔ ".join(name.replace("_", "-") for name in module.removeprefix(_LINK).split("__"))
    return module.replace("_", " ") or "cluster"


def module(part_name: str) -> str:
    """The module call that a part of cluster.yaml becomes: ``pools.gpu-big`` → ``pool_gpu_big``."""
    group, _, name = part_name.partition(".")
    return f"{group.removesuffix('s') if name else group}{'_' if name else ''}{name}".replace("-", "_")


def kind(resource_type: str) -> str:
    """A resource type as people say it."""
    return _KINDS.get(resource_type) or resource_type.removeprefix("aws_").replace("_", " ")


def title(address: str) -> str:
    """``module.pool_gpu.aws_launch_template.this`` → ``pool gpu: launch template``; keys of for_each are kept."""
    match = _ADDRESS.match(address)
    rest = match["rest"] if match else address
    inner = [found["name"].replace("_", " ") for found in _INNER.finditer(rest)]
    names = _INNER.sub("", rest).split(".", 1)
    tail = names[1] if len(names) > 1 else ""
    label = tail.split("[")[0]
    key = re.search(r'\["?([^"\]]+)"?\]', tail)
    extra = inner + ([] if label in ("this", "main", "") else [label.replace("_", " ")])
    extra += [key[1]] if key and key[1] != ALL else []
    said = f" {' '.join(extra)}" if extra else ""
    return f"{part(address)}: {kind(names[0])}{said}"


def many(count: int, name: str) -> str:
    """``1 subnet``, ``3 subnets``."""
    return f"{count:,} {name}{'' if count == 1 else 's'}"
