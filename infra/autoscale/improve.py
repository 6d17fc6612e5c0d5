"""More time for a cheaper plan and a better bound."""

from __future__ import annotations

from infra.autoscale.pattern import Pattern
from infra.autoscale.task import Task


def improve(task: Task, patterns: list[Pattern], seconds: float) -> tuple[list[Pattern], float]:
    return patterns, 0.0
