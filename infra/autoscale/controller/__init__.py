"""The controller of the autoscaler: looks, plans, acts, and can be killed between any two requests. Ports only.

Controller(kube, cloud, price, clock, Settings(identity="a-pod")).run(told=print)
Controller(kube, cloud, price, clock).once(dry_run=True).explain("default/a-pod")
"""

from __future__ import annotations

from infra.autoscale.controller.decisions import Counts, Decision, LoopResult
from infra.autoscale.controller.loop import Controller
from infra.autoscale.controller.settings import Settings

__all__ = ["Controller", "Counts", "Decision", "LoopResult", "Settings"]
