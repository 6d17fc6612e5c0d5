"""The proof as a person reads it: which machines are the same, and a table of what is not."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from infra.node.inventory.pattern import fold
from infra.node.proof.allowed import Value
from infra.node.proof.manifest import readable
from infra.plan.words import many
from infra.ui.console import console

if TYPE_CHECKING:
    from rich.text import Text

    from infra.errors import InfraError
    from infra.node.proof.compare import Comparison, Difference
    from infra.node.proof.verify import Drifted, Since, Verdict

MOST = 60  # differences that a terminal gets; files and JSON have all
COLUMNS = 4  # groups side by side; more are written below each other
LONG = 160
_DIGEST = re.compile(r"\b([0-9a-f]{12})[0-9a-f]{52}\b")


def shown(value: Value) -> str:
    """A value for people: what is not there is a dash; a sha256 has 12 digits."""
    if value is None:
        return "–"
    text = _DIGEST.sub(r"\1…", readable(value))
    return text if len(text) <= LONG else f"{text[: LONG - 1]}…"


def counted(differences: Sequence[Difference]) -> str:
    """``12 differences (package 9, sysctl 3)``."""
    sections: dict[str, int] = {}
    for item in differences:
        sections[item.section] = sections.get(item.section, 0) + 1
    parts = ", ".join(f"{name} {count}" for name, count in sorted(sections.items(), key=lambda item: -item[1]))
    return f"{many(len(differences), 'difference')} ({parts})"


def letters(groups: Sequence[Sequence[str]]) -> list[str]:
    """A name for each group: A, B, … Z, 27, 28, …"""
    return [chr(ord("A") + number) if number < 26 else str(number + 1) for number in range(len(groups))]


def verdict(found: Verdict, list_allowed: bool) -> None:
    out = console()
    for one in found.comparisons:
        _comparison(one, list_allowed)
    for name in found.alone:
        out.print(f"{name}: nothing of its profile to compare it with", style="yellow", markup=False)
    _failures(found.failed)
    if found.code == 2:
        out.print(
            "\nNext: infra plan shows what a converge mends. What may stay so goes into profiles.NAME.may_differ, with "
            "the reason",
            markup=False,
        )


def _failures(failed: Mapping[str, InfraError]) -> None:
    for name, error in failed.items():
        console().print(f"\n{name}: not compared", style="bold red", markup=False)
        console().print(error.text(), markup=False, soft_wrap=True)


def _comparison(one: Comparison, list_allowed: bool) -> None:
    out = console()
    who = f"{one.profile or 'no profile'}: {fold(one.nodes)}"
    if one.identical:
        out.print(f"{who}: identical", style="bold green", markup=False)
    else:
        out.print(f"{who}: {counted(one.differences)}", style="bold red", markup=False)
    declared = f"; {len(one.allowed)} differ as declared" if one.allowed else ""
    more = " (--allowed lists them)" if one.allowed and not list_allowed else ""
    out.print(f"  {one.facts} facts of each, signed with its host key{declared}{more}", markup=False)
    if one.differences:
        _groups(one)
        _table(one)
    if list_allowed and one.allowed:
        _allowed(one)


def _groups(one: Comparison) -> None:
    if len(one.groups) < 2:
        return
    for letter, group in zip(letters(one.groups), one.groups, strict=True):
        console().print(f"  {letter}  {fold(group)}", markup=False)


def _table(one: Comparison) -> None:
    from rich.table import Table
    from rich.text import Text

    side_by_side = 2 <= len(one.groups) <= COLUMNS
    names = letters(one.groups) if side_by_side else ["values"]
    _clones([item for item in one.differences if item.note])
    rows = _in_short([item for item in one.differences if not item.note])
    if not rows:
        return
    table = Table(box=None, pad_edge=True)
    for name in ("what", *names):
        table.add_column(name, overflow="fold")
    for item in rows[:MOST]:
        what = Text(f"{item.section} {item.key}")
        if side_by_side:
            table.add_row(what, *_cells(item, one.groups))
        else:
            table.add_row(what, Text("\n".join(_lines(item))))
    console().print(table)
    if len(rows) > MOST:
        console().print(f"  and {counted(rows[MOST:])}: --html FILE or --json has all", markup=False)


def _in_short(differences: Sequence[Difference]) -> list[Difference]:
    """An account that is on some machines and not on others is one row, not one for each of its facts."""
    found: dict[object, list[Difference]] = {}
    for item in differences:
        name, dot, _ = item.what.rpartition(".")
        there = tuple(sorted(nodes for value, nodes in item.values if value is not None))
        whole = item.section == "user" and dot and len(item.values) == 2 and len(there) == 1
        found.setdefault((name, there) if whole else item.what, []).append(item)
    return [items[0] if len(items) == 1 else _as_one(items) for items in found.values()]


def _as_one(items: Sequence[Difference]) -> Difference:
    facts = [(item.key.rpartition(".")[2], readable(value)) for item in items for value, _ in item.values if value]
    text = ", ".join(f"{name} {value}" for name, value in sorted(facts, key=lambda fact: fact[0] != "uid"))
    values = tuple((None if value is None else text, nodes) for value, nodes in items[0].values)
    return replace(items[0], what=items[0].what.rpartition(".")[0], values=values)


def _clones(items: Sequence[Difference]) -> None:
    for item in items:
        console().print(f" {item.section} {item.key}: {item.note}", style="red", markup=False)
        for line in _lines(item):
            console().print(f"     {line}", markup=False)


def _lines(item: Difference) -> list[str]:
    return [f"{shown(value)}  {fold(nodes)}" for value, nodes in item.values]


def _cells(item: Difference, groups: Sequence[Sequence[str]]) -> list[Text]:
    """The value of each group; what the first does not have so is coloured."""
    from rich.text import Text

    of = {node: value for value, nodes in item.values for node in nodes}
    values = [of[group[0]] for group in groups]
    return [Text(shown(value), "" if value == item.values[0][0] else "yellow") for value in values]


def _allowed(one: Comparison) -> None:
    """What differs and may, by reason."""
    out = console()
    reasons: dict[str, list[Difference]] = {}
    for item in one.allowed:
        reasons.setdefault(item.reason, []).append(item)
    out.print("  may differ:", style="bold", markup=False)
    for reason, items in reasons.items():
        out.print(f"  {reason}", style="green", markup=False)
        for item in items:
            values = "; ".join(f"{shown(value)} {fold(nodes)}" for value, nodes in item.values[:3])
            more = "; …" if len(item.values) > 3 else ""
            out.print(f"      {item.section} {item.key}: {values}{more}", markup=False, soft_wrap=True)


def drifted(found: Drifted) -> None:
    out = console()
    for item in found.nodes:
        _since(item)
    _failures(found.failed)
    if any(item.differences and not item.accepted for item in found.nodes):
        out.print(
            "\nNext: infra node converge NAME mends what the policy sets; infra node verify --accept NAME takes "
            "the rest for right",
            markup=False,
        )


def _since(item: Since) -> None:
    from rich.table import Table
    from rich.text import Text

    out = console()
    when = f" ({item.converged})" if item.converged else ""
    if item.accepted:
        was = (
            "it had none"
            if not item.baseline
            else counted(item.differences)
            if item.differences
            else "nothing had changed"
        )
        out.print(f"{item.node}: what it is now is its baseline; {was}", style="bold green", markup=False)
    elif not item.baseline:
        out.print(f"{item.node}: no baseline: infra has not converged it yet", style="bold yellow", markup=False)
    elif not item.differences:
        out.print(f"{item.node}: as it was after its last converge{when}", style="bold green", markup=False)
    else:
        out.print(
            f"{item.node}: {counted(item.differences)} since its last converge{when}", style="bold red", markup=False
        )
    if not item.differences:
        return
    table = Table(box=None, pad_edge=True)
    for name in ("what", "then", "now"):
        table.add_column(name, overflow="fold")
    for difference in item.differences[:MOST]:
        (before, _), (after, _) = difference.values
        table.add_row(Text(f"{difference.section} {difference.key}"), Text(shown(before)), Text(shown(after), "yellow"))
    out.print(table)
    if len(item.differences) > MOST:
        out.print(f"  and {counted(item.differences[MOST:])}: --json has all", markup=False)
