"""A plan as a person reads it: one table per region, then what it costs and what cannot be undone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from infra.plan.model import ACTIONS, Change, Cost, Machine, Plan, RegionPlan, total
from infra.plan.words import part
from infra.ui import money
from infra.ui.console import console

if TYPE_CHECKING:
    from rich.table import Table

SIGNS = {"create": "+", "update": "~", "replace": "±", "delete": "-", "import": "=", "read": "<", "forget": "."}
COLOURS = {"create": "green", "update": "yellow", "replace": "magenta", "delete": "red", "import": "cyan"}
FOLD = 3  # so many equal small things of one part become one line


def show(plan: Plan, details: bool = False) -> None:
    """Print the whole plan. ``details`` gives every resource a line of its own."""
    from rich.markup import escape

    out = console()
    for problem in plan.warnings:
        out.print("[yellow]warning[/]:", escape(f"{problem['where']}: {problem['what']}"))
        if problem["fix"]:
            out.print(f"  fix: {problem['fix']}", markup=False)
    for region in plan.regions:
        _region(plan, region, details)
    if plan.machines:
        out.print(_machines(plan))
    for note in plan.notes:
        out.print(f"note: {note}", markup=False)
    _summary(plan)


def _region(plan: Plan, region: RegionPlan, details: bool) -> None:
    from rich.markup import escape

    out = console()
    if region.empty:
        out.print(f"[bold]{region.region}[/]: no changes")
    else:
        out.print(_table(region, details))
    for text in region.limits:
        out.print("  [yellow]not emulated[/]:", escape(text))
    if region.drift:
        out.print(
            f"  changed behind our back since the last apply: {len(region.drift)} (see infra drift)", markup=False
        )


def _table(region: RegionPlan, details: bool) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(title=f"{region.region}", title_justify="left", title_style="bold", expand=False, box=None)
    for name in ("", "what", "why", "$/h"):
        table.add_column(name, overflow="fold", justify="right" if name == "$/h" else "left")
    for group in _groups(region.changes, details):
        first = group[0]
        red = "bold red" if any(change.irreversible for change in group) else COLOURS.get(first.action, "")
        why = "; ".join(first.reasons)
        if first.irreversible:
            why = f"IRREVERSIBLE: {first.irreversible}. {why}"
        cost = _cost_cell(total(change.before for change in group), total(change.after for change in group))
        table.add_row(
            Text(SIGNS[first.action], red), Text(_label(group), red), Text(why, red if first.irreversible else ""), cost
        )
    return table


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


def _groups(changes: tuple[Change, ...], details: bool) -> list[list[Change]]:
    """Equal small changes of one part of cluster.yaml are folded to one line; what matters keeps its own."""
    groups: dict[tuple[str, ...], list[Change]] = {}
    for index, change in enumerate(changes):
        own = details or change.irreversible or change.action not in ("create", "delete")
        key = (str(index),) if own else (part(change.address), change.type, change.action, *change.reasons)
        groups.setdefault(key, []).append(change)
    found = []
    for group in groups.values():
        found += [group] if len(group) >= FOLD else [[change] for change in group]
    return sorted(found, key=lambda group: part(group[0].address))


def _label(group: list[Change]) -> str:
    first = group[0]
    if len(group) == 1:
        return first.title or first.address
    from infra.plan.words import kind

    return f"{part(first.address)}: {len(group)} × {kind(first.type)}"


def _cost_cell(before: Cost, after: Cost) -> str:
    if before == after:
        return "" if not after.known and not after.unknown else money.hourly(after)
    if before == Cost():
        return money.hourly(after)
    return f"{money.hourly(before)} → {money.hourly(after)}"


def _summary(plan: Plan) -> None:
    from rich.markup import escape

    out = console()
    counts = [f"{plan.count(action)} to {action}" for action in ACTIONS if plan.count(action) and action != "read"]
    before, after = total(item.before for item in plan.regions), total(item.after for item in plan.regions)
    what = ", ".join(counts) or ("no changes" if plan.regions else f"{len(plan.machines)} physical machines, no cloud")
    out.print(f"\n[bold]{plan.cluster}[/]: {what}")
    if not plan.regions:
        return
    out.print(f"cost: {money.both(before, after)}   [dim]list prices of {plan.prices_date}[/]")
    full = total(item.full for item in plan.regions)
    if full.known > after.known:
        out.print(f"  up to {money.hourly(full)}/h when every pool has grown to its max", markup=False)
    if after.unknown:
        out.print(f"  ? no price known for: {', '.join(after.unknown)}", markup=False)
    if after.usage:
        out.print(f"  plus what is paid by use: {', '.join(after.usage)}", markup=False)
    for change in plan.irreversible:
        out.print("[bold red]IRREVERSIBLE[/]", escape(f"{change.title}: {change.irreversible}"))
