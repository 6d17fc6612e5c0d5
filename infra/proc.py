"""The one runner of external programs: a deadline, the output kept, secrets redacted, cancellation, a debug log.

A child runs in a process group of its own, so that Ctrl-C reaches us alone and we decide what the child is told:
the first Ctrl-C passes SIGINT on and waits (Terraform then finishes the resource in hand), the second passes another,
the third kills the group. What must not stop halfway when we are killed writes to files that are followed: a pipe that
nobody reads any more would end it at its next word.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TypeVar

from infra.errors import FileError, Interrupted, ToolFailed, ToolMissing, ToolTimeout

T = TypeVar("T")

log = logging.getLogger("infra.proc")

LineSink = Callable[[str], None]
REDACTED = "(redacted)"
OURS = ("INFRA_SUDO_PASSWORD",)  # of our environment, and nobody else's: no child gets it
FOLLOW = 0.05  # seconds between looks at a file that a child writes to


class Secrets:
    """The values that must never be shown. Shorter than 6 characters is not redacted: it would blot out words."""

    def __init__(self, values: Sequence[str] = ()) -> None:
        self._values: set[str] = set()
        for value in values:
            self.add(value)

    def add(self, value: str | None) -> None:
        if value and len(value) >= 6:
            self._values.add(value)

    def redact(self, text: str) -> str:
        for value in sorted(self._values, key=len, reverse=True):
            text = text.replace(value, REDACTED)
        return text


SECRETS = Secrets()


@dataclass(frozen=True, slots=True)
class Completed:
    """What a program did: its exit ``code``, the whole of ``out`` and ``err`` (redacted), and ``seconds`` taken."""

    argv: tuple[str, ...]
    code: int
    out: str
    err: str
    seconds: float
    interrupted: bool = False

    def tail(self, lines: int = 20) -> str:
        """The last lines a person needs to see: of stderr, else of stdout."""
        text = self.err.strip() or self.out.strip()
        return "\n".join(text.splitlines()[-lines:])


class Cancel:
    """Shared by the threads of one command: who holds it can ask every running child to stop, more firmly each time."""

    def __init__(self) -> None:
        self._children: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        self.asked = 0

    def __call__(self) -> None:
        with self._lock:
            self.asked += 1
            for child in self._children:
                _tell(child, signal.SIGINT if self.asked < 3 else signal.SIGKILL)

    @contextlib.contextmanager
    def _watch(self, child: subprocess.Popen[bytes]) -> Iterator[None]:
        with self._lock:
            self._children.add(child)
            if self.asked:
                _tell(child, signal.SIGINT)
        try:
            yield
        finally:
            with self._lock:
                self._children.discard(child)


@contextlib.contextmanager
def on_ctrl_c(cancel: Cancel, say: LineSink) -> Iterator[None]:
    """While inside, Ctrl-C (and SIGTERM) cancels gently instead of raising KeyboardInterrupt. Main thread only."""

    def handler(number: int, _frame: object) -> None:
        cancel()
        wait = "waiting for the operation in hand; again to press, a third time to kill"
        say(f"{signal.Signals(number).name}: {wait if cancel.asked < 3 else 'killed'}")

    old = {number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, previous in old.items():
            signal.signal(number, previous)


@dataclass(slots=True)
class _Reader:
    """Drains one stream on a thread, line by line, redacting, so that no child ever blocks on a full pipe."""

    lines: list[str] = field(default_factory=list)

    def start(self, source: Iterable[bytes], sink: LineSink | None) -> threading.Thread:
        thread = threading.Thread(target=self._drain, args=(source, sink), daemon=True)
        thread.start()
        return thread

    def _drain(self, source: Iterable[bytes], sink: LineSink | None) -> None:
        for raw in source:
            line = SECRETS.redact(raw.decode("utf-8", "replace"))
            self.lines.append(line)
            if sink is not None:
                sink(line.rstrip("\n"))


class _Pipes:
    """The usual way to a child's output: two pipes. When we die it gets a broken pipe at its next word."""

    targets = (subprocess.PIPE, subprocess.PIPE)

    def sources(self, child: subprocess.Popen[bytes]) -> list[Iterator[bytes]]:
        return [self._lines(stream) for stream in (child.stdout, child.stderr) if stream is not None]

    def _lines(self, stream: IO[bytes]) -> Iterator[bytes]:
        with stream:
            yield from stream

    def ended(self) -> None:
        return None

    def close(self) -> None:
        return None


class _Files:
    """Output into files, for a child that must go on when we are killed: gone once the child has ended."""

    def __init__(self, path: Path) -> None:
        self._paths = [path.with_name(path.name + end) for end in (".out", ".err")]
        self._ended = threading.Event()
        with contextlib.ExitStack() as stack:
            self._written = [stack.enter_context(self._new(item)) for item in self._paths]
            self._read = [stack.enter_context(item.open("rb")) for item in self._paths]
            self._open = stack.pop_all()
        self.targets = (self._written[0].fileno(), self._written[1].fileno())

    def _new(self, path: Path) -> IO[bytes]:
        try:
            path.unlink(missing_ok=True)  # an earlier one may still be written to by whoever outlived us
            return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600), "wb")
        except OSError as error:
            why = error.strerror or str(error)
            raise FileError(
                f"cannot write {path}", where=str(path), why=why, fix="check the folder and its disk, then try again"
            ) from error

    def sources(self, child: subprocess.Popen[bytes]) -> list[Iterator[bytes]]:
        return [self._lines(stream) for stream in self._read]

    def _lines(self, stream: IO[bytes]) -> Iterator[bytes]:
        """The lines of a file that grows, until the child has ended and all of it is read."""
        part = b""
        while True:
            last = self._ended.is_set()  # looked at before reading: nothing written before the end is missed
            part += stream.readline()
            if part.endswith(b"\n"):
                yield part
                part = b""
            elif last:
                break
            else:
                self._ended.wait(FOLLOW)
        if part:
            yield part

    def ended(self) -> None:
        self._ended.set()

    def close(self) -> None:
        self._open.close()
        for item in self._paths:
            item.unlink(missing_ok=True)


