"""A relay in user space in front of a machine's sshd: it can delay, cut, or hang."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections import deque
from types import TracebackType


class Relay:
    """Listens on 127.0.0.1:``port``. ``delay`` is in seconds, each way. ``cut_after``: once that many bytes have been
    ``carried`` in all, every connection is cut (0: never). ``hang``: it accepts, and never says a word."""

    def __init__(self, address: str, target: int = 22, *, delay: float = 0.0, hang: bool = False) -> None:
        self.address, self.target, self.delay, self.hang = address, target, delay, hang
        self.cut_after = 0
        self.carried = 0
        self.connections = 0
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def __enter__(self) -> Relay:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.close()
        for sock in self._sockets:
            _drop(sock)

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._sockets.append(client)
            if self.hang:
                continue
            server = socket.create_connection((self.address, self.target), 10)
            server.settimeout(None)
            self._sockets.append(server)
            for one in (client, server):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for source, sink in ((client, server), (server, client)):
                self._carry(source, sink)

    def _carry(self, source: socket.socket, sink: socket.socket) -> None:
        waiting: deque[tuple[float, bytes]] = deque()
        ready = threading.Condition()

        def read() -> None:
            while True:
                try:
                    data = source.recv(1 << 16)
                except OSError:
                    data = b""
                with ready:
                    waiting.append((time.monotonic() + self.delay, data))
                    ready.notify()
                if not data:
                    return

        def write() -> None:
            while True:
                with ready:
                    while not waiting:
                        ready.wait()
                    due, data = waiting.popleft()
                time.sleep(max(0.0, due - time.monotonic()))
                with self._lock:
                    self.carried += len(data)
                    cut = self.cut_after and self.carried >= self.cut_after
                try:
                    if not data or cut:
                        raise OSError
                    sink.sendall(data)
                except OSError:
                    _drop(source)
                    _drop(sink)
                    return

        for work in (read, write):
            threading.Thread(target=work, daemon=True).start()


def _drop(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
    sock.close()
