"""Machines over SSH: one connection each, one exec channel for each script, many of them at once."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Generic, TypeVar

from infra.errors import InfraError, Interrupted, LoginRefused, NodeFailed, NodeUnreachable
from infra.node.model import Node
from infra.node.ssh.auth import Auth
from infra.node.ssh.channel import Blob, How, Ran
from infra.node.ssh.trust import Confirm, Judge, Pins
from infra.proc import Cancel

if TYPE_CHECKING:
    from infra.node.ssh.lines import Lines
    from infra.node.ssh.login import Login
    from infra.node.ssh.transport import Transport

__all__ = ["Blob", "Connection", "Fleet", "Ran"]

T = TypeVar("T")
TICK = 0.1  # seconds between looks whether the user wants to stop
PATIENCE = 20.0  # seconds that work may take to end after the first Ctrl-C; after the second none
ALWAYS = 3600.0


class Connection:
    """One machine, one SSH connection of its ``fleet``."""

    def __init__(self, node: Node, fleet: Fleet) -> None:
        self.node = node
        self.login: Login = "key"
        self.fleet = fleet
        self._line: Transport | None = None
        self._sudo: How = "free"
        self._settled = False
        self._boot = ""
        self._open()

    def _open(self, limit: float = ALWAYS) -> None:
        self._line, self.login = self.fleet._open(self.node, limit)

    def run(
        self,
        script: str,
        *args: str,
        root: bool = True,
        deadline: float = 60,
        blobs: Mapping[str, Blob] = {},
        on_line: Callable[[str], None] | None = None,
        check: bool = True,
    ) -> Ran:
        """Run a script of POSIX sh in /bin/sh, as root unless told otherwise.

        ``out`` holds what the script printed, and nothing that the login shell or its rc files did. In the script
        ``infra_blob NAME >file`` fetches a blob: its bytes are sent only then, and their checksum is looked at there.
        With ``check`` a non-zero exit is NodeFailed. Past the deadline: NodeFailed; a lost connection:
        NodeUnreachable; no way to root: SudoRefused.
        """
        from infra.node.ssh.exec import Exec

        auth = self.fleet.auth
        how: How = self._sudo if root and self.node.user != "root" else "plain"
        if how == "free" and auth.sudo and not self._settled:
            how = "prompt"  # it says whether it wants the password, which is not sent before
        while True:
            under_way = Exec(self._live(), self.node, how, auth, self.fleet.check, blobs)
            ran = under_way.run(script, args, deadline, on_line)
            if ran is not None:
                break
            how = "prompt"
        self._boot = under_way.boot or self._boot
        if how == "prompt":
            self._sudo, self._settled = ("password" if under_way.asked else "free"), True
        if check and ran.code != 0:
            raise NodeFailed(
                f"{self.node.name}: a script failed with exit code {ran.code}",
                where=self.node.where or self.node.login,
                why="\n".join((ran.err.strip() or ran.out.strip()).splitlines()[-20:]),
                fix="mend what the output names, then run the same command again",
            )
        return ran

    @property
    def host_key(self) -> str:
        """The key that the machine proved to hold and that was judged to be its own, as ``type base64``."""
        from infra.node.ssh import certificate, trust

        kind, blob = self._live().shown()
        return certificate.plain(blob) if certificate.is_certificate(kind) else trust.text(blob)

    def _live(self) -> Transport:
        from infra.node.ssh import link as ssh_link

        if self._line is None or not self._line.is_active():
            self.fleet.check()
            raise ssh_link.unreachable(self.node, "the connection was lost")
        return self._line

    def reconnect(self, *, deadline: float, new_boot: bool = False) -> None:
        """Connect again, trying until the deadline (seconds).

        With ``new_boot`` only another boot will do than that of the last script that ran here. Raises NodeUnreachable
        when it does not come back in time. A host key that changed stops at once.
        """
        from infra.node.ssh import link as ssh_link

        end = time.monotonic() + deadline
        before = self._boot
        while True:
            self.close()
            try:
                self._open(max(2.0, end - time.monotonic()))
                if not new_boot:
                    return
                self.run(":", root=False, deadline=max(2.0, min(20.0, end - time.monotonic())))
                if self._boot != before:
                    return
            except (NodeUnreachable, LoginRefused, NodeFailed):  # it goes down, or comes up and lets nobody in yet
                if time.monotonic() > end:
                    raise
            if time.monotonic() > end:
                raise ssh_link.unreachable(self.node, f"it did not restart within {deadline:.0f} s")
            self.fleet.pause(0.5)

    def close(self) -> None:
        if self._line is not None:
            line, self._line = self._line, None
            self.fleet._close(line)

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Fleet:
    """Connections to many machines. ``nodes`` are those that a ``jump`` may name.

    ``confirm`` is asked about a host key that nothing vouches for; ``accepted`` are fingerprints to believe at once.
    """

    def __init__(
        self,
        pins: Pins,
        auth: Auth,
        *,
        parallel: int = 50,
        nodes: Sequence[Node] = (),
        cancel: Cancel | None = None,
        confirm: Confirm | None = None,
        accepted: Iterable[str] = (),
        authorities: Sequence[str] = (),
    ) -> None:
        self.pins, self.auth, self.parallel = pins, auth, max(1, parallel)
        self.cancel = cancel or Cancel()
        self._judge = Judge(pins, tuple(authorities), frozenset(accepted), confirm)
        self.nodes = {node.name: node for node in nodes}
        self._lock = threading.Lock()
        self._made: Lines | None = None

    @property
    def _lines(self) -> Lines:
        with self._lock:
            if self._made is None:
                from infra.node.ssh.lines import Lines

                self._made = Lines(self._judge, self.auth, self.nodes, self.check)
            return self._made

    def using(self, auth: Auth) -> Fleet:
        """The same machines and the same trust, with other keys."""
        fleet = Fleet(self.pins, auth, parallel=self.parallel, nodes=tuple(self.nodes.values()), cancel=self.cancel)
        fleet._judge = self._judge
        return fleet

    def connect(self, node: Node) -> Connection:
        """Log in to a machine. Raises NodeUnreachable, HostKeyError and LoginRefused."""
        return Connection(node, self)

    def _open(self, node: Node, limit: float) -> tuple[Transport, Login]:
        self.check()
        self._lines.hold()
        try:
            return self._lines.open(node, limit)
        except BaseException:
            self._lines.release()
            raise

    def _close(self, line: Transport) -> None:
        self._lines.end(line)
        self._lines.release()

    def pause(self, seconds: float) -> None:
        """Sleep; Interrupted when cancelled meanwhile."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.check()
            time.sleep(min(TICK, left))

    def check(self) -> None:
        """Raise Interrupted when the user wants to stop."""
        if self.cancel.asked:
            raise Interrupted(
                "interrupted", why="Ctrl-C", fix="run the same command again: it goes on where it stopped"
            )

    def each(
        self,
        nodes: Sequence[Node],
        work: Callable[[Connection], T],
        done: Callable[[Node, T | InfraError], None] | None = None,
    ) -> dict[str, T | InfraError]:
        """Do ``work`` on every node, ``parallel`` at a time; what it gave or raised, by name, in the nodes' order.

        One failed node never stops the others. ``done`` is called as each ends, one call at a time. After Ctrl-C
        those that had not ended are Interrupted.
        """
        crew = _Crew(self, nodes, work, done)
        lines = self._lines
        with lines.held():
            crew.start(min(self.parallel, len(nodes)))
            try:
                asked = 0.0
                while crew.busy(TICK):
                    if self.cancel.asked:
                        asked = asked or time.monotonic()
                        lines.cut()
                        if self.cancel.asked > 1 or time.monotonic() - asked > PATIENCE:
                            crew.give_up()
                            break
            except BaseException:  # a KeyboardInterrupt that nobody turned into a cancel
                self.cancel.asked += 1
                lines.cut()
                crew.busy(5)
                raise
        if crew.broken:
            raise crew.broken[0]
        return {node.name: crew.results[node.name] for node in nodes}


