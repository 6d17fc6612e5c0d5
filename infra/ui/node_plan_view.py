"""The part of a plan that is about running machines, and the order of all its steps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from infra.plan import steps
from infra.plan.model import NodeStep, Plan
from infra.plan.steps import Step
from infra.spec.names import fold

if TYPE_CHECKING:
    from rich.table import Table

SIGNS = {"bootstrap": ("+", "green"), "converge": ("~", "yellow"), "join": ("+", "green")}


def table(nodes: Sequence[NodeStep]) -> Table:
    """One row for machines to which the same is done for the same reasons."""
    from rich.table import Table
    from rich.text import Text

    made = Table(title="machines", title_justify="left", title_style="bold", expand=False, box=None)
    for name in ("", "what", "profile", "policy", "why"):
        made.add_column(name, overflow="fold")
    groups: dict[tuple[object, ...], list[NodeStep]] = {}
    for step in nodes:
        key = (step.action, step.profile, step.before, step.digest, step.reasons, step.reboot)
        groups.setdefault(key, []).append(step)
    for found in groups.values():
        first = found[0]
        sign, colour = SIGNS[first.action]
        names = ", ".join(fold([step.node for step in found]))
        policy = (
            f"{first.before[:12] or 'none'} → {first.digest[:12]}"
            if first.before != first.digest
            else first.digest[:12]
        )
        why = "; ".join((*first.reasons, "reboot") if first.reboot else first.reasons)
        made.add_row(Text(sign, colour), Text(f"{first.action} {names}", colour), first.profile, policy, Text(why))
    return made


def lines(plan: Plan) -> Iterator[str]:
    """The machines that nothing is done to, and why."""
    if plan.settled:
        yield f"as the file wants them: {', '.join(fold(plan.settled))}"
    reasons: dict[tuple[str, str], list[str]] = {}
    for silent in plan.silent:
        reasons.setdefault((silent.why, silent.fix), []).append(silent.node)
    for (why, fix), names in reasons.items():
        yield f"not in this plan: {', '.join(fold(names))}: {why}" + (f" ({fix})" if fix else "")


def order(plan: Plan) -> Table | None:
    """The graph as a list: equal numbers may run side by side. None where there is nothing to order."""
    from rich.table import Table
    from rich.text import Text

    found = steps.of(plan)
    if len({step.kind for step in found}) < 2 and not any(step.after for step in found):
        return None
    made = Table(title="in this order", title_justify="left", title_style="bold", expand=False, box=None)
    for name in ("", "step", "after"):
        made.add_column(name, overflow="fold")
    depth = steps.levels(found)
    groups: dict[tuple[object, ...], list[Step]] = {}
    for step in sorted(found, key=lambda one: depth[one.id]):
        groups.setdefault((depth[step.id], step.kind, step.after, step.group, step.at_once), []).append(step)
    for alike in groups.values():
        first = alike[0]
        name = f"{first.kind} {', '.join(fold([step.name for step in alike]))}"
        limit = f", {first.at_once} at a time" if first.at_once and len(alike) > first.at_once else ""
        after = ", ".join(one.replace(":", " ", 1) for one in first.after)
        made.add_row(str(depth[first.id]), Text(name + limit), Text(after))
    return made
