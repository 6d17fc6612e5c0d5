"""Drift as a person reads it: one table per region, a line for every value that moved."""

from __future__ import annotations

from typing import TYPE_CHECKING

from infra.plan.words import many
from infra.ui.console import console

if TYPE_CHECKING:
    from rich.table import Table

    from infra.cloud.drift import Drift, RegionDrift

SIGNS = {"update": ("~", "yellow"), "delete": ("-", "red"), "unknown": ("?", "magenta")}


def show(found: Drift) -> None:
    """Print what was found in every region, and what to do about it."""
    out = console()
    for region in found.regions:
        if region.empty:
            said = (
                f"no drift in {many(region.resources, 'resource')}"
                if region.resources
                else "nothing was applied here yet"
            )
            out.print(f"[bold]{region.region}[/]: {said}")
        else:
            out.print(_table(region))
    for name in found.left:
        out.print(
            f"note: {name} is no longer in the file and was not looked at; its state is still there", markup=False
        )
    for note in found.notes:
        out.print(f"note: {note}", markup=False)
    out.print(f"\n[bold]{found.cluster}[/]: {_summary(found)}")
    if not found.empty:
        out.print("Next: infra plan shows what an apply would set back", markup=False)


def _table(region: RegionDrift) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(title=region.region, title_justify="left", title_style="bold", expand=False, box=None)
    for name in ("", "what", "what moved (as applied → now)"):
        table.add_column(name, overflow="fold")
    for change in region.changed:
        sign, colour = SIGNS[change.action]
        table.add_row(Text(sign, colour), Text(change.title, colour), Text("\n".join(change.reasons)))
    for stray in region.unknown:
        sign, colour = SIGNS["unknown"]
        name = f" {stray.name}" if stray.name and stray.name != stray.id else ""
        why = "carries this cluster's tag, and the state does not know it"
        made = f"\nmade as {stray.made_as}" if stray.made_as else ""
        table.add_row(Text(sign, colour), Text(f"{stray.kind} {stray.id}{name}", colour), Text(why + made))
    return table


def _summary(found: Drift) -> str:
    changed = [change for region in found.regions for change in region.changed]
    counts = {
        "changed": sum(change.action == "update" for change in changed),
        "gone": sum(change.action == "delete" for change in changed),
        "unknown to the state": sum(len(region.unknown) for region in found.regions),
    }
    return ", ".join(f"{count} {name}" for name, count in counts.items() if count) or "no drift"
