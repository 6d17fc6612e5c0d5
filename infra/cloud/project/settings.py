"""The blocks ``terraform`` and ``provider`` of a root: versions, where the state is, and which AWS is meant.

No credential is ever written: the provider and the backend take them from the environment or the named profile.
"""

from __future__ import annotations

from typing import Any

from infra.cloud.project.provider import ProviderLine
from infra.spec.models import Cluster

REQUIRED_VERSION = ">= 1.10"

SERVICES = (
    "autoscaling",
    "cloudwatchlogs",
    "ec2",
    "efs",
    "iam",
    "s3",
    "ssm",
    "sts",
)
"""The services that the modules use, as the provider's ``endpoints`` block names them."""


def terraform_block(cluster: Cluster, region: str, line: ProviderLine) -> dict[str, Any]:
    return {
        "required_version": REQUIRED_VERSION,
        "required_providers": {"aws": {"source": "hashicorp/aws", "version": line.constraint}},
        "backend": _backend(cluster, region, line),
    }


def provider_block(cluster: Cluster, region: str, line: ProviderLine) -> dict[str, Any]:
    aws = cluster.aws
    block: dict[str, Any] = {"region": region}
    if line.endpoint is None:
        if aws and aws.profile:
            block["profile"] = aws.profile
        if aws and aws.account:
            block["allowed_account_ids"] = [aws.account]
        return block
    block |= dict.fromkeys(
        (
            "skip_credentials_validation",
            "skip_metadata_api_check",
            "skip_region_validation",
            "s3_use_path_style" if line.major >= 4 else "s3_force_path_style",
        ),
        True,
    )
    if line.major < 4:
        block["skip_get_ec2_platforms"] = True
    block["max_retries"] = 3  # a server beside us either answers or never will
    balancers = "elbv2" if line.major >= 4 else "elb"
    block["endpoints"] = [dict.fromkeys((*SERVICES, balancers), line.endpoint)]
    return block


def state_key(cluster: Cluster, region: str) -> str:
    """The object in the state bucket that holds the region's state."""
    state = cluster.state.s3
    prefix = state.prefix.strip("/") if state else ""
    return "/".join(part for part in (prefix, cluster.cluster, region, "terraform.tfstate") if part)


def _backend(cluster: Cluster, region: str, line: ProviderLine) -> dict[str, Any]:
    state = cluster.state.s3
    if state is None:
        return {"local": {"path": "terraform.tfstate"}}
    block: dict[str, Any] = {
        "bucket": state.bucket,
        "key": state_key(cluster, region),
        "region": state.region,
        "encrypt": True,
        "use_lockfile": True,
    }
    if line.endpoint is None:
        if cluster.aws and cluster.aws.profile:
            block["profile"] = cluster.aws.profile
        if cluster.aws and cluster.aws.account:
            block["allowed_account_ids"] = [cluster.aws.account]
        return {"s3": block}
    block |= dict.fromkeys(
        (
            "skip_credentials_validation",
            "skip_metadata_api_check",
            "skip_region_validation",
            "skip_requesting_account_id",
            "use_path_style",
        ),
        True,
    )
    block["endpoints"] = dict.fromkeys(("iam", "s3", "sts"), line.endpoint)
    return {"s3": block}
