"""What moto's Systems Manager lacks."""

from __future__ import annotations

from infra.local.moto_ec2_images import canonical_parameters

PATCHES = (canonical_parameters,)
