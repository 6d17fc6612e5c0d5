"""How the controller is set. Every value has a default that is safe for a small lab."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Settings:
    """Seconds unless a name says otherwise.

    ``identity`` is this controller's name in the Lease, different for each that may run at once (a pod's name); "" is a
    new one each time.
    ``cap``: so many machines may be on their way out at once. ``idle_minutes`` without work before one goes.
    ``join_minutes`` until one that is no ready node is terminated. ``optimize`` seconds are spent on a cheaper plan,
    when something is bought at all. ``settle``: nothing is bought for so long after new work came, so that a burst is
    one launch, and ``settle_most`` after the first of it at the latest; 0 buys in each loop. ``backoff_minutes`` and
    ``backoff_most``: of the first failure of a place (each further one doubles it), and the longest. ``lease``: how
    long a leader that is silent keeps its lead. ``slowest_loop``: the longest pause after loops that failed.
    """

    identity: str = ""
    interval: float = 15.0
    cap: int = 10
    idle_minutes: float = 10.0
    join_minutes: float = 15.0
    optimize: float = 0.0
    settle: float = 0.0
    settle_most: float = 150.0
    backoff_minutes: float = 3.0
    backoff_most: float = 60.0
    lease: float = 60.0
    slowest_loop: float = 300.0
    namespace: str = "kube-system"
    name: str = "infra-autoscaler"
    """Of the Lease and of the ConfigMap."""
