"""A bake as it happens: live on a terminal, plain lines elsewhere, nothing for ``--json``."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import click

Sink = Callable[[str, dict[str, Any]], None]
REFRESH_PER_SECOND = 8
WIDTH = 110
PHASES = {
    "launch": "starting the builder",
    "connect": "waiting for its SSH",
    "prepare": "preparing it",
    "upload": "uploading the policy",
    "converge": "converging",
    "smoke": "smoke test",
    "packages": "listing packages",
    "seal": "cleaning it",
    "stop": "stopping it",
    "image": "making the AMI",
    "clean": "removing the builder",
}
SHOWN = ("PASS ", "FAIL ", "SKIPPED ", "REHEARSAL")
"""Lines of the machine that are worth showing where there is no live view."""


@contextlib.contextmanager
def reporter(profile: str, quiet: bool) -> Iterator[Sink | None]:
    """A sink of (region, event of a bake) for as long as the command runs."""
    if quiet:
        yield None
    elif sys.stdout.isatty():
        with _live(profile) as sink:
            yield sink
    else:
        lock = threading.Lock()

        def plain(region: str, event: dict[str, Any]) -> None:
            if text := line(event):
                with lock:
                    click.echo(f"{region}  {profile}: {text}")

        yield plain


def line(event: dict[str, Any]) -> str:
    """An event as one line, or "" when it is not worth one."""
    kind, text = event.get("type"), str(event.get("text", ""))
    if kind == "bake_start":
        return f"baking {event['name']} {text}"
    if kind == "bake_phase":
        return PHASES.get(str(event["phase"]), str(event["phase"]))
    if kind == "bake_line" and (text.startswith(SHOWN) or event.get("level") == "error"):
        return f"  {text}"
    if kind == "bake_copy":
        state = event["state"]
        return f"copied: {text}" if state == "done" else f"FAILED: {text}" if state == "failed" else text
    return text if kind == "bake_note" else ""


@contextlib.contextmanager
def _live(profile: str) -> Iterator[Sink]:
    from rich.live import Live
    from rich.table import Table

    from infra.ui.console import console

    began = time.monotonic()
    state: dict[str, tuple[str, float, str]] = {}
    lock = threading.Lock()

    class View:
        def __rich__(self) -> Table:
            table = Table.grid(padding=(0, 2))
            moment = time.monotonic()
            with lock:
                for region, (phase, since, last) in sorted(state.items()):
                    table.add_row(region, f"{profile}: {phase}", f"{moment - since:.0f} s")
                    table.add_row("", f"  {last[:WIDTH]}", "")
            return table

    def sink(region: str, event: dict[str, Any]) -> None:
        kind, text = event.get("type"), str(event.get("text", ""))
        with lock:
            phase, since, last = state.get(region, ("", began, ""))
            if kind == "bake_phase":
                phase, since, last = PHASES.get(event["phase"], event["phase"]), time.monotonic(), ""
            elif kind == "bake_copy":
                phase = "copying" if event["state"] == "begun" else event["state"]
                last = text
            elif kind == "bake_line":
                last = text
            state[region] = (phase, since, last)
        if kind != "bake_phase" and (shown := line(event)):
            console().print(f"{region}  {profile}: {shown}", markup=False)

    with Live(View(), console=console(), refresh_per_second=REFRESH_PER_SECOND, transient=True):
        yield sink
