"""What the controller decided, as one JSON object for the log, as notices for people, and pending pods by reason."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import Any

from infra.autoscale.controller.decisions import Decision, LoopResult

PHRASES = (
    ("malformed", ("manifest is malformed",)),
    ("gate", ("scheduling gate",)),
    ("unplanned", ("not planned for",)),
    ("gang", ("its gang ",)),
    ("spread", ("topology spread",)),
    ("maximum", ("at its maximum",)),
    ("capacity", ("has no capacity now", "does not launch")),
    ("blind", ("does not answer",)),
    ("too-large", ("too small", " taken")),
    ("selector", ("nodeSelector", "node affinity", "tolerate")),
)
"""Classes of reasons and the words that tell them, the most telling first."""
LINES = 15
"""Of one notice."""
ALWAYS = ("buy", "give-back", "interrupted", "refuse", "resume", "back-off", "replace", "lead")
WHILE_NEW = ("blind", "warn", "could-not")
"""These come again in each loop as long as they hold; they are told when they begin."""


def line(decision: Decision, result: LoopResult) -> dict[str, Any]:
    """The fields of a log line; all are always there."""
    place = decision.place
    return {
        "time": _iso(result.started),
        "kind": decision.kind,
        "subject": decision.subject,
        "reason": decision.reason,
        "count": decision.count,
        "dollars_per_hour": round(decision.cost, 6),
        "bound": None if decision.bound is None else round(decision.bound, 6),
        "gap": None if decision.gap is None else round(decision.gap, 6),
        "fleet": str(decision.fleet),
        "region": place.region if place else "",
        "zone": place.zone if place else "",
        "type": place.type if place else "",
        "market": place.market if place else "",
        "node": decision.node,
        "pods": list(decision.pods[:20]),
        "desired": decision.desired,
        "until": None if decision.until is None else _iso(decision.until),
        "done": decision.done,
        "dry_run": result.dry_run,
    }


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def sentence(decision: Decision) -> str:
    """A decision in a line for people."""
    dollars = f", ${abs(decision.cost):,.2f}/h {'more' if decision.cost > 0 else 'less'}" if decision.cost else ""
    gap = f", at most {decision.gap:.1%} over the cheapest possible" if decision.gap is not None else ""
    count = f"{decision.count} × " if decision.count != 1 else ""
    what = f"{count}{decision.place}, " if decision.place and decision.kind == "buy" else ""
    return f"{decision.kind} {decision.subject}: {what}{decision.reason}{dollars}{gap}"


def changes(result: LoopResult) -> tuple[Decision, ...]:
    """The decisions that change something in the world."""
    still = ("refuse", "hold", "blind", "warn", "lead", "follow", "could-not", "back-off", "resume")
    return tuple(one for one in result.decisions if one.kind not in still)


def reason_class(reason: str) -> str:
    """The class of a reason for which a pod waits, ``other`` for one that has none."""
    return next((name for name, some in PHRASES if any(words in reason for words in some)), "other")


def pending(result: LoopResult) -> Counter[str]:
    """The waiting pods by class of reason; ``placed`` have a place, or a machine is coming for them."""
    found: Counter[str] = Counter()
    if result.plan is not None:
        found["placed"] = len(result.plan.placements)
        for one in result.plan.waiting:
            found[reason_class(one.reason)] += len(one.pods)
    return found


class Notices:
    """Which decisions people hear of, each once: what holds on is told when it begins."""

    def __init__(self) -> None:
        self._standing: set[tuple[str, str]] = set()

    def of(self, result: LoopResult) -> tuple[Decision, ...]:
        """Those of a loop that are to be told; nothing of a dry run."""
        if result.dry_run:
            return ()
        standing: set[tuple[str, str]] = {(one.kind, one.subject) for one in result.decisions if one.kind in WHILE_NEW}
        fresh = [
            one
            for one in result.decisions
            if one.kind in ALWAYS or (one.kind in WHILE_NEW and (one.kind, one.subject) not in self._standing)
        ]
        self._standing = standing
        return tuple(fresh)


def notice(decisions: tuple[Decision, ...], cluster: str) -> str:
    """One message for all that a loop has to tell."""
    lines = [sentence(one) for one in decisions[:LINES]]
    if len(decisions) > LINES:
        lines.append(f"and {len(decisions) - LINES} more")
    return "\n".join([f"infra autoscaler of {cluster}:", *lines])
