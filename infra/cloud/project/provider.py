"""Which line of the AWS provider a project is written for, and where its API is."""

from __future__ import annotations

from dataclasses import dataclass

CURRENT = ">= 6.0, < 7.0"


@dataclass(frozen=True, slots=True)
class ProviderLine:
    """``major`` is 3 (the embedded provider) or 6; ``constraint`` goes into required_providers.

    ``endpoint`` is the URL of an AWS-compatible server, or None for AWS itself.
    """

    major: int
    constraint: str
    endpoint: str | None = None


def online(endpoint: str | None = None) -> ProviderLine:
    """The line that a user gets from the Terraform registry."""
    return ProviderLine(6, CURRENT, endpoint)
