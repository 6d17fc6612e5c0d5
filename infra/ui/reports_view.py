"""The reports of machines that pull, as a person reads them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from infra.plan.words import many
from infra.ui.console import console
from infra.ui.image_view import age

if TYPE_CHECKING:
    from rich.text import Text

    from infra.node.pull.reports import Row

SHORT = 12  # digits of a digest


def show(rows: Sequence[Row], notes: Sequence[str]) -> None:
    """A row a machine, then those that are silent by name, then what to do next."""
    from rich.table import Table

    out = console()
    for note in notes:
        out.print(f"note: {note}", style="yellow", markup=False)
    if rows:
        table = Table(box=None, pad_edge=False)
        for name in ("name", "profile", "policy", "reported", "status"):
            table.add_column(name, overflow="fold", no_wrap=name == "name")
        for row in rows:
            when = f"{age(row.report.when)} ago" if row.report else "never"
            table.add_row(row.name, row.profile, _policy(row), when, _status(row))
        out.print(table)
    silent = [row.name for row in rows if row.silent]
    well = sum(row.well for row in rows)
    out.print(f"\n{many(len(rows), 'machine')}, {well} as promoted", markup=False)
    if silent:
        out.print(f"Silent for three intervals or more: {', '.join(silent)}", style="red", markup=False)
        out.print(f"Next: infra node list {' '.join(silent[:3])}", markup=False)


def _policy(row: Row) -> Text:
    from rich.text import Text

    if row.report is None:
        return Text("")
    text = Text(row.report.digest[:SHORT] or "none", "yellow" if row.behind else "green")
    if row.behind:
        text.append(f"\npromoted {row.promoted[:SHORT]}", "yellow")
    return text


def _status(row: Row) -> Text:
    from rich.text import Text

    said = row.report
    if said is None:
        return Text("no report", "red")
    words = [said.status]
    if said.what:
        words.append(said.what)
    if said.resource:
        words.append(f"at {said.resource}")
    if said.reboot_pending and said.status != "reboot":
        words.append("a reboot is pending")
    if row.node is None:
        words.append("not in the inventory")
    if row.silent:
        words.append("silent")
    return Text(": ".join(words), "green" if row.well else "red" if row.silent or said.status != "reboot" else "yellow")
