"""Machines as a person reads them: the list, and what a command said on many of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from infra.node.inventory.pattern import fold
from infra.plan.words import many
from infra.ui import image_view
from infra.ui.console import console

if TYPE_CHECKING:
    from rich.text import Text

    from infra.node.inventory.listing import Row

SHORT = 12  # digits of a digest


def listing(rows: Sequence[Row], notes: Sequence[str], offline: bool) -> None:
    """A row a machine, then what to do next."""
    out = console()
    for note in notes:
        out.print(f"note: {note}", markup=False)
    if not rows:
        out.print("There is no machine. Next: infra plan, or describe your own under metal: in cluster.yaml")
        return
    _table(rows, offline)
    away = [row for row in rows if row.error]
    _reasons(away)
    told = "from the file and AWS alone (--offline)" if offline else ""
    count = f"{many(len(rows), 'machine')}" + (f", {len(away)} did not answer" if away else "")
    out.print(f"\n{count}{', ' + told if told else ''}", markup=False)
    if following := _next(rows):
        out.print(f"Next: {following}", markup=False)


HEADS = ("name", "kind", "profile", "address", "GPU", "policy or image", "converged", "health")


def _table(rows: Sequence[Row], offline: bool) -> None:
    """A column that is empty in every row would only take room from the others."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    columns = list(zip(*(_cells(row, offline) for row in rows), strict=True))
    shown = [place for place, column in enumerate(columns) if any(str(cell) for cell in column)]
    for place in shown:
        table.add_column(HEADS[place], overflow="fold", no_wrap=HEADS[place] not in ("address", "health"))
    for number in range(len(rows)):
        table.add_row(*(columns[place][number] for place in shown))
    console().print(table)


def _cells(row: Row, offline: bool) -> tuple[str | Text, ...]:
    node = row.node
    way = " ".join(filter(None, [node.region, f"by {node.jump}" if node.jump else ""]))
    place = "\n".join(filter(None, [node.login if node.address else "no address yet", way]))
    converged = _ago(row.seen.converged) if row.seen else ""
    return node.name, node.kind, node.profile, place, _gpus(row), _policy(row), converged, _health(row, offline)


def _reasons(away: Sequence[Row]) -> None:
    """Why machines did not answer and what to do: one of each kind, and how many more there are."""
    kinds: dict[str, list[Row]] = {}
    for row in away:
        kinds.setdefault(row.error.kind if row.error else "", []).append(row)
    out = console()
    for same in kinds.values():
        problem = same[0].error.problems[0] if same[0].error else None
        if problem is not None:
            others = f" (and {fold(row.node.name for row in same[1:])})" if same[1:] else ""
            out.print(f"\n{same[0].node.name}{others}: {problem.why or problem.what}", markup=False, soft_wrap=True)
            out.print(f"  fix: {problem.fix}", markup=False, soft_wrap=True)


def _gpus(row: Row) -> str:
    """What is declared, and what is on the bus when that was seen."""
    seen = row.seen.gpu_words if row.seen else ""
    if row.seen and not seen and row.node.gpus:
        seen = "none seen"
    return "\n".join(filter(None, [row.node.gpus, seen]))


def _policy(row: Row) -> Text:
    from rich.text import Text

    if row.seen is None:
        return Text(row.node.image)
    if not row.seen.digest:
        return Text(row.node.image or "none", "" if row.node.image else "yellow")
    text = Text(row.seen.digest[:SHORT], "green" if row.seen.digest == row.wanted else "yellow")
    if row.wanted and row.seen.digest != row.wanted:
        text.append(f"\nwanted {row.wanted[:SHORT]}", "yellow")
    return text


def _health(row: Row, offline: bool) -> Text:
    from rich.text import Text

    if row.error:
        return Text(row.error.problems[0].what.removeprefix(f"{row.node.name} "), "red")
    if row.health:
        return Text("; ".join(row.health), "yellow")
    if offline:
        return Text(row.instance.health if row.instance else "")
    return Text("ok", "green")


def _next(rows: Iterable[Row]) -> str:
    """The command that is most likely wanted now."""
    seen = [row for row in rows if row.seen is not None]
    bare = [row.node.name for row in seen if row.seen and not row.seen.digest and row.node.profile]
    if bare:
        return f"infra node bootstrap {_words(bare)}"
    stale = [row.node.name for row in seen if row.current is False]
    return f"infra node converge {_words(stale)}" if stale else ""


def _words(names: Sequence[str]) -> str:
    """Names as patterns on a command line, quoted where a shell would look into them."""
    return " ".join(f"'{part}'" if "[" in part else part for part in fold(names).split(", "))


def _ago(moment: str) -> str:
    return f"{image_view.age(moment)} ago" if moment else ""


@dataclass(frozen=True, slots=True)
class Said:
    """What a command did on one machine; ``why`` says why it could not be run there, ``kind`` which error that is."""

    name: str
    code: int | None
    out: str
    err: str
    why: str = ""
    kind: str = ""
    fix: str = ""

    @property
    def failed(self) -> bool:
        return self.code != 0


def blocks(said: Sequence[Said]) -> list[tuple[str, Said]]:
    """(names in short, what they said) for all that said the same, in the order of the first of each."""
    found: dict[tuple[int | None, str, str, str], list[Said]] = {}
    for one in said:
        found.setdefault((one.code, one.out, one.err, one.why), []).append(one)
    return [(fold(item.name for item in same), same[0]) for same in found.values()]


def outputs(said: Sequence[Said], *, printed: bool = False) -> None:
    """Every line with who said it, as it is; machines that said the same are one block. ``printed``: stdout was."""
    for names, one in blocks(said):
        head = _styled(names, bold=True, fg="red" if one.failed else None)
        lines = [] if printed else one.out.splitlines()
        lines += [_styled(line, fg="yellow") for line in one.err.splitlines()]
        if one.why:
            lines += [_styled(one.why, fg="red"), *([f"fix: {one.fix}"] if one.fix else [])]
        elif one.code:
            lines.append(_styled(f"exit code {one.code}", fg="red"))
        for line in lines or ([] if printed else [_styled("(nothing)", dim=True)]):
            click.echo(f"{head}: {line}")
    failed = [one.name for one in said if one.failed]
    if failed:
        click.echo(f"\n{len(failed)} of {many(len(said), 'machine')} failed: {fold(failed)}")


def _styled(text: str, *, fg: str | None = None, bold: bool | None = None, dim: bool | None = None) -> str:
    """Not by rich: it would change tabs and wrap lines that are somebody's data."""
    plain = console().no_color or not console().is_terminal
    return text if plain else click.style(text, fg=fg, bold=bold, dim=dim)
