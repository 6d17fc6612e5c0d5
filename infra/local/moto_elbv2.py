"""Load balancers."""

from __future__ import annotations

from typing import Any

from infra.local.extensions import wrap


def active_at_once() -> None:
    """A load balancer is ready when made: moto first says "provisioning", and the provider looks again 10 s later."""
    from moto.elbv2.models import ELBv2Backend

    @wrap(ELBv2Backend, "create_load_balancer")
    def _(original: Any, self: Any, *args: Any, **kwargs: Any) -> Any:
        balancer = original(self, *args, **kwargs)
        balancer.activate()
        return balancer


PATCHES = (active_at_once,)
