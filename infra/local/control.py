"""Start, look at and stop the embedded AWS. One server per user; any number of commands may ask for it at once."""

from __future__ import annotations

import contextlib
import fcntl
import importlib.metadata
import importlib.util
import os
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from infra.errors import FileError, LocalError
from infra.local import places
from infra.local import record as records
from infra.local.endpoint import shield
from infra.local.engine import MISSING_FIX
from infra.local.record import Record

PORT = 45366
"""Tried first, so that the endpoint in a rendered project stays the same; any free port when it is taken."""

MOTO = "5.2.5"

READY_DEADLINE = 30.0
LOCK_DEADLINE = 60.0
STOP_DEADLINE = 10.0


@dataclass(frozen=True, slots=True)
class Status:
    """``url`` is empty when nothing runs. ``started`` is ISO 8601 in UTC, ``uptime`` in seconds."""

    running: bool
    url: str = ""
    pid: int = 0
    port: int = 0
    started: str = ""
    uptime: float = 0.0
    version: str = ""
    log: str = ""
    fresh: bool = False
    """Whether this very call of ``up`` started it."""


def up(port: int | None = None) -> Status:
    """Start the server unless it runs, wait until it answers, and say where it is.

    Idempotent and safe to race: whoever comes second gets the first one's server. Raises LocalError (extra not
    installed, the server died or did not answer within 30 s) or FileError (the state folder cannot be written).
    """
    path = records.file()
    running = records.read(path)
    if running is not None and records.healthy(running):
        return _status(running)
    with _lock(path.with_name("lock")):
        running = records.read(path)
        if running is not None and _answers(running, path):
            return _status(running)
        records.forget(running, path)
        return _start(path, port)


def status() -> Status:
    """What runs. Never starts anything; a record that a dead server left behind counts as nothing."""
    running = records.read(records.file())
    if running is None or not records.healthy(running):
        return Status(running=False, log=str(records.log_file()))
    return _status(running)


def down() -> Status:
    """Stop the server; everything in it is gone then. Returns what was running (``running`` False: nothing was)."""
    path = records.file()
    if records.read(path) is None:
        return Status(running=False, log=str(records.log_file()))
    with _lock(path.with_name("lock")):
        running = records.read(path)
        was = Status(running=False, log=str(records.log_file()))
        if running is not None and records.alive(running, path):
            was = _status(running)
            _stop(running, path)
        records.forget(running, path)
    return was


def _answers(running: Record, path: Path) -> bool:
    """Wait for a server that lives but is slow to answer; False when it is dead. LocalError when it hangs."""
    limit = time.monotonic() + READY_DEADLINE
    while not records.healthy(running):
        if not records.alive(running, path):
            return False
        if time.monotonic() > limit:
            raise LocalError(
                "the embedded AWS runs but does not answer",
                where=running.url,
                why=f"process {running.pid} was asked for {READY_DEADLINE:.0f} s",
                fix="infra local down, then the same command again (what was made in it is lost)",
            )
        time.sleep(0.1)
    return True


def _start(path: Path, port: int | None) -> Status:
    _require()
    log = records.log_file()
    _launch(path, log, PORT if port is None and not os.environ.get("INFRA_LOCAL_DIR") else port or 0)
    limit = time.monotonic() + READY_DEADLINE
    while True:
        started = records.read(path)
        if started is not None and records.healthy(started):
            return _status(started, fresh=True)
        if started is None or not records.alive(started, path):  # the launch ended with a record in place
            raise _failed("the embedded AWS ended while it was starting", log)
        if time.monotonic() > limit:
            raise _failed(f"the embedded AWS did not answer within {READY_DEADLINE:.0f} s", log)
        time.sleep(0.02)


