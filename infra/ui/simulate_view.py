"""Results of a simulation as a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from infra.ui.console import console

if TYPE_CHECKING:
    from infra.autoscale.simulate.results import Result


def show(results: Sequence[Result], title: str) -> None:
    """One row for each policy; dollars also as a share of the first one's."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("policy")
    for name in (
        "spent",
        "",
        "wait p50",
        "p99",
        "longest",
        "rounds",
        "machines",
        "GPUs used",
        "unusable",
        "partial gangs",
    ):
        table.add_column(name, justify="right")
    waiting = any(one.waiting for one in results)
    for name in ("left waiting",) if waiting else ():
        table.add_column(name, justify="right")
    first = results[0]
    for one in results:
        share = "" if one is first or not first.dollars else f"{one.dollars / first.dollars - 1:+.1%}"
        cells = [
            one.policy,
            f"${one.dollars:,.2f}",
            share,
            duration(one.wait_p50),
            duration(one.wait_p99),
            duration(one.wait_max),
            f"{one.rounds:,}",
            f"{one.machines:,}",
            f"{one.gpu_use:.1%}",
            f"{one.fragmentation:.1%}",
            str(one.partial_gangs),
        ]
        table.add_row(*cells, *([f"{one.waiting:,}"] if waiting else []))
    console().print(title)
    console().print(table)
    console().print(
        "unusable: the share of all GPUs that no waiting work could use, while work that asks for GPUs waited",
        style="dim",
    )


def duration(seconds: float) -> str:
    """``45 s``, ``3m 20s``, ``2h 05m``, ``3d 04h``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02}s"
    if whole < 48 * 3600:
        return f"{whole // 3600}h {whole // 60 % 60:02}m"
    return f"{whole // 86400}d {whole // 3600 % 24:02}h"
