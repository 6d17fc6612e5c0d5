"""Machines on their way to their policy: one live line each on a terminal, plain lines elsewhere, none for --json."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from infra.errors import InfraError, Interrupted, Problem, Refused
from infra.node.bring.bring import Brought
from infra.node.model import Node

if TYPE_CHECKING:
    from rich.live import Live

Sink = Callable[[str, dict[str, Any]], None]
REFRESH_PER_SECOND = 8
WIDTH = 90
ROWS = 40
STAGES = {
    "connect": "connecting",
    "preflight": "looking",
    "waiting": "waiting",
    "client": "installing the client",
    "policy": "uploading the policy",
    "drain": "kubectl",
    "mend": "mending dpkg",
    "converge": "converging",
    "smoke": "smoke test",
    "record": "recording",
    "reboot": "restarting",
    "away": "LINK DOWN",
    "back": "connected again",
    "again": "converging again",
    "join": "Kubernetes",
}
QUIET = ("connect", "preflight", "record", "smoke", "policy", "client", "join")
"""Stages that are not worth a line of their own where there is no live view."""
INTERRUPTED = "interrupted: a converge that is at work goes on there"
SYMBOLS = {"nothing": "·", "converged": "✓", "would": "?", "reboot": "!"}


@dataclass(frozen=True)
class Reporter:
    """``sink`` gets (node, event); ``done`` a node's result; ``aside`` is entered around a question to the user."""

    sink: Sink
    done: Callable[[Node, Brought | InfraError], None]
    aside: Callable[[], contextlib.AbstractContextManager[Any]] = contextlib.nullcontext


@contextlib.contextmanager
def reporter(nodes: Sequence[Node], quiet: bool, details: bool = False) -> Iterator[Reporter]:
    """What tells the user how it goes, for as long as the command runs. ``details``: every line of the converges."""
    if quiet:
        yield Reporter(lambda _name, _event: None, lambda _node, _result: None)
    elif sys.stdout.isatty():
        with _live(nodes, details) as live:
            yield live
    else:
        yield _plain(details)


def line(event: dict[str, Any], details: bool = False) -> str:
    """An event as one line, or "" when it is not worth one."""
    kind, text = event.get("type"), str(event.get("text", ""))
    if kind == "line":
        return f"  {text}" if details else ""
    stage = str(event.get("stage", ""))
    if (
        kind != "stage"
        or stage == "warning"
        or (stage in QUIET and not text and not details)
        or (stage == "reboot" and text)
    ):
        return ""
    word = STAGES.get(stage, stage)
    return f"{word}: {text}" if text else word


def ended(result: Brought | InfraError) -> str:
    """A result as one line."""
    if isinstance(result, Interrupted):
        return f"– {INTERRUPTED}"
    if isinstance(result, Refused):
        return f"– {result.problems[0].what}"
    if isinstance(result, InfraError):
        return f"✗ {result.problems[0].what}"
    return f"{SYMBOLS[result.state]} {verdict(result)} ({result.seconds:.0f} s)"


def verdict(result: Brought) -> str:
    """What was done, in a few words."""
    if result.state == "nothing":
        return "at its policy already: nothing to do"
    if result.state == "would":
        return (
            f"would change {result.updated} of {result.total} resources" if result.updated else "nothing would change"
        )
    changed = f"{result.updated} of {result.total} resources changed"
    if result.state == "reboot":
        return f"{changed}; NOT DONE: it must be restarted"
    return f"converged, {changed}" + (", restarted" if result.rebooted else "")


def _plain(details: bool) -> Reporter:
    lock = threading.Lock()

    def say(name: str, text: str) -> None:
        with lock:
            click.echo(f"{name}  {text}")

    def sink(name: str, event: dict[str, Any]) -> None:
        if text := line(event, details):
            say(name, text)

    return Reporter(sink, lambda node, result: say(node.name, ended(result)))


@contextlib.contextmanager
def _live(nodes: Sequence[Node], details: bool) -> Iterator[Reporter]:
    from rich.live import Live

    from infra.ui.console import console

    board = _Board([node.name for node in nodes])
    live = Live(board, console=console(), refresh_per_second=REFRESH_PER_SECOND, transient=True)

    def sink(name: str, event: dict[str, Any]) -> None:
        board.hear(name, event)
        kept = event.get("type") == "line" or event.get("stage") in ("away", "again")
        if kept and (text := line(event, details)):
            console().print(f"{name}  {text}", markup=False)

    def done(node: Node, result: Brought | InfraError) -> None:
        board.end(node.name)
        console().print(f"{node.name}  {ended(result)}", markup=False)

    with live:
        yield Reporter(sink, done, lambda: _room(live))


@contextlib.contextmanager
def _room(live: Live) -> Iterator[None]:
    """The view steps back while the user is asked something."""
    live.stop()
    try:
        yield
    finally:
        live.start(refresh=True)


