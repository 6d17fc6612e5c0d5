"""What a refresh reports and nobody changed: a table with the reason for each entry. Pure.

A provider fills in attributes after a resource is made, writes nothing in two ways, counts what AWS counts, and repeats
on one resource what another one says. None of that is drift.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from infra.plan.differences import Difference, canonical, empty, parsed

Test = Callable[[Difference, "Context"], bool]


@dataclass(frozen=True, slots=True)
class Context:
    """The resource around a difference: what it is now, and which of its attributes the project writes.

    ``written`` is None when nobody knows. ``kinds`` are the types of all resources in the same state.
    """

    after: Mapping[str, Any] = field(default_factory=dict)
    written: frozenset[str] | None = None
    kinds: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Noise:
    """``kind`` is a pattern of resource types, ``path`` one of attribute paths (indexes left out)."""

    kind: str
    path: str
    reason: str
    when: Test = lambda difference, context: True


def _both_nothing(difference: Difference, context: Context) -> bool:
    return difference.kind == "changed" and _nothing(difference.before) and _nothing(difference.after)


def _nothing(value: Any) -> bool:
    """Empty, zero, or made of such: a block that a provider writes out with nothing in it."""
    if isinstance(value, dict):
        return all(_nothing(item) for item in value.values())
    if isinstance(value, list):
        return all(_nothing(item) for item in value)
    return not value


def _nothing_in_list(difference: Difference, context: Context) -> bool:
    return difference.kind in ("added", "removed") and _nothing(difference.after or difference.before)


def _reordered(difference: Difference, context: Context) -> bool:
    return difference.kind == "order"


def _respelled(difference: Difference, context: Context) -> bool:
    """A text that holds JSON, differently written."""
    before, after = parsed(difference.before), parsed(difference.after)
    return isinstance(before, dict | list) and canonical(before) == canonical(after)


def _filled_in(difference: Difference, context: Context) -> bool:
    unwritten = context.written is not None and difference.name not in context.written
    return unwritten and difference.kind == "changed" and _nothing(difference.before)


def _taken(difference: Difference, context: Context) -> bool:
    own = ("association_id", "instance", "network_interface", "private_dns", "private_ip", "public_dns")
    return difference.name in own and empty(difference.before)


def _autoscaled(difference: Difference, context: Context) -> bool:
    tags = context.after.get("tag") or []
    return any(isinstance(tag, dict) and str(tag.get("key", "")).startswith(AUTOSCALER) for tag in tags)


def _stopped(difference: Difference, context: Context) -> bool:
    return context.after.get("instance_state") not in (None, "running")


def _accepted(difference: Difference, context: Context) -> bool:
    return bool(difference.after == "active")


def _beside(kind: str) -> Test:
    return lambda difference, context: kind in context.kinds


AUTOSCALER = "k8s.io/cluster-autoscaler/enabled"
# Whoever changes these opens something: they are never noise for being filled in.
GUARDED = {
    ("aws_iam_role", "inline_policy"),
    ("aws_iam_role", "managed_policy_arns"),
    ("aws_security_group", "ingress"),
    ("aws_security_group", "egress"),
    ("aws_default_security_group", "ingress"),
    ("aws_default_security_group", "egress"),
    ("aws_route_table", "route"),
    ("aws_s3_bucket", "policy"),
    ("aws_s3_bucket", "grant"),
    ("aws_instance", "iam_instance_profile"),
}

TABLE: tuple[Noise, ...] = (
    Noise("*", "tags_all*", "the provider's copy of tags"),
    Noise("*", "*", "nothing, written in two ways", _both_nothing),
    Noise("*", "*", "a block with nothing in it", _nothing_in_list),
    Noise("*", "*", "the same, in another order", _reordered),
    Noise("*", "*", "the same document, written differently", _respelled),
    Noise("*", "*", "filled in by AWS, and not ours to set", _filled_in),
    Noise("aws_eip", "*", "filled in when the address is taken", _taken),
    Noise("aws_launch_template", "latest_version", "counts the versions; what a version says is compared by itself"),
    Noise("aws_launch_template", "default_version", "groups name their version; what it says is compared by itself"),
    Noise("aws_autoscaling_group", "desired_capacity", "the autoscaler sets it", _autoscaled),
    Noise("aws_autoscaling_group", "predicted_capacity", "AWS' own forecast"),
    Noise("aws_autoscaling_group", "warm_pool_size", "counts machines"),
    Noise("aws_instance", "public_ip", "AWS gives another address at each start"),
    Noise("aws_instance", "public_dns", "AWS gives another name at each start"),
    Noise("aws_instance", "associate_public_ip_address", "a stopped machine has no public address", _stopped),
    Noise("aws_instance", "*volume_id", "follows from what is attached"),
    Noise("aws_efs_file_system", "size_in_bytes*", "grows and shrinks with use"),
    Noise("aws_efs_file_system", "number_of_mount_targets", "counts resources that are looked at by themselves"),
    Noise("aws_vpc_endpoint", "cidr_blocks*", "AWS' own addresses of the service"),
    Noise("aws_vpc_endpoint", "prefix_list_id", "AWS' own list of the service"),
    Noise("aws_vpc_peering_connection", "accept_status", "the other side accepted it", _accepted),
    Noise("aws_lb", "subnet_mapping*", "repeats subnets"),
    Noise("aws_lb_target_group", "load_balancer_arns*", "repeats the listeners"),
    Noise("aws_s3_bucket", "versioning*", "has a resource of its own", _beside("aws_s3_bucket_versioning")),
    Noise("aws_s3_bucket", "policy*", "has a resource of its own", _beside("aws_s3_bucket_policy")),
    Noise(
        "aws_s3_bucket",
        "server_side_encryption_configuration*",
        "has a resource of its own",
        _beside("aws_s3_bucket_server_side_encryption_configuration"),
    ),
    Noise(
        "aws_s3_bucket",
        "lifecycle_rule*",
        "has a resource of its own",
        _beside("aws_s3_bucket_lifecycle_configuration"),
    ),
)


def reason(kind: str, difference: Difference, context: Context) -> str:
    """Why this difference is no drift; "" when it is one."""
    path = re.sub(r"\[\d+\]", "", difference.path)
    for entry in TABLE:
        if not (fnmatchcase(kind, entry.kind) and fnmatchcase(path, entry.path)):
            continue
        if entry.when is _filled_in and (kind, difference.name) in GUARDED:
            continue
        if entry.when(difference, context):
            return entry.reason
    return ""
