"""Machines over SSH: one connection each, one exec channel for each script, many of them at once."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeVar

from infra.errors import InfraError, Interrupted, NodeFailed, NodeUnreachable
from infra.node import channel as wire
from infra.node.auth import Auth
from infra.node.model import Node
from infra.node.trust import Confirm, Pins
from infra.proc import Cancel

if TYPE_CHECKING:
    import paramiko

T = TypeVar("T")
Blob = Callable[[], bytes]
TICK = 0.25  # seconds between looks at what nothing wakes us for


@dataclass(frozen=True, slots=True)
class Ran:
    """What a script did: its exit ``code``, what it printed, and the ``seconds`` it took."""

    code: int
    out: str
    err: str
    seconds: float


class Connection:
    """One machine, one SSH connection."""

    def __init__(self, node: Node, fleet: Fleet) -> None:
        self.node = node
        self.login: Literal["key", "password", "certificate", "agent"] = "key"
        self._fleet = fleet
        self._transport: paramiko.Transport | None = None
        self._sudo: wire.How = "free"
        self._open()

    def _open(self) -> None:
        from infra.node import ssh_link

        self._transport = ssh_link.open_link(self.node, self._fleet.pins, self._fleet.confirm)
        self.login = ssh_link.log_in(self._transport, self.node, self._fleet.auth)

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
        from infra.node.ssh_exec import Exec

        how: wire.How = self._sudo if root and self.node.user != "root" else "plain"
        if how == "free" and self._fleet.auth.sudo:
            how = "prompt"
        while True:
            execution = Exec(self._live(), self.node, how, self._fleet, blobs, on_line)
            ran = execution.run(script, args, deadline)
            if ran is not None:
                break
            how = "prompt"
        if how == "prompt":
            self._sudo = "password" if execution.asked else "free"
        if check and ran.code != 0:
            raise NodeFailed(
                f"{self.node.name}: a script failed with exit code {ran.code}",
                where=self.node.where or self.node.login,
                why="\n".join((ran.err.strip() or ran.out.strip()).splitlines()[-20:]),
                fix="mend what the output names, then run the same command again",
            )
        return ran

    def _live(self) -> paramiko.Transport:
        from infra.node import ssh_link

        if self._transport is None or not self._transport.is_active():
            raise ssh_link.unreachable(self.node, "the connection was lost")
        return self._transport

    def reconnect(self, *, deadline: float, new_boot: bool = False) -> None:
        """Connect again, trying until the deadline (seconds); with ``new_boot`` only another boot than before will do.

        Raises NodeUnreachable when it does not come back in time. A host key that changed stops at once.
        """
        end = time.monotonic() + deadline
        before = self._boot() if new_boot else ""
        while True:
            self.close()
            try:
                self._open()
                if not new_boot or self._boot() != before:
                    return
            except NodeUnreachable:
                if time.monotonic() > end:
                    raise
            if time.monotonic() > end:
                from infra.node import ssh_link

                raise ssh_link.unreachable(self.node, f"it did not restart within {deadline:.0f} s")
            self._fleet.pause(1.0)

    def _boot(self) -> str:
        return self.run("cat /proc/sys/kernel/random/boot_id", root=False, deadline=20).out.strip()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()
            self._transport = None

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Fleet:
    """Connections to many machines. ``nodes`` are those that a ``jump`` may name."""

    def __init__(
        self,
        pins: Pins,
        auth: Auth,
        *,
        parallel: int = 50,
        nodes: Sequence[Node] = (),
        cancel: Cancel | None = None,
        confirm: Confirm | None = None,
    ) -> None:
        self.pins, self.auth, self.parallel = pins, auth, max(1, parallel)
        self.nodes = {node.name: node for node in nodes}
        self.cancel = cancel or Cancel()
        self.confirm = confirm

    def connect(self, node: Node) -> Connection:
        return Connection(node, self)

    def pause(self, seconds: float) -> None:
        """Sleep; Interrupted when cancelled meanwhile."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.stop_if_cancelled()
            time.sleep(min(TICK, seconds))

    def stop_if_cancelled(self) -> None:
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

        One failed node never stops the others. ``done`` is called as each ends, one call at a time.
        """
        results: dict[str, T | InfraError] = {}
        todo: queue.SimpleQueue[Node] = queue.SimpleQueue()
        for node in nodes:
            todo.put(node)
        lock = threading.Lock()
        broken: list[BaseException] = []

        def one(node: Node) -> T | InfraError:
            try:
                self.stop_if_cancelled()
                with contextlib.closing(self.connect(node)) as connection:
                    return work(connection)
            except InfraError as error:
                return error

        def worker() -> None:
            while not broken:
                try:
                    node = todo.get_nowait()
                except queue.Empty:
                    return
                try:
                    result = one(node)
                    with lock:
                        results[node.name] = result
                        if done:
                            done(node, result)
                except BaseException as error:  # noqa: BLE001  # raised again below, in the caller's thread
                    broken.append(error)

        threads = [threading.Thread(target=worker, daemon=True) for _ in range(min(self.parallel, len(nodes)))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if broken:
            raise broken[0]
        return {node.name: results[node.name] for node in nodes}
