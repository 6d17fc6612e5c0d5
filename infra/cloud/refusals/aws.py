"""What AWS says of what is wanted: capacity, quotas, things there or in use."""

from __future__ import annotations

from infra.cloud.refusals.refusal import Refusal
from infra.errors import CloudError

QUOTA = (
    "ask for more: aws service-quotas request-service-quota-increase{profile} --service-code {service} --quota-code "
    "{quota} --desired-value N (allow a day), or {instead}"
)


def _quota(service: str, quota: str, instead: str) -> str:
    return QUOTA.replace("{service}", service).replace("{quota}", quota).replace("{instead}", instead)


TABLE: tuple[Refusal, ...] = (
    # Capacity and quotas.
    Refusal(
        "no-capacity",
        CloudError,
        "AWS has no {type} free there now",
        "try again later, allow more zones or instance_types, or use a capacity reservation",
        patterns=(
            r"do not have sufficient (?P<type>[\w.-]+) capacity.*",
            r"no Spot capacity available that matches your request.*",
        ),
        codes=(
            "InsufficientInstanceCapacity",
            "InsufficientCapacity",
            "InsufficientHostCapacity",
            "ReservationCapacityExceeded",
        ),
    ),
    Refusal(
        "type-unsupported",
        CloudError,
        "the instance type is not offered in that zone",
        "leave the zone out, or choose another of instance_types; see which offer it: aws ec2 "
        "describe-instance-type-offerings{profile} --location-type availability-zone",
        patterns=(r"requested instance type \((?P<type>[^)]+)\) is not supported in your requested Availability Zone",),
    ),
    Refusal(
        "quota-vcpu",
        CloudError,
        "the account's quota of vCPUs for these machines is used up (it is {limit})",
        _quota("ec2", "CODE", "make the pool smaller; infra doctor names the quota's code and compares them all"),
        patterns=(r"current vCPU limit of (?P<limit>\d+) allows.*",),
        codes=("VcpuLimitExceeded", "InstanceLimitExceeded", "MaxSpotInstanceCountExceeded"),
    ),
    Refusal(
        "quota-vpc",
        CloudError,
        "the region's quota of VPCs is used up",
        _quota("vpc", "L-F678F1CE", "delete one, or use an existing one: network.existing"),
        codes=("VpcLimitExceeded",),
    ),
    Refusal(
        "quota-address",
        CloudError,
        "the region's quota of elastic IP addresses is used up",
        _quota("ec2", "L-0263D0A3", "release one, or use nat: one"),
        codes=("AddressLimitExceeded",),
    ),
    Refusal(
        "quota-nat",
        CloudError,
        "the quota of NAT gateways is used up",
        _quota("vpc", "L-FE5A380F", "use nat: one"),
        codes=("NatGatewayLimitExceeded",),
    ),
    Refusal(
        "quota",
        CloudError,
        "a quota of the account is used up ({code})",
        "ask for more in the Service Quotas console, or make the cluster smaller",
        codes=(
            "LimitExceeded",
            "LimitExceededException",
            "ServiceQuotaExceededException",
            "VolumeLimitExceeded",
            "InternetGatewayLimitExceeded",
            "SecurityGroupLimitExceeded",
            "RulesPerSecurityGroupLimitExceeded",
            "NetworkInterfaceLimitExceeded",
            "SubnetLimitExceeded",
            "TooManyBuckets",
            "FileSystemLimitExceeded",
            "PlacementGroupLimitExceeded",
        ),
    ),
    # Things.
    Refusal(
        "image-missing",
        CloudError,
        "the image is not there: {message}",
        "is it of this region and shared with this account? correct profiles.NAME.image",
        "{code}",
        codes=("InvalidAMIID.NotFound", "InvalidAMIID.Malformed", "InvalidAMIID.Unavailable"),
    ),
    Refusal(
        "reservation-missing",
        CloudError,
        "the capacity reservation is not there: {message}",
        "is it of this region, zone and account, and still active? correct capacity in the pool",
        "{code}",
        codes=("InvalidCapacityReservationId.NotFound", "InvalidCapacityReservationId.Malformed"),
    ),
    Refusal(
        "bucket-taken",
        CloudError,
        "the bucket's name is taken by somebody else in the world",
        "choose another name in cluster.yaml: bucket names are shared by all AWS accounts",
        codes=("BucketAlreadyExists",),
    ),
    Refusal(
        "already-exists",
        CloudError,
        "it is there already: {message}",
        "was it made by an earlier run? run infra apply again, which adopts what carries our tags; otherwise remove "
        "or rename it",
        "AWS has something of that name which the state does not know ({code})",
        codes=(
            "BucketAlreadyOwnedByYou",
            "EntityAlreadyExists",
            "EntityAlreadyExistsException",
            "AlreadyExists",
            "AlreadyExistsFault",
            "ResourceAlreadyExistsException",
            "FileSystemAlreadyExists",
            "InvalidGroup.Duplicate",
            "InvalidKeyPair.Duplicate",
            "InvalidPlacementGroup.Duplicate",
            "InvalidPermission.Duplicate",
            "InvalidLaunchTemplateName.AlreadyExistsException",
            "RouteAlreadyExists",
            "MountTargetConflict",
        ),
    ),
    Refusal(
        "in-use",
        CloudError,
        "it is still in use: {message}",
        "remove what uses it (machines or interfaces that infra did not make?), then run the same command again",
        "{code}",
        codes=(
            "DependencyViolation",
            "DeleteConflict",
            "DeleteConflictException",
            "ResourceInUse",
            "ResourceInUseFault",
            "ResourceInUseException",
            "InvalidGroup.InUse",
            "InvalidPlacementGroup.InUse",
            "VolumeInUse",
            "BucketNotEmpty",
            "FileSystemInUse",
            "ScalingActivityInProgress",
        ),
    ),
    Refusal(
        "aws-fault",
        CloudError,
        "AWS had a fault of its own ({code})",
        "wait a few minutes, then run the same command again: it goes on where it stopped",
        codes=(
            "InternalError",
            "InternalFailure",
            "InternalServerError",
            "ServiceUnavailable",
            "ServiceUnavailableException",
            "Unavailable",
            "ServerInternal",
        ),
    ),
    Refusal(
        "embedded-fault",
        CloudError,
        "the embedded AWS made a mistake",
        "report it; to go on without what is in it: infra local down, then infra apply",
        patterns=(r"(?P<message>the embedded AWS failed in .*?)(?: status code|$)",),
    ),
    Refusal(
        "slow",
        CloudError,
        "AWS did not finish in time",
        "look at the thing in the AWS console; then run infra apply again: it goes on where it stopped",
        patterns=(r"timeout while waiting for .*", r"Waiting up to \S+: Need at least .*"),
    ),
    Refusal(
        "not-emulated",
        CloudError,
        "the embedded AWS cannot do this: {message}",
        "plan it against AWS itself, or leave that part out with endpoint: local",
        "it emulates a part of AWS only",
        patterns=(r"(?P<message>the embedded AWS does not emulate .*?)(?: status code|$)",),
    ),
)
