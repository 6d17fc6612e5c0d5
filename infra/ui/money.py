"""Dollars as people read them; unknown is ``?`` and never 0."""

from __future__ import annotations

from infra.plan.model import Cost

HOURS_PER_MONTH = 730

BY_USE = "by use"


def hourly(cost: Cost) -> str:
    return _text(cost, 1, 3 if 0 < cost.known < 1 else 2)


def monthly(cost: Cost) -> str:
    return _text(cost, HOURS_PER_MONTH, 0 if cost.known * HOURS_PER_MONTH >= 1000 else 2)


def _text(cost: Cost, factor: int, digits: int) -> str:
    if not cost.known and cost.unknown:
        return "?"
    if not cost.known and cost.usage:
        return BY_USE
    bound = "≤ " if cost.bound else ""
    amount = f"{bound}${cost.known * factor:,.{digits}f}"
    return f"{amount} + ?" if cost.unknown else amount


def both(before: Cost, after: Cost) -> str:
    """``$0.10/h ($73.00/month) → $0.40/h ($292.00/month)``."""
    return f"{hourly(before)}/h ({monthly(before)}/month) → {hourly(after)}/h ({monthly(after)}/month)"
