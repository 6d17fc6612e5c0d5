"""Policies, and what changed between two of them, for people."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from infra.ui.console import console

if TYPE_CHECKING:
    from infra.policy import Policy
    from infra.policy.difference import Difference, FileMove, Move, Side

COLOURS = {"added": "green", "removed": "red", "changed": "yellow"}
SIGNS = {"added": "+", "removed": "-", "changed": "~"}


def show(policies: Sequence[Policy], site: Path, attributes: bool = False) -> None:
    """One block for each policy."""
    from rich.table import Table
    from rich.text import Text

    out = console()
    for number, policy in enumerate(policies):
        out.print(("\n" if number else "") + f"[bold]{policy.profile}[/]  {policy.short}")
        table = Table(box=None, show_header=False, padding=(0, 2, 0, 1))
        table.add_column(style="dim")
        table.add_column(overflow="fold")
        for key, value in _rows(policy, site):
            table.add_row(key, Text(value))
        out.print(table)
        if attributes:
            out.print(json.dumps(policy.attributes, indent=2, sort_keys=True, ensure_ascii=False), markup=False)
    if policies:
        first = policies[0].profile
        out.print(f"\nNext: infra image bake {first}, or the archive itself: infra policy build {first}", markup=False)
    else:
        out.print("There are no profiles in the file.")


def _rows(policy: Policy, site: Path) -> list[tuple[str, str]]:
    own = policy.own(site)
    books = ", ".join(f"{name} (the lab's own)" if name in own else name for name in policy.cookbooks)
    return [
        ("run-list", ", ".join(policy.run_list) or 'none: nothing is installed (run_list: ["role[cpu-node]"])'),
        ("recipes", ", ".join(recipe.removesuffix("::default") for recipe in policy.recipes)),
        ("versions", ", ".join(f"{key} {value}" for key, value in policy.versions.items())),
        ("layers", ", ".join(f"{layer.name} {layer.digest[:12]}" for layer in policy.layers)),
        ("cookbooks", books),
        ("archive", f"{len(policy.contents)} files, {len(policy.archive())} bytes"),
        ("digest", policy.digest),
    ]


def diff(found: Difference) -> None:
    """What moved, by kind; the newest state is on the right."""
    from rich.text import Text

    out = console()
    old, new = found.old, found.new
    out.print(Text(f"{_title(old)} → {_title(new)}", "bold"))
    if found.same:
        out.print("They are the same policy.")
        return
    for title, moves in (
        ("versions", found.versions),
        ("run-list", found.run_list),
        ("recipes", found.recipes),
        ("attributes", found.attributes),
    ):
        _moves(title, moves)
    for book in found.cookbooks:
        head = Text(f"cookbook {book.name}", "bold")
        if book.state != "changed":
            head.append(f" {book.state}, {len(book.files)} files", COLOURS[book.state])
        out.print(head)
        for file in book.files if book.state == "changed" else ():
            _file(file)
    if found.others:
        out.print(Text("other files", "bold"))
        for file in found.others:
            _file(file)
    same = [name for name in new.layers if name not in found.layers]
    kept = f"; the same: {', '.join(same)}" if same else ""
    out.print(f"\nlayers changed: {', '.join(found.layers) or 'none'}{kept}", markup=False)


def _title(side: Side) -> str:
    short = side.digest[:12]
    return f"{side.profile} {short}" if side.digest.startswith(side.name) else f"{side.name} {short}"


def _moves(title: str, moves: Sequence[Move]) -> None:
    from rich.text import Text

    if moves:
        console().print(Text(title, "bold"))
    for move in moves:
        state = "added" if move.old is None else "removed" if move.new is None else "changed"
        value = f"{move.old} → {move.new}" if state == "changed" else move.new if state == "added" else move.old
        words = move.key if value == move.key else f"{move.key}: {value}"
        console().print(Text(f"  {SIGNS[state]} {words}", COLOURS[state]))


def _file(file: FileMove) -> None:
    from rich.text import Text

    counts = f"  +{file.added} -{file.removed}" if file.added or file.removed else ""
    console().print(Text(f"  {SIGNS[file.state]} {file.path}{counts}", COLOURS[file.state]))
    for line in file.patch.splitlines()[2:] if file.state == "changed" else ():
        colour = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1], "")
        console().print(Text(f"      {line}", colour))
