"""One live line while many machines are at work: how many are done. On a terminal only, and on stderr."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Iterator


class Count:
    """``one`` is to be called as each machine ends; ``aside`` takes the line away while somebody is asked something."""

    def __init__(self, verb: str, *, quiet: bool = False) -> None:
        self._verb = verb
        self._shown = not quiet and sys.stderr.isatty()
        self._lock = threading.RLock()
        self._done = self._total = 0

    @contextlib.contextmanager
    def of(self, total: int) -> Iterator[None]:
        """Count to ``total`` while inside."""
        self._total = total
        self._draw()
        try:
            yield
        finally:
            self._total = 0
            self._clear()

    def one(self, *_: object) -> None:
        with self._lock:
            self._done += 1
            self._draw()

    @contextlib.contextmanager
    def aside(self) -> Iterator[None]:
        with self._lock:
            self._clear()
            yield
            self._draw()

    def _draw(self) -> None:
        if self._shown and self._total:
            machines = "machine" if self._total == 1 else "machines"
            sys.stderr.write(f"\r{self._done} of {self._total} {machines} {self._verb} …\033[K")
            sys.stderr.flush()

    def _clear(self) -> None:
        if self._shown:
            sys.stderr.write("\r\033[K")
            sys.stderr.flush()
