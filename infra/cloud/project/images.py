"""The AMIs of a root: the one a profile names, else Canonical's newest for its OS, looked up once for all."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from infra.cloud.project.terms import Ref
from infra.spec import catalog
from infra.spec.models import Profile

CANONICAL = "099720109477"
RELEASES = {"ubuntu-22.04": "jammy-22.04", "ubuntu-24.04": "noble-24.04"}
ARCHITECTURES = {"x86_64": "amd64", "arm64": "arm64"}
"""EC2's names of architectures -> Canonical's, the preferred one first."""


def image(profile: Profile, instance_type: str) -> str:
    """The AMI that machines of a profile start from: an id, or the expression of a look-up."""
    return profile.image or Ref(f"data.aws_ami.{_name(profile.os, architecture(instance_type))}.id")


def look_ups(machines: Iterable[tuple[Profile, str]]) -> dict[str, Any]:
    """The ``aws_ami`` data sources that :func:`image` refers to, for pairs of profile and instance type."""
    wanted = {(profile.os, architecture(kind)) for profile, kind in machines if not profile.image}
    return {_name(*pair): _canonical(*pair) for pair in sorted(wanted)}


@lru_cache(maxsize=512)
def architecture(instance_type: str) -> str:
    """EC2's name of the architecture; x86_64 for a type that the catalog does not know."""
    kind = catalog.instance(instance_type)
    supported = kind.architectures if kind else ()
    return next((name for name in ARCHITECTURES if name in supported), "x86_64")


def _canonical(system: str, architecture: str) -> dict[str, Any]:
    release = f"ubuntu-{RELEASES[system]}-{ARCHITECTURES[architecture]}-server-*"
    return {
        "owners": [CANONICAL],
        "most_recent": True,
        "filter": [
            {"name": "name", "values": [f"ubuntu/images/{disk}/{release}" for disk in ("hvm-ssd", "hvm-ssd-gp3")]},
            {"name": "architecture", "values": [architecture]},
            {"name": "virtualization-type", "values": ["hvm"]},
        ],
    }


def _name(system: str, architecture: str) -> str:
    return f"{system}-{architecture}".replace("-", "_").replace(".", "_")
