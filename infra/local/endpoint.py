"""How to talk to the embedded AWS, and how to make sure that nothing talks to the real one instead."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

ACCESS_KEY = "AKIAINFRALOCALAWS000"
SECRET_KEY = "the-embedded-aws-checks-no-secret"
ACCOUNT = "123456789012"
"""The account number that the embedded AWS answers with."""

SERVICES = ("autoscaling", "cloudwatchlogs", "ec2", "efs", "elb", "iam", "kms", "route53", "s3", "ssm", "sts")
"""What provider 3.x calls the services that can be used here (its ``elb`` is load balancers of both kinds)."""


def environment(region: str, url: str, base: Mapping[str, str] | None = None) -> dict[str, str]:
    """The whole environment for a child process (Terraform, Packer, boto3) that is to see only the embedded AWS.

    ``base`` (default: ours) without anything AWS reads, then dummy credentials, the region and the endpoint, and
    configuration files that are empty: no profile, token, role or instance metadata of the user can leak in.
    """
    given = os.environ if base is None else base
    return {name: value for name, value in given.items() if not _is_aws(name)} | credentials(region, url)


def leaking(base: Mapping[str, str] | None = None) -> list[str]:
    """The variables of ``base`` that must be unset because ``credentials`` does not set them, sorted."""
    given = os.environ if base is None else base
    return sorted(name for name in given if _is_aws(name) and name not in credentials("", ""))


def _is_aws(name: str) -> bool:
    return name.startswith(("AWS_", "BOTO"))


def credentials(region: str, url: str) -> dict[str, str]:
    """Only the variables that ``environment`` sets."""
    return {
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        "AWS_ENDPOINT_URL": url,
    } | shield()


def shield() -> dict[str, str]:
    """Settings that keep the user's own AWS configuration and the instance's role out of a process."""
    return {
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def session_arguments(region: str, url: str) -> dict[str, str]:
    """Keyword arguments for ``boto3.client``: nothing is then taken from the environment or from files."""
    return {
        "region_name": region,
        "endpoint_url": url,
        "aws_access_key_id": ACCESS_KEY,
        "aws_secret_access_key": SECRET_KEY,
    }


def endpoints(url: str, services: Iterable[str] = SERVICES) -> dict[str, str]:
    """The ``endpoints`` block of the provider: every service at the same URL."""
    return dict.fromkeys(services, url)
