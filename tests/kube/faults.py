"""Faults on demand: what a test may ask of the server beside its duty."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass

from tests.kube.messages import Request


@dataclass
class Fault:
    """What happens to requests whose method, path and body fit; ``times`` of them, then no more (None: all).

    ``slow``: seconds before the answer. ``code``: this status instead of an answer, with ``retry_after`` seconds.
    ``cut``: the connection is closed without an answer: "before" anything is done, or "after" all is done; ``then`` is
    called just before it is.
    ``watch_events``: a watch's connection is closed in the middle of a line after this many events.
    ``skip``: this many fitting requests pass first.
    """

    method: str = ""
    path: str = ""
    body: str = ""
    times: int | None = 1
    skip: int = 0
    slow: float = 0.0
    code: int = 0
    retry_after: int = 0
    cut: str = ""
    then: Callable[[], object] = lambda: None
    watch_events: int | None = None
    met: int = 0

    def fits(self, request: Request) -> bool:
        if self.method and self.method != request.method:
            return False
        if self.watch_events is not None and not request.flag("watch"):
            return False
        if self.body and not re.search(self.body.encode(), request.body):
            return False
        return re.search(self.path, request.path) is not None


class Faults:
    """The faults of one server."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []

    def add(self, fault: Fault) -> Fault:
        with self._lock:
            self._faults.append(fault)
        return fault

    def clear(self) -> None:
        with self._lock:
            self._faults.clear()

    def meet(self, request: Request) -> Fault | None:
        """The fault that this request meets; it is counted."""
        with self._lock:
            for fault in self._faults:
                if not fault.fits(request):
                    continue
                if fault.skip:
                    fault.skip -= 1
                    continue
                if fault.times is None or fault.met < fault.times:
                    fault.met += 1
                    return fault
        return None
