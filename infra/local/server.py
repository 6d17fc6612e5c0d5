"""The embedded AWS as a process: ``python -m infra.local.server --port 0 --state FILE [--log FILE] [--detach]``.

It opens its port before it loads anything heavy, so that whoever started it can connect at once; a request that comes
early waits in the kernel's queue. It ends on SIGTERM and removes its record.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import secrets
import signal
import socket
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

from infra import __version__
from infra.local import record as records
from infra.local.record import HOST, Record

BACKLOG = 256


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the starter exits with."""

    code: int


def main(argv: list[str] | None = None) -> int:
    options = _options(argv)
    try:
        listener = _listen(options.port)
    except OSError as error:
        sys.stderr.write(f"cannot open a port on {HOST}: {error.strerror}\n")
        return 1
    ready = _detach(options.log) if options.detach else None
    if isinstance(ready, Outcome):
        return ready.code
    started = datetime.now(UTC).isoformat(timespec="milliseconds")
    port: int = listener.getsockname()[1]
    record = Record(os.getpid(), port, started, __version__, secrets.token_hex(16))
    records.write(record, options.state)
    if ready is not None:
        os.write(ready, b"1")
        os.close(ready)
    signal.signal(signal.SIGTERM, _end)
    try:
        _serve(listener, record)
    except KeyboardInterrupt:
        pass
    finally:
        records.forget(record, options.state)
    return 0


def _options(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=f"python -m {records.PROGRAM}", description="The embedded AWS.")
    parser.add_argument("--port", type=int, default=0, help="0 is any free port; a taken one gives way to a free one")
    parser.add_argument("--state", type=Path, default=records.file(), help="where to record pid, port and token")
    parser.add_argument("--log", type=Path, default=records.log_file())
    parser.add_argument("--detach", action="store_true", help="go to the background")
    return parser.parse_args(argv)


def _listen(port: int) -> socket.socket:
    for candidate in (port, 0):
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, candidate))
            listener.listen(BACKLOG)
        except OSError:
            listener.close()
            if candidate == 0:
                raise
        else:
            return listener
    raise AssertionError


def _detach(log: Path) -> int | Outcome:
    """Leave the starter: own session, no terminal, output to the log.

    The process that goes on gets a file descriptor to write to once its record is there; the starter waits for that
    and gets its exit code.
    """
    log.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with contextlib.suppress(OSError):
        log.replace(log.with_name(log.name + ".1"))
    told, ready = os.pipe()
    if os.fork():
        os.close(ready)
        done = os.read(told, 1)
        if not done:
            sys.stderr.write(f"the server ended at once: see {log}\n")
        return Outcome(0 if done else 1)
    os.close(told)
    os.setsid()
    with open(os.devnull, "rb") as null, log.open("ab", buffering=0) as out:  # noqa: PTH123
        os.dup2(null.fileno(), 0)
        os.dup2(out.fileno(), 1)
        os.dup2(out.fileno(), 2)
    log.chmod(0o600)
    return ready


def _serve(listener: socket.socket, record: Record) -> None:
    from infra.local.application import serve

    serve(listener, record)


def _end(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