def run(
    argv: Sequence[str],
    *,
    deadline: float,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    on_line: LineSink | None = None,
    stdin: str | None = None,
    cancel: Cancel | None = None,
    check: bool = True,
    outlive: Path | None = None,
) -> Completed:
    """Run a program to its end.

    ``deadline`` is in seconds; past it the group gets SIGTERM, 10 s later SIGKILL, and ToolTimeout is raised.
    ``env`` replaces the environment when given. ``on_line`` gets each line of stdout as it comes (from a thread).
    With ``check`` a non-zero exit raises ToolFailed with the last lines of output. With ``outlive`` the child goes on
    to its end even when we are killed; its output is in files at that path meanwhile.
    """
    name = Path(argv[0]).name
    log.debug("run %s (cwd %s)", SECRETS.redact(" ".join(argv)), cwd)
    started = time.monotonic()
    out, err = _Reader(), _Reader()
    with contextlib.closing(_Files(outlive) if outlive else _Pipes()) as output:
        child = _spawn(argv, cwd, env, stdin is not None, output.targets)
        sources = output.sources(child)
        threads = [out.start(sources[0], on_line), err.start(sources[1], None)]
        with (cancel or Cancel())._watch(child):
            _wait(child, argv, deadline, stdin, err)
        output.ended()
        for thread in threads:
            thread.join(timeout=5)
    done = Completed(
        tuple(argv),
        child.returncode,
        "".join(out.lines),
        "".join(err.lines),
        time.monotonic() - started,
        interrupted=bool(cancel and cancel.asked),
    )
    log.debug("exit %s after %.1f s: %s\n%s", done.code, done.seconds, name, done.err)
    if done.interrupted and done.code != 0:
        raise Interrupted(
            f"{name} was interrupted", why="Ctrl-C", fix="run the same command again: it goes on where it stopped"
        )
    if check and done.code != 0:
        raise ToolFailed(
            f"{name} failed with exit code {done.code}",
            where=SECRETS.redact(" ".join(argv)),
            why=done.tail(),
            fix="mend what the output names, then run the same command again",
        )
    return done


def _wait(
    child: subprocess.Popen[bytes], argv: Sequence[str], deadline: float, stdin: str | None, err: _Reader
) -> None:
    if stdin is not None and child.stdin is not None:
        with contextlib.suppress(BrokenPipeError):
            child.stdin.write(stdin.encode())
            child.stdin.close()
    try:
        child.wait(timeout=deadline)
    except subprocess.TimeoutExpired:
        _end(child)
        raise ToolTimeout(
            f"{Path(argv[0]).name} did not end within {deadline:.0f} s",
            where=SECRETS.redact(" ".join(argv)),
            why="".join(err.lines[-5:]).strip(),
            fix="look at what it waits for with --debug, then run the same command again",
        ) from None
    except BaseException:
        _end(child)
        raise
    if child.returncode < 0:
        _tell(child, signal.SIGKILL)  # it was killed: nothing of its group (a Terraform provider) may work on alone


def _spawn(
    argv: Sequence[str], cwd: Path | None, env: Mapping[str, str] | None, piped: bool, targets: tuple[int, int]
) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            list(argv),
            cwd=cwd,
            env={name: value for name, value in (os.environ if env is None else env).items() if name not in OURS},
            stdin=subprocess.PIPE if piped else subprocess.DEVNULL,
            stdout=targets[0],
            stderr=targets[1],
            start_new_session=True,
        )
    except FileNotFoundError as error:
        if cwd is not None and not cwd.is_dir():
            raise FileError(f"the folder {cwd} is not there", where=str(cwd), fix="run infra plan again") from error
        raise ToolMissing(
            f"the program {argv[0]!r} is not there",
            where=argv[0],
            why=str(error),
            fix="install it, or see what is needed: infra doctor",
        ) from error
    except OSError as error:
        raise ToolMissing(
            f"the program {argv[0]!r} cannot be started",
            where=argv[0],
            why=error.strerror or str(error),
            fix="check that it is executable and made for this machine",
        ) from error


def _tell(child: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, number)


def _end(child: subprocess.Popen[bytes]) -> None:
    _tell(child, signal.SIGTERM)
    try:
        child.wait(timeout=10)
    except subprocess.TimeoutExpired:
        _tell(child, signal.SIGKILL)
        child.wait(timeout=10)


class Late(Exception):
    """Something had no answer within its time."""


def bounded(seconds: float, function: Callable[[], T]) -> T:
    """``function()``, or Late after ``seconds``: for what has no deadline of its own.

    The thread that hangs is left behind; it cannot keep the program from ending.
    """
    done: list[T] = []
    failed: list[BaseException] = []

    def work() -> None:
        try:
            done.append(function())
        except BaseException as error:  # noqa: BLE001 (it is raised again below, in the caller's thread)
            failed.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(seconds)
    if failed:
        raise failed[0]
    if not done:
        raise Late(f"no answer within {seconds:.0f} s")
    return done[0]
