"""Killing an infra command with everything under it, at a chosen moment; and what the embedded AWS then holds.

Terraform runs in a session of its own and its provider under it, so neither a process group nor a parent's id finds
all of them; a mark in the environment, which every child inherits, does.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from infra.local import record as records
from infra.local.record import Record
from tests.conftest import Infra
from tests.e2e import embedded
from tests.e2e.faulty_aws import Call, FaultyAws

MARK = "LAB_TEST_MARK"
Id = tuple[str, str]
"""Terraform's type and id of a thing."""

LOOKS = 3  # that find nobody, before nobody is left

ENGINES = ("terraform", "tofu", "terraform.py")


def pids(mark: str) -> list[int]:
    """Every living process that inherited the mark."""
    wanted = f"{MARK}={mark}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            if wanted in entry.joinpath("environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
    return found


def kill(mark: str) -> None:
    """SIGKILL to all of them until none is left: one may have been starting another.

    A process in the middle of an exec shows no environment, so one empty look proves nothing.
    """
    end = time.monotonic() + 10
    empty = 0
    left: list[int] = []
    while empty < LOOKS and time.monotonic() < end:
        left = pids(mark)
        empty = 0 if left else empty + 1
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.005)
    assert not left, f"still alive: {left}"


def engines(mark: str) -> list[int]:
    """The Terraforms among them."""
    found = []
    for pid in pids(mark):
        with contextlib.suppress(OSError):
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[:4]
            if any(word.rpartition(b"/")[2].decode() in ENGINES for word in words):
                found.append(pid)
    return found


def changes_something(call: Call) -> bool:
    """Whether a request makes, changes or removes something."""
    if call.path.startswith("/_infra"):
        return False
    if call.action:
        return not call.action.startswith(("Describe", "Get", "List"))
    return call.method in ("POST", "PUT", "DELETE")


@dataclass
class Run:
    """``infra`` as a process of its own, marked; what it says is in ``said``."""

    infra: Infra
    mark: str
    process: subprocess.Popen[bytes]
    said: Path

    @classmethod
    def start(cls, infra: Infra, *args: str) -> Run:
        mark = f"{os.getpid()}-{id(infra)}-{time.monotonic_ns()}"
        said = infra.folder / "said.txt"
        with said.open("wb") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", "infra", *args],
                cwd=infra.folder,
                env={**infra.env, MARK: mark},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return cls(infra, mark, process, said)

    def wait(self, seconds: float = 240) -> int:
        return self.process.wait(timeout=seconds)

    def wait_for(self, text: str, seconds: float = 120) -> None:
        """Until it says ``text``."""
        end = time.monotonic() + seconds
        while text not in self.words:
            assert time.monotonic() < end and self.process.poll() is None, f"never said {text!r}:\n{self.words}"
            time.sleep(0.02)

    @property
    def words(self) -> str:
        return self.said.read_text(errors="replace")

    def kill(self) -> None:
        kill(self.mark)
        self.process.wait(timeout=10)


@dataclass
class Server:
    """The embedded AWS of one ``infra``, with a door before it that counts."""

    infra: Infra
    record: Record

    @classmethod
    def of(cls, infra: Infra) -> Server:
        embedded.start(infra.env)
        record = records.read(Path(infra.env["INFRA_LOCAL_DIR"]) / "server.json")
        assert record is not None
        return cls(infra, record)

    def reset(self) -> None:
        assert records.request(self.record, "POST", "/reset", timeout=60) is not None

    def resources(self) -> list[dict[str, Any]]:
        answer = records.request(self.record, "GET", "/inventory", timeout=60)
        assert answer is not None
        found: Any = answer["resources"]
        return [dict(item) for item in found]

    def asked_for(self) -> set[Id]:
        """What somebody asked for: not what AWS made on behalf of something else."""
        return {(item["type"], item["id"]) for item in self.resources() if not item["owner"]}


@dataclass
class Trap:
    """Kills a run at its n-th changing request (0: never): before it is done, or when it is done and nobody knows yet.

    With ``delay`` it kills so many seconds after the first one.
    """

    at: int = 0
    after: bool = False
    delay: float = 0
    run: Run | None = None
    seen: list[Call] = field(default_factory=list)
    sprung: Call | None = None
    ended: threading.Event = field(default_factory=threading.Event)
    """Everything is dead: ``infra`` itself dies, and its waiter goes on, some time before the last of its children."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def request(self, call: Call) -> bool:
        """For a Refusal's ``when``: never refuses."""
        if changes_something(call):
            with self._lock:
                self.seen.append(call)
                due = not self.after and len(self.seen) == self.at
            if due and self.delay:
                threading.Timer(self.delay, self._spring, [call]).start()
            elif due:
                self._spring(call)
        return False

    def answered(self, call: Call) -> None:
        if self.after and self.at and changes_something(call) and len(self.seen) >= self.at:
            with self._lock:
                due = self.sprung is None
                self.sprung = self.sprung or call
            if due:
                self._spring(call)

    def _spring(self, call: Call) -> None:
        self.sprung = call
        if self.run is not None:
            kill(self.run.mark)
            self.ended.set()

    def __str__(self) -> str:
        if self.delay:
            return f"{self.delay:.2f} s after the first change"
        what = (self.sprung.action or f"{self.sprung.method} {self.sprung.path}") if self.sprung else "never"
        return f"{'after' if self.after else 'before'} change {self.at} ({what})"


@contextlib.contextmanager
def door(infra: Infra, trap: Trap) -> Iterator[FaultyAws]:
    """While inside, the trap sees every request that is made with ``infra``'s environment."""
    from tests.e2e.faulty_aws import Refusal

    with embedded.refusing(infra.env, [Refusal("Never", when=trap.request)]) as faulty:
        faulty.answered = trap.answered
        yield faulty


def state_ids(folder: Path) -> set[Id]:
    """Everything that a local state knows."""
    path = folder / "terraform.tfstate"
    return ids_in(json.loads(path.read_text())) if path.is_file() and path.stat().st_size else set()


def ids_in(state: dict[str, Any]) -> set[Id]:
    return {
        (item["type"], str(instance["attributes"]["id"]))
        for item in state.get("resources", [])
        if item["mode"] == "managed"
        for instance in item["instances"]
    }


def wait_until(done: Callable[[], bool], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if done():
            return True
        time.sleep(0.02)
    return done()
