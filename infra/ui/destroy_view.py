"""What a destroy would lose, and what it left."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from infra.plan.words import many
from infra.ui.console import console

if TYPE_CHECKING:
    from infra.cloud.destroy import Holding, Left
    from infra.plan.model import Plan

STEPS = ((10**12, "TB"), (10**9, "GB"), (10**6, "MB"), (10**3, "kB"))


def holdings(found: Sequence[Holding]) -> None:
    """The table of what holds data, in red; nothing when nothing does."""
    from rich.table import Table
    from rich.text import Text

    if not found:
        return
    table = Table(title="holds data", title_justify="left", title_style="bold red", expand=False, box=None)
    for name in ("where", "what", "id", "holds"):
        table.add_column(name, overflow="fold")
    for item in found:
        table.add_row(item.region, Text(item.title), Text(item.id), Text(holds(item), "red" if full(item) else ""))
    console().print(table)


def holds(item: Holding) -> str:
    """``1,204 objects and versions, 3.4 GB``; ``a disk of 100 GB``; ``empty``."""
    if item.kind == "pool":
        count = item.objects or 0
        return f"{many(count, 'machine')} and {'its disk' if count == 1 else 'their disks'}"
    if item.kind == "disk":
        return f"a disk of {size(item.bytes or 0)}"
    if item.bytes is None:
        return "not known"
    if not full(item):
        return "empty"
    if item.kind == "s3":
        return f"{'over ' if item.more else ''}{item.objects:,} objects and versions, {size(item.bytes)}"
    return size(item.bytes)


def full(item: Holding) -> bool:
    """Whether anything would be lost."""
    from infra.cloud.destroy import EMPTY_EFS

    if item.kind == "efs":
        return item.bytes is None or item.bytes > EMPTY_EFS
    return bool(item.objects) if item.kind in ("s3", "pool") else True


def size(count: int) -> str:
    """Bytes as people say them: 3.4 GB."""
    for step, unit in STEPS:
        if count >= step:
            number = count / step
            return f"{number:.0f} {unit}" if number >= 10 or number == int(number) else f"{number:.1f} {unit}"
    return f"{count} bytes"


def left(found: Sequence[Left], stays: Sequence[str], plan: Plan) -> None:
    """What every region still has; silent about regions of which only a part was to go."""
    out = console()
    out.print(f"\n[bold]{plan.cluster}[/]: destroyed {many(plan.count('delete'), 'resource')}")
    for region in found:
        names = [*region.resources, *region.unknown]
        if not names:
            out.print(f"{region.region}: nothing is left")
            continue
        out.print(f"[yellow]{region.region}[/]: {len(names)} left")
        for name in region.resources:
            out.print(f"  {name} (in the state: run infra destroy again)", markup=False)
        for name in region.unknown:
            out.print(f"  {name} (carries the cluster's tag, and no state knows it)", markup=False)
    for text in stays:
        out.print(text, markup=False)