class _Board:
    """What each node is at. Written from the nodes' threads, drawn from the view's."""

    def __init__(self, names: Sequence[str]) -> None:
        self._waiting = dict.fromkeys(names)
        self._busy: dict[str, tuple[str, float, str]] = {}
        self._ended = 0
        self._lock = threading.Lock()

    def hear(self, name: str, event: dict[str, Any]) -> None:
        kind, text = event.get("type"), str(event.get("text", "")).strip()
        stage = str(event.get("stage", ""))
        with self._lock:
            self._waiting.pop(name, None)
            was, since, last = self._busy.get(name, ("", time.monotonic(), ""))
            if kind == "line":
                last = text or last
            elif stage and stage != "warning":
                word = STAGES.get(stage, stage)
                since = since if word == was else time.monotonic()
                last = text or (last if word == was else "")
                was = word
            self._busy[name] = (was, since, last)

    def end(self, name: str) -> None:
        with self._lock:
            self._waiting.pop(name, None)
            self._busy.pop(name, None)
            self._ended += 1

    def rows(self) -> list[tuple[str, str, str, str]]:
        """Name, stage, time in it, what was said last."""
        moment = time.monotonic()
        with self._lock:
            busy = sorted(self._busy.items())
            return [(name, stage, f"{moment - since:.0f} s", last[:WIDTH]) for name, (stage, since, last) in busy]

    def foot(self) -> str:
        """How many there are besides those that are shown."""
        with self._lock:
            more = max(0, len(self._busy) - ROWS)
            counts = ((more, "more at work"), (len(self._waiting), "waiting"), (self._ended, "done"))
            return ", ".join(f"{count} {word}" for count, word in counts if count)

    def __rich__(self) -> Any:
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        table = Table.grid(padding=(0, 2))
        for row in self.rows()[:ROWS]:
            table.add_row(*(Text(cell, no_wrap=True) for cell in row))
        return Group(table, Text(self.foot()))


def summary(results: Mapping[str, Brought | InfraError]) -> str:
    """A table of all nodes."""
    rows = [("node", "profile", "policy", "what came of it", "time")]
    for name, result in results.items():
        if isinstance(result, InfraError):
            rows.append((name, "", "", ended(result).partition(" ")[0] + " " + _short(name, result), ""))
        else:
            rows.append((name, result.profile, _digests(result), verdict(result), f"{result.seconds:.0f} s"))
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join(lines)


def _digests(result: Brought) -> str:
    before, after = result.digest_before[:12], result.digest[:12]
    return after if before in ("", after) else f"{before} → {after}"


def _short(name: str, error: InfraError) -> str:
    problem = error.problems[0]
    if isinstance(error, Interrupted):
        return INTERRUPTED
    if isinstance(error, Refused):
        return f"left as it is: {problem.why or problem.what}"
    return f"FAILED: {problem.what.removeprefix(name).lstrip(': ')}"


def failures(results: Mapping[str, Brought | InfraError]) -> str:
    """Every failure in full; what is the same for several nodes once."""
    return "\n".join(dict.fromkeys(item.text() for item in results.values() if isinstance(item, InfraError)))


def would(result: Brought) -> str:
    """What a why-run would change, a line each."""
    return "\n".join(f"{result.node}  would change {name}" for name in result.changed)


def warnings(results: Mapping[str, Brought | InfraError]) -> list[Problem]:
    """Every warning of nodes that did not fail (those of a node that failed are in its error)."""
    found = [item for item in results.values() if isinstance(item, Brought)]
    return [problem for item in found for problem in item.warnings]


def next_command(results: Mapping[str, Brought | InfraError]) -> str:
    """What is useful to do now, or ""."""
    good = [item for item in results.values() if isinstance(item, Brought)]
    if any(item.state == "reboot" for item in good):
        return "Next: the same command without --no-reboot"
    if any(item.drift_left for item in good):
        return f"Some still differ from how they were left: infra node verify {good[0].node}"
    if good and len(good) == len(results) and any(item.state == "converged" for item in good):
        return f"Next: infra node verify {' '.join(item.node for item in good[:2])}"
    return ""


def nowhere() -> contextlib.AbstractContextManager[Any]:
    """Where there is no view that must make room."""
    return contextlib.nullcontext()


def data(results: Mapping[str, Brought | InfraError], nodes: Sequence[Node]) -> list[dict[str, Any]]:
    """Every result as JSON data, in the nodes' order, each with the same fields."""
    found = []
    for node in nodes:
        result = results[node.name]
        if isinstance(result, Brought):
            found.append({**result.data(), "error": "", "problems": []})
            continue
        nothing = Brought(node.name, node.profile, "nothing", "").data()
        state = (
            "left" if isinstance(result, Refused) else "interrupted" if isinstance(result, Interrupted) else "failed"
        )
        problems = [problem.data() for problem in result.problems]
        found.append({**nothing, "state": state, "error": result.kind, "problems": problems})
    return found
