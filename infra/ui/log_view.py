"""The records of applies as a person reads them: a table of all, or one with what went wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from infra.ui.console import console

if TYPE_CHECKING:
    from infra.cloud.journal.records import Record

COLOURS = {"done": "green", "failed": "red", "interrupted": "yellow", "killed": "red", "running": "cyan"}
COUNTS = {"add": "+", "change": "~", "remove": "-", "import": "="}


def every(cluster: str, found: Sequence[Record]) -> None:
    """The table, newest last, and the commands that go on from it."""
    from rich.table import Table
    from rich.text import Text

    out = console()
    if not found:
        out.print(f"[bold]{cluster}[/]: nothing was applied yet. Next: infra plan")
        return
    table = Table(title=cluster, title_justify="left", title_style="bold", expand=False, box=None)
    for name in ("N", "when", "took", "who", "command", "result", "what"):
        table.add_column(name, overflow="fold", justify="right" if name in ("N", "took") else "left")
    for record in found:
        parts = [f"{name} {said(facts)}" for name, facts in record.regions.items()]
        regions = "; ".join([*parts, *machines(record.nodes)])
        table.add_row(
            str(record.number),
            moment(record.started),
            took(record),
            Text(record.who),
            Text(words(record)),
            Text(record.status, COLOURS.get(record.status, "")),
            Text(regions),
        )
    out.print(table)
    last = found[-1].number
    out.print(f"\nNext: infra log {last}, or the way back to one: infra plan --as-of N", markup=False)


def one(record: Record) -> None:
    """Everything of one record but its cluster.yaml."""
    from rich.markup import escape

    out = console()
    colour = COLOURS.get(record.status, "default")
    out.print(f"[bold]record {record.number}[/]: {escape(words(record))}, [{colour}]{record.status}[/]")
    facts = {
        "who": f"{record.who} (process {record.pid})",
        "started": moment(record.started),
        "ended": f"{moment(record.ended)} (took {took(record)})" if record.ended else "never",
        "plan": record.plan[:12],
        "cluster.yaml": f"{record.spec[:12]}, {len(record.spec_text.splitlines())} lines (infra log "
        f"{record.number} --spec)",
    }
    for name, value in facts.items():
        out.print(f"  {name:13}{value}", markup=False)
    for name, region in record.regions.items():
        status = str(region.get("status", ""))
        out.print(f"  {name:13}{status}{'' if said(region) == status else f': {said(region)}'}", markup=False)
    for name, node in record.nodes.items():
        out.print(f"  {name:13}{node.get('action', '')}: {node.get('status', '')}{_brought(node)}", markup=False)
    for problem in record.errors:
        where = f"{problem.get('where')}: " if problem.get("where") else ""
        out.print(f"[red]{escape(problem.get('level', 'error'))}[/]: {escape(where + problem.get('what', ''))}")
        for key in ("why", "fix"):
            if problem.get(key):
                out.print(f"  {key}: {problem[key]}", markup=False)
    if record.status != "done" and record.status != "running":
        out.print("Next: infra plan shows what is still to do", markup=False)


def words(record: Record) -> str:
    """What was done: ``apply of pools.gpu``, ``apply as of 3``, ``destroy``."""
    only = f" of {', '.join(record.only)}" if record.only else ""
    back = f" as of {record.as_of}" if record.as_of else ""
    return f"{record.command}{only}{back}"


def said(facts: Mapping[str, Any]) -> str:
    """``+28 ~1``, else the region's status."""
    counts = [f"{sign}{facts[key]}" for key, sign in COUNTS.items() if facts.get(key)]
    if counts:
        return " ".join(counts)
    return "nothing to do" if facts.get("status") == "done" else str(facts.get("status", ""))


def machines(nodes: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """``3 machines done``, by status."""
    counts = Counter(str(facts.get("status", "")) for facts in nodes.values())
    return [f"{count} machine{'s' if count > 1 else ''} {status}" for status, count in counts.items()]


def _brought(node: Mapping[str, Any]) -> str:
    if node.get("status") != "done":
        return ""
    restarted = ", restarted" if node.get("rebooted") else ""
    return f", {node.get('updated', 0)} resources changed{restarted}, in {node.get('seconds', 0)} s"


def moment(text: str) -> str:
    """``2026-11-22 01:00:00`` (UTC), as it was written."""
    return text.replace("T", " ").replace("Z", " UTC")


def took(record: Record) -> str:
    """How long it ran."""
    try:
        seconds = (datetime.fromisoformat(record.ended) - datetime.fromisoformat(record.started)).total_seconds()
    except ValueError:
        return ""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}m {rest:02}s" if minutes else f"{rest}s"
