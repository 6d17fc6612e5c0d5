"""Live progress per region and resource on a terminal; plain lines elsewhere; nothing for ``--json``."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import click

from infra.plan.words import title

Sink = Callable[[str, dict[str, Any]], None]
REFRESH_PER_SECOND = 8
SHOWN = 6


@contextlib.contextmanager
def reporter(command: str, quiet: bool) -> Iterator[Sink | None]:
    """A sink of (region, Terraform event) for as long as the command runs."""
    if quiet:
        yield None
    elif sys.stdout.isatty():
        with _live(command) as sink:
            yield sink
    else:
        yield Lines(command)


class Lines:
    """One line per thing that begins or ends; a plan's refreshes are not worth a line each."""

    def __init__(self, command: str) -> None:
        self._command = command
        self._lock = threading.Lock()

    def __call__(self, region: str, event: dict[str, Any]) -> None:
        text = line(event, self._command)
        if text:
            with self._lock:
                click.echo(f"{region}  {text}")


def line(event: dict[str, Any], command: str) -> str:
    """An event as one line, or "" when it says nothing new."""
    kind = event.get("type")
    hook = event.get("hook", {})
    if str(kind).startswith("bake_"):
        from infra.ui import bake_view

        text = bake_view.line(event)
        return f"{event.get('profile', 'image')}: {text}" if text else ""
    if kind == "stage":
        text = event.get("text", "")
        return f"{event['stage']}{f': {text}' if text else ''}"
    if hook.get("action") == "read":
        return ""
    if kind == "apply_complete":
        return (
            f"{title(hook['resource']['addr'])}: {_done(hook.get('action', ''))} in {hook.get('elapsed_seconds', 0)} s"
        )
    if kind == "apply_errored":
        return f"{title(hook['resource']['addr'])}: FAILED after {hook.get('elapsed_seconds', 0)} s"
    if kind == "apply_progress" and hook.get("elapsed_seconds", 0) % 60 == 0:
        return f"{title(hook['resource']['addr'])}: still at it after {hook['elapsed_seconds']} s"
    if kind == "diagnostic" and event["diagnostic"].get("severity") == "warning" and command == "apply":
        return f"warning: {event['diagnostic'].get('summary', '')}"
    return ""


def _done(action: str) -> str:
    return {"create": "created", "update": "changed", "delete": "destroyed", "read": "read"}.get(action, "done")


class Board:
    """What each region is doing, for the live view. Updated from the regions' threads."""

    def __init__(self, command: str) -> None:
        self.command = command
        self.lock = threading.Lock()
        self.done: dict[str, int] = {}
        self.total: dict[str, int] = {}
        self.busy: dict[str, dict[str, float]] = {}
        self.stages: dict[str, tuple[str, float]] = {}

    def __call__(self, region: str, event: dict[str, Any]) -> None:
        kind, hook = event.get("type"), event.get("hook", {})
        with self.lock:
            busy = self.busy.setdefault(region, {})
            self.done.setdefault(region, 0)
            if hook.get("action") == "read":
                return
            if kind == "stage":
                self.stages[region] = (f"{event['stage']} {event.get('text', '')}".strip(), time.monotonic())
                return
            if kind in ("apply_start", "refresh_start"):
                busy[hook["resource"]["addr"]] = time.monotonic()
            elif kind in ("apply_complete", "apply_errored", "refresh_complete"):
                busy.pop(hook["resource"]["addr"], None)
                self.done[region] += 1
            elif kind == "planned_change":
                self.total[region] = self.total.get(region, 0) + 1

    def rows(self) -> list[tuple[str, str]]:
        """(region, what it is at), a row per resource in hand."""
        verb = "applied" if self.command == "apply" else "looked at"
        moment = time.monotonic()
        with self.lock:
            found = [(name, f"{text}  {moment - since:.0f} s") for name, (text, since) in sorted(self.stages.items())]
            for region, busy in sorted(self.busy.items()):
                if region in self.stages:
                    continue
                found.append((region, f"{self.done[region]} {verb}"))
                for address, since in list(busy.items())[:SHOWN]:
                    found.append(("", f"  {title(address)}  {moment - since:.0f} s"))
                if len(busy) > SHOWN:
                    found.append(("", f"  and {len(busy) - SHOWN} more"))
            return found


@contextlib.contextmanager
def _live(command: str) -> Iterator[Sink]:
    from rich.live import Live
    from rich.table import Table

    from infra.ui.console import console

    board = Board(command)

    class View:
        def __rich__(self) -> Table:
            table = Table.grid(padding=(0, 2))
            for region, text in board.rows():
                table.add_row(region, text)
            return table

    def sink(region: str, event: dict[str, Any]) -> None:
        board(region, event)
        if text := line(event, command):
            # By the console, which knows where the live view stands; a plain print would write into it.
            console().print(f"{region}  {text}", markup=False)

    with Live(View(), console=console(), refresh_per_second=REFRESH_PER_SECOND, transient=True):
        yield sink
