"""What is known of each kind of resource that we make: how it is found again, and in which order it is removed. Pure.

A kind is found by the tag ``infra:address``; one without tags (or before they were written) by the arguments that AWS
lets only one thing have. Kinds whose creation can be repeated without harm need not be found at all.
"""

from __future__ import annotations

from dataclasses import dataclass

from infra.plan.terraform import HOLDS_DATA


@dataclass(frozen=True, slots=True)
class Kind:
    """``key``: the arguments that identify one without a tag. ``tagged``: AWS keeps tags on it.

    ``removal`` is its turn when many are removed: lower goes first. ``replaced``: an import is followed by a
    replacement, because AWS does not give back what was put in. ``part``: it goes with what it is in.
    """

    type: str
    removal: int
    key: tuple[str, ...] = ()
    tagged: bool = True
    replaced: bool = False
    part: bool = False

    @property
    def data(self) -> bool:
        """Whether something that cannot be had back may be in it."""
        return self.type in HOLDS_DATA


KINDS = {
    kind.type: kind
    for kind in (
        Kind("aws_autoscaling_group", 0, ("name",)),
        Kind("aws_instance", 1),
        Kind("aws_launch_template", 2, ("name",)),
        Kind("aws_lb_listener", 2, ("load_balancer_arn", "port")),
        Kind("aws_lb", 3, ("name",)),
        Kind("aws_lb_target_group", 4, ("name",)),
        Kind("aws_efs_mount_target", 5, ("file_system_id", "subnet_id"), tagged=False),
        Kind("aws_efs_file_system", 6, ("creation_token",)),
        Kind("aws_flow_log", 6),
        Kind("aws_vpc_endpoint", 6, ("vpc_id", "service_name")),
        Kind("aws_nat_gateway", 7, ("subnet_id", "allocation_id")),
        Kind("aws_eip", 8),
        Kind("aws_route_table_association", 8, ("subnet_id", "route_table_id"), tagged=False),
        Kind("aws_route", 8, ("route_table_id", "destination_cidr_block"), tagged=False, part=True),
        Kind("aws_route_table", 9),
        Kind("aws_vpc_peering_connection", 9),
        Kind("aws_placement_group", 9, ("name",)),
        Kind("aws_key_pair", 9, ("key_name",), replaced=True),
        Kind("aws_vpc_security_group_ingress_rule", 9),
        Kind("aws_vpc_security_group_egress_rule", 9),
        Kind("aws_security_group", 10, ("vpc_id", "name")),
        Kind("aws_subnet", 11, ("vpc_id", "cidr_block")),
        Kind("aws_internet_gateway", 12),
        Kind("aws_vpc", 13),
        Kind("aws_iam_instance_profile", 14, ("name",)),
        Kind("aws_iam_role", 15, ("name",)),
        Kind("aws_cloudwatch_log_group", 15, ("name",)),
        Kind("aws_s3_bucket", 16, ("bucket",)),
    )
}

REPEATABLE = frozenset(
    {
        "aws_default_security_group",
        "aws_efs_backup_policy",
        "aws_efs_file_system_policy",
        "aws_iam_role_policy",
        "aws_iam_role_policy_attachment",
        "aws_lb_target_group_attachment",
        "aws_s3_bucket_lifecycle_configuration",
        "aws_s3_bucket_policy",
        "aws_s3_bucket_public_access_block",
        "aws_s3_bucket_server_side_encryption_configuration",
        "aws_s3_bucket_versioning",
        "aws_vpc_peering_connection_accepter",
    }
)
"""They belong to something else, and making one again writes the same once more."""
