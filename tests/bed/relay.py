"""A TCP relay in user space: to reach a server of the host from machines, and to be a bad line between two."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass
class Relay:
    """``host:port`` leads to ``target``. ``delay`` is in seconds, each way.

    ``cut()`` breaks every connection; ``silent`` takes connections and never says a word.
    """

    target: tuple[str, int]
    host: str = "127.0.0.1"
    delay: float = 0.0
    silent: bool = False
    port: int = 0
    _open: list[socket.socket] = field(default_factory=list)

    def cut(self) -> None:
        for end in self._open:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        self._open.clear()

    def _serve(self, server: socket.socket) -> None:
        while True:
            try:
                near, _ = server.accept()
            except OSError:
                return
            self._open.append(near)
            if self.silent:
                continue
            try:
                far = socket.create_connection(self.target, 10)
            except OSError:
                near.close()
                continue
            self._open.append(far)
            for one, other in ((near, far), (far, near)):
                one.settimeout(None)
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=self._pipe, args=(one, other), daemon=True).start()

    def _pipe(self, source: socket.socket, sink: socket.socket) -> None:
        """What comes in goes out ``delay`` later, however much is on its way: as on a long line."""
        waiting: list[tuple[float, bytes]] = []
        came = threading.Condition()

        def send() -> None:
            while True:
                with came:
                    while not waiting:
                        came.wait()
                    due, data = waiting.pop(0)
                time.sleep(max(0.0, due - time.monotonic()))
                with contextlib.suppress(OSError):
                    if not data:
                        sink.shutdown(socket.SHUT_WR)
                        return
                    sink.sendall(data)

        threading.Thread(target=send, daemon=True).start()
        while True:
            try:
                data = source.recv(65536)
            except OSError:
                data = b""
            with came:
                waiting.append((time.monotonic() + self.delay, data))
                came.notify()
            if not data:
                return


@contextlib.contextmanager
def relay(
    target: tuple[str, int], *, host: str = "127.0.0.1", delay: float = 0.0, silent: bool = False
) -> Iterator[Relay]:
    """While inside, the relay's ``port`` on ``host`` leads to ``target``."""
    with socket.create_server((host, 0)) as server:
        made = Relay(target, host, delay, silent, server.getsockname()[1])
        threading.Thread(target=made._serve, args=(server,), daemon=True).start()
        try:
            yield made
        finally:
            made.cut()
