"""The controller of the autoscaler: looks, plans, acts, and can be killed between any two requests. Ports only."""

from __future__ import annotations

from infra.autoscale.controller.decisions import Counts, Decision, LoopResult
from infra.autoscale.controller.settings import Settings

__all__ = ["Counts", "Decision", "LoopResult", "Settings"]
