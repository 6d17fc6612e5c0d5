"""EC2 network interfaces: what moto shows of them."""

from __future__ import annotations

from typing import Any

from infra.local.extensions import put


def no_empty_association() -> None:
    """Without a public address there is no association: the provider takes an empty one for a public address."""
    from moto.ec2.models.elastic_network_interfaces import NetworkInterface

    original: Any = NetworkInterface.association.fget  # type: ignore[attr-defined]

    def association(self: Any) -> dict[str, Any] | None:
        return original(self) or None

    put(NetworkInterface, "association", property(association))


PATCHES = (no_empty_association,)