class _Crew(Generic[T]):
    """The threads of one ``each``."""

    def __init__(
        self,
        fleet: Fleet,
        nodes: Sequence[Node],
        work: Callable[[Connection], T],
        done: Callable[[Node, T | InfraError], None] | None,
    ) -> None:
        self.fleet, self.work, self.done = fleet, work, done
        self.results: dict[str, T | InfraError] = {}
        self.broken: list[BaseException] = []
        self._nodes = nodes
        self._todo: queue.SimpleQueue[Node] = queue.SimpleQueue()
        for node in nodes:
            self._todo.put(node)
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []

    def start(self, count: int) -> None:
        for _ in range(count):
            thread = threading.Thread(target=self._worker, daemon=True)
            self._threads.append(thread)
            thread.start()

    def busy(self, seconds: float) -> bool:
        """Wait that long for the first that still works; is there any?"""
        end = time.monotonic() + seconds
        while self._threads:
            self._threads[-1].join(max(0.0, end - time.monotonic()))
            if self._threads[-1].is_alive():
                return True
            self._threads.pop()
        return False

    def give_up(self) -> None:
        """What has not ended counts as interrupted."""
        with self._lock:
            late = Interrupted("interrupted", why="Ctrl-C", fix="run the same command again")
            self.results = {node.name: self.results.get(node.name, late) for node in self._nodes}
            self.done = None

    def _worker(self) -> None:
        while not self.broken:
            try:
                node = self._todo.get_nowait()
            except queue.Empty:
                return
            try:
                result = self._one(node)
                with self._lock:
                    self.results[node.name] = result
                    if self.done:
                        self.done(node, result)
            except BaseException as error:  # noqa: BLE001  # raised again in the caller's thread
                self.broken.append(error)

    def _one(self, node: Node) -> T | InfraError:
        try:
            with contextlib.closing(self.fleet.connect(node)) as connection:
                return self.work(connection)
        except InfraError as error:
            return error
