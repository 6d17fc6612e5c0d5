"""A plan as a person reads it: one table per region, then what it costs and what cannot be undone."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from infra.plan.model import ACTIONS, Action, Cost, Machine, Plan, RegionPlan, total
from infra.ui import money, plan_rows
from infra.ui.console import console

if TYPE_CHECKING:
    from rich.table import Table

SIGNS = {"create": "+", "update": "~", "replace": "±", "delete": "-", "import": "=", "read": "<", "forget": "."}
COLOURS = {"create": "green", "update": "yellow", "replace": "magenta", "delete": "red", "import": "cyan"}
FOLD = 3  # of a group of equal machines, so many are named


def show(plan: Plan, details: bool = False) -> None:
    """Print the whole plan. ``details`` gives every resource a line of its own."""
    from rich.markup import escape

    out = console()
    if plan.as_of:
        name = plan.spec_file.rpartition("/")[2]
        out.print(f"[bold]the way back[/] to {escape(name)}: what it says, and not what the file says today")
    for problem in plan.warnings:
        out.print("[yellow]warning[/]:", escape(f"{problem['where']}: {problem['what']}"))
        if problem["fix"]:
            out.print(f"  fix: {problem['fix']}", markup=False)
    if plan.images:
        out.print(_images(plan))
    for region in plan.regions:
        _region(plan, region, details)
    if plan.machines and not plan.settled and not plan.nodes:
        out.print(_machines(plan))
    _nodes(plan)
    for note in plan.notes:
        out.print(f"note: {note}", markup=False)
    _summary(plan)


def _images(plan: Plan) -> Table:
    """What is done to images first, in order."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title="images", title_justify="left", title_style="bold", expand=False, box=None)
    for name in ("", "what", "where", "why"):
        table.add_column(name, overflow="fold")
    for step in plan.images:
        sign, colour = ("+", "green") if step.action == "bake" else ("~", "yellow")
        name = f"{step.action} {step.profile}  ({step.digest[:12]})"
        table.add_row(Text(sign, colour), Text(name, colour), ", ".join(step.regions), Text("; ".join(step.reasons)))
    return table


def _region(plan: Plan, region: RegionPlan, details: bool) -> None:
    from rich.markup import escape

    out = console()
    if region.empty:
        out.print(f"[bold]{region.region}[/]: no changes")
    else:
        out.print(_table(plan, region, details))
    for text in region.limits if not plan.destroy else ():
        out.print("  [yellow]not emulated[/]:", escape(text))
    if region.drift:
        out.print(
            f"  changed behind our back since the last apply: {len(region.drift)} (see infra drift)", markup=False
        )


def _table(plan: Plan, region: RegionPlan, details: bool) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(title=_head(region), title_justify="left", title_style="bold", expand=False, box=None)
    for name in ("", "what", "why", "$/h"):
        table.add_column(name, overflow="fold", justify="right" if name == "$/h" else "left")
    for group in plan_rows.rows(region.changes, details):
        first = group[0]
        red = "bold red" if any(change.irreversible for change in group) else COLOURS.get(first.action, "")
        why = plan_rows.why(group, plan.destroy)
        cost = _cost_cell(total(change.before for change in group), total(change.after for change in group))
        table.add_row(
            Text(SIGNS[first.action], red),
            Text(plan_rows.label(group), red),
            Text(why, red if first.irreversible else ""),
            cost,
        )
    return table


def _head(region: RegionPlan) -> str:
    cost = _cost_cell(region.before, region.after) or "$0.00"
    return f"{region.region}: {', '.join(counts(region.count))}, {cost}{'' if cost == money.BY_USE else '/h'}"


def counts(count: Callable[[Action], int]) -> list[str]:
    """``2 to create``, for each action of which there is any."""
    return [f"{count(action)} to {action}" for action in ACTIONS if count(action) and action != "read"]


def _machines(plan: Plan) -> Table:
    """The physical machines; equal ones of a group (the rule) are folded to one row."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title="metal", title_justify="left", title_style="bold", expand=False, box=None)
    for name in ("group", "machine", "login", "GPUs", "profile", "becomes"):
        table.add_column(name, overflow="fold")
    groups: dict[tuple[str, ...], list[Machine]] = {}
    for machine in plan.machines:
        key = (machine.group, machine.profile, machine.gpus)
        groups.setdefault(key, []).append(machine)
    for (group, profile, gpus), found in groups.items():
        for index, machine in enumerate(found):
            if len(found) > 2 * FOLD and FOLD <= index < len(found) - 1:
                if index == FOLD:
                    table.add_row("", f"… {len(found) - FOLD - 1} more", "", "", "", "")
                continue
            first = index == 0
            becomes = ", ".join(machine.wants) if first else "the same"
            row = (group if first else "", machine.name, machine.login, gpus, profile, becomes)
            table.add_row(*map(Text, row))
    return table


def _nodes(plan: Plan) -> None:
    """What is done to running machines, which are as they should be, which did not answer; then the order of it all."""
    from infra.ui import node_plan_view

    out = console()
    if plan.nodes:
        out.print(node_plan_view.table(plan.nodes))
    for text in node_plan_view.lines(plan):
        out.print(text, markup=False)
    if order := node_plan_view.order(plan):
        out.print(order)


def _cost_cell(before: Cost, after: Cost) -> str:
    if before == after:
        return "" if not after.known and not after.unknown else money.hourly(after)
    if before == Cost():
        return money.hourly(after)
    return f"{money.hourly(before)} → {money.hourly(after)}"


def _summary(plan: Plan) -> None:
    from rich.markup import escape

    out = console()
    before, after = total(item.before for item in plan.regions), total(item.after for item in plan.regions)
    steps = [f"{name} to {action}" for action in ("bake", "promote") if (name := _named(plan, action))]
    nodes = [
        f"{number} machine{'s' if number > 1 else ''} to {action}"
        for action in ("bootstrap", "converge", "join")
        if (number := _nodes_to(plan, action))
    ]
    what = ", ".join([*steps, *counts(plan.count), *nodes]) or nothing(plan)
    out.print(f"\n[bold]{plan.cluster}[/]: {what}")
    if not plan.regions:
        return
    cost = money.both(before, after) if before != after else f"{money.hourly(after)}/h ({money.monthly(after)}/month)"
    out.print(f"cost: {cost}   [dim]list prices of {plan.prices_date}[/]")
    full = total(item.full for item in plan.regions)
    if full.known > after.known:
        out.print(f"  up to {money.hourly(full)}/h when every pool has grown to its max", markup=False)
    if after.unknown:
        out.print(f"  ? no price known for: {', '.join(after.unknown)}", markup=False)
    if after.usage:
        out.print(f"  plus what is paid by use: {', '.join(after.usage)}", markup=False)
    for change in plan.irreversible if not plan.destroy else ():  # a destroy lists what holds data by itself
        out.print("[bold red]IRREVERSIBLE[/]", escape(f"{change.title}: {change.irreversible}"))


def nothing(plan: Plan) -> str:
    """What an empty plan says."""
    if plan.regions or plan.settled:
        return "no changes"
    if plan.silent:
        return f"no changes known: none of its {len(plan.silent)} machines could be looked at"
    return f"no changes: nothing is converged on its {len(plan.machines)} physical machines"


def _nodes_to(plan: Plan, action: str) -> int:
    return sum(step.action == action for step in plan.nodes)


def _named(plan: Plan, action: str) -> str:
    return ", ".join(f"image {step.profile}" for step in plan.images if step.action == action)
