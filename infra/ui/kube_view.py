"""The Kubernetes cluster as a person reads it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from infra.plan.words import many
from infra.ui.console import console

if TYPE_CHECKING:
    from rich.text import Text

    from infra.kube.members import Member
    from infra.kube.putting import Item
    from infra.kube.upgrading import Upgrade

MARKS = {"create": ("+", "green"), "change": ("~", "yellow"), "remove": ("-", "red")}
SHOWN = 8  # changes of one object


def nodes(rows: Sequence[Member], notes: Sequence[str]) -> None:
    """A row a node, then the machines that have not joined."""
    from rich.table import Table

    out = console()
    for note in notes:
        out.print(f"note: {note}", style="yellow", markup=False)
    table = Table(box=None, pad_edge=False)
    for name in ("node", "machine", "from", "ready", "version", "GPUs", "taints", "age"):
        table.add_column(name, overflow="fold", no_wrap=name in ("node", "machine", "ready", "taints"))
    for row in rows:
        place = "control plane" if row.control_plane else " ".join(filter(None, [row.origin, row.group]))
        gpus = str(row.gpus) if row.gpus else ""
        table.add_row(
            row.node or "-", row.machine, place, _ready(row), row.version, gpus, "\n".join(row.taints), _age(row.age)
        )
    if rows:
        out.print(table)
    joined = [row for row in rows if row.node]
    well = sum(row.ready == "yes" for row in joined)
    away = [row.machine for row in rows if not row.node]
    out.print(f"\n{many(len(joined), 'node')}, {well} ready, {sum(row.gpus for row in joined)} GPUs", markup=False)
    if away:
        out.print(f"Not joined: {', '.join(away)}", style="red", markup=False)
        out.print(f"Next: infra node list {' '.join(away[:3])}", markup=False)


def _ready(row: Member) -> Text:
    from rich.text import Text

    if not row.node:
        return Text("not joined", "red")
    word = {"yes": "yes", "no": "no", "unknown": "silent"}[row.ready]
    text = Text(word, "green" if row.ready == "yes" else "red")
    if row.cordoned:
        text.append(", cordoned", "yellow")
    return text


def _age(seconds: int | None) -> str:
    if seconds is None:
        return ""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def manifests(items: Sequence[Item], notes: Sequence[str], *, applied: bool) -> None:
    """A line an object that differs, its changes below, and how many there are of each kind."""
    from rich.text import Text

    out = console()
    for note in notes:
        out.print(f"note: {note}", style="yellow", markup=False)
    for item in items:
        if item.state == "same":
            continue
        mark, colour = MARKS[item.state]
        out.print(Text(f"{mark} {item.title}", colour))
        for line in item.changes[:SHOWN]:
            out.print(f"    {line}", markup=False, soft_wrap=True)
        if len(item.changes) > SHOWN:
            out.print(f"    and {len(item.changes) - SHOWN} more", markup=False)
    counts = {state: sum(item.state == state for item in items) for state in ("create", "change", "remove", "same")}
    if counts["same"] == len(items):
        out.print(f"{many(len(items), 'object')}: all are as they should be")
        return
    words = {"create": "created", "change": "changed", "remove": "removed"}
    parts = [
        f"{counts[state]} {word if applied else f'to be {word}'}" for state, word in words.items() if counts[state]
    ]
    out.print(f"\n{', '.join(parts)}, {counts['same']} as they should be", markup=False)
    if not applied:
        out.print("Next: infra kube manifests --apply", markup=False)


def upgrade(found: Upgrade, notes: Sequence[str]) -> None:
    """The steps in order, then what is not among them."""
    out = console()
    out.print(f"Kubernetes {found.server} → {found.to}", markup=False)
    for number, step in enumerate(found.steps, start=1):
        what = "control plane" if step.part == "control-plane" else "node"
        more = ", the cluster with it" if step.how == "apply" else ""
        out.print(f"  {number}. {step.machine}: {what}, has {step.has}; drained{more}", markup=False)
    if found.empty:
        out.print("  every machine that is upgraded in place has it", markup=False)
    for word, items in (("by a new image", found.images), ("by hand (not in the file)", found.strangers)):
        if items:
            out.print(f"  {word}: {', '.join(f'{item.node} ({item.version})' for item in items)}", markup=False)
    for note in notes:
        out.print(f"note: {note}", style="yellow", markup=False)
