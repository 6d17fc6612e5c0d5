"""Load balancers."""

from __future__ import annotations

from typing import Any

from infra.local.extensions import wrap


def active_at_once() -> None:
    """A load balancer is ready when it is made: moto's first answer is "provisioning", the provider's next look 30 s off."""
    from moto.elbv2.models import ELBv2Backend

    @wrap(ELBv2Backend, "create_load_balancer")
    def _(original: Any, self: Any, *args: Any, **kwargs: Any) -> Any:
        balancer = original(self, *args, **kwargs)
        balancer.activate()
        return balancer


PATCHES = (active_at_once,)