def _launch(path: Path, log: Path, port: int) -> None:
    """The server forks itself away from us and returns as soon as its port is open and its record written."""
    from infra.proc import run

    argv = [sys.executable, "-P", "-m", records.PROGRAM]
    argv += ["--port", str(port), "--state", str(path), "--log", str(log), "--detach"]
    done = run(argv, deadline=READY_DEADLINE, cwd=Path("/"), env=server_environment(), check=False)
    if done.code != 0:
        raise LocalError(
            "the embedded AWS could not be started",
            where=str(log),
            why=done.tail(5),
            fix="mend what it says, then run the same command again",
        )


def server_environment() -> dict[str, str]:
    """The server's environment: nobody's AWS account or moto setting may reach into it."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "MOTO_", "BOTO"))}
    kept.update(shield(), MOTO_DISABLE_GLOBAL_CORS="true", MOTO_EC2_ENABLE_INSTANCE_TYPE_VALIDATION="true")
    kept["MOTO_ENABLE_KEYPAIR_VALIDATION"] = "true"
    if kept.get("INFRA_LOCAL_DIR"):
        kept["INFRA_LOCAL_DIR"] = str(places.state())  # it may be relative, and the server works in another folder
    here = Path(__file__).resolve().parents[2]
    if here.name not in ("site-packages", "dist-packages"):  # a checkout may be on sys.path by a relative name only
        kept["PYTHONPATH"] = os.pathsep.join(filter(None, [kept.get("PYTHONPATH", ""), str(here)]))
    return kept


def _stop(running: Record, path: Path) -> None:
    """SIGTERM, then SIGKILL; each time only after looking that the pid is still our server."""
    for number, seconds in ((signal.SIGTERM, STOP_DEADLINE), (signal.SIGKILL, STOP_DEADLINE)):
        if not records.alive(running, path):
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(running.pid, number)
        limit = time.monotonic() + seconds
        while time.monotonic() < limit:
            if not records.alive(running, path):
                return
            time.sleep(0.02)
    raise LocalError(
        "the embedded AWS does not end", where=running.url, why=f"process {running.pid}", fix=f"kill -9 {running.pid}"
    )


def _status(running: Record, fresh: bool = False) -> Status:
    uptime = (datetime.now(UTC) - datetime.fromisoformat(running.started)).total_seconds()
    return Status(
        running=True,
        url=running.url,
        pid=running.pid,
        port=running.port,
        started=running.started,
        uptime=round(max(uptime, 0.0), 1),
        version=running.version,
        log=str(records.log_file()),
        fresh=fresh,
    )


def _require() -> None:
    """LocalError unless the extra is installed, with the very moto that our patches are written for."""
    missing = [name for name in ("moto", "flask", "werkzeug") if importlib.util.find_spec(name) is None]
    if missing:
        raise LocalError(
            "the embedded AWS is not installed",
            where=sys.executable,
            why=f"no package {', '.join(missing)}",
            fix=MISSING_FIX,
        )
    found = importlib.metadata.version("moto")
    if found != MOTO:
        raise LocalError(
            f"the embedded AWS needs moto {MOTO}",
            where=sys.executable,
            why=f"moto {found} is installed",
            fix=f"{MISSING_FIX}   (or: pip install 'moto[server]=={MOTO}')",
        )


def _failed(what: str, log: Path) -> LocalError:
    why = ""
    with contextlib.suppress(OSError):
        why = "\n".join(log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-5:])
    return LocalError(what, where=str(log), why=why or "its log is empty", fix="infra local down, then infra local up")


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[None]:
    """One command at a time starts or stops the server."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = path.open("w")
    except OSError as error:
        raise FileError(
            f"cannot write {path}",
            where=str(path),
            why=error.strerror or str(error),
            fix="set INFRA_LOCAL_DIR to a folder that can be written to",
        ) from error
    limit = time.monotonic() + LOCK_DEADLINE
    with handle:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > limit:
                    raise LocalError(
                        "another command has been starting or stopping the embedded AWS for too long",
                        where=str(path),
                        fix="end that command, then run this one again",
                    ) from None
                time.sleep(0.05)
        yield
