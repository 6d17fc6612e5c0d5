"""One script over one exec channel of a transport."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import paramiko
from paramiko.common import cMSG_CHANNEL_REQUEST

from infra.errors import NodeError, NodeFailed, SudoRefused
from infra.node import channel as wire
from infra.node import ssh_link
from infra.node.model import Node
from infra.proc import SECRETS

if TYPE_CHECKING:
    from infra.node.ssh import Blob, Fleet, Ran

TICK = 0.25
CHUNK = 1 << 18


class _Bell:
    """What paramiko rings when data came: for both streams at once, so that its own clearing must do nothing."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def set(self) -> None:
        self._event.set()

    def clear(self) -> None:
        return None

    def wait(self, seconds: float) -> None:
        self._event.wait(seconds)
        self._event.clear()


class Exec:
    """A script under way. ``asked``: sudo wanted the password."""

    def __init__(
        self,
        transport: paramiko.Transport,
        node: Node,
        how: wire.How,
        fleet: Fleet,
        blobs: Mapping[str, Blob],
        on_line: Callable[[str], None] | None,
    ) -> None:
        self.transport, self.node, self.how, self.fleet, self.blobs = transport, node, how, fleet, blobs
        self.token = "infra-" + secrets.token_hex(8)
        self.asked = False
        self.code: int | None = None
        self.damaged = ""
        self._todo: list[Callable[[], None]] = []
        self._out = wire.Stream(self.token.encode(), self._marked, self._redacted(on_line))
        self._err = wire.Stream(self.token.encode(), self._marked_err)

    def _redacted(self, on_line: Callable[[str], None] | None) -> Callable[[str], None] | None:
        return None if on_line is None else lambda line: on_line(SECRETS.redact(line))

    def run(self, script: str, args: Sequence[str], deadline: float) -> Ran | None:
        """Run it; None when sudo needs a password that we can ask for."""
        from infra.node.ssh import Ran

        started = time.monotonic()
        end = started + deadline
        try:
            self._start(script, args, deadline)
            try:
                self._follow(end, deadline)
            finally:
                self._channel.close()
        except (paramiko.SSHException, OSError, EOFError) as error:
            raise ssh_link.unreachable(
                self.node, f"the connection was lost ({error or type(error).__name__})"
            ) from error
        if self.damaged:
            raise NodeFailed(
                f"{self.node.name}: {self.damaged} did not arrive whole (exit code {wire.DAMAGED})",
                where=self.node.where or self.node.login,
                why=self._err.text.strip()[-1000:] or "its checksum there is another than here",
                fix="run the same command again; if it happens again, look at that machine's disk and network",
            )
        if not self._out.begun:
            self._not_begun()
            return None
        if self.code is None:
            self.code = self._channel.exit_status if self._channel.exit_status >= 0 else None
        if self.code is None:
            raise ssh_link.unreachable(self.node, "the connection was lost while a script ran")
        redact = SECRETS.redact
        return Ran(self.code, redact(self._out.text), redact(self._err.text), time.monotonic() - started)

    def _start(self, script: str, args: Sequence[str], deadline: float) -> None:
        self._payload = wire.payload(self.token, script, args)
        channel = self._channel = self.transport.open_session(timeout=min(deadline, ssh_link.CONNECT))
        self._bell = _Bell()
        channel.in_buffer.set_event(self._bell)
        channel.in_stderr_buffer.set_event(self._bell)
        channel.settimeout(deadline)
        message = paramiko.Message()
        message.add_byte(cMSG_CHANNEL_REQUEST)
        message.add_int(channel.remote_chanid)
        message.add_string("exec")
        message.add_boolean(False)  # nothing waits for the answer: the script is on its way at once
        message.add_string(wire.command(self.token, len(self._payload), self.how))
        self.transport._send_user_message(message)
        if self.how == "password":
            channel.sendall(f"{self.fleet.auth.sudo_password()}\n{self.token}:script\n".encode())
        if self.how != "prompt":
            channel.sendall(self._payload)

    def _follow(self, end: float, deadline: float) -> None:
        channel = self._channel
        while True:
            moved = False
            while channel.recv_ready():
                self._out.feed(channel.recv(CHUNK))
                moved = True
            while channel.recv_stderr_ready():
                self._err.feed(channel.recv_stderr(CHUNK))
                moved = True
            while self._todo:
                self._todo.pop(0)()
            if (self._out.ended and self._err.ended) or (not moved and channel.closed):
                return
            if not moved and channel.exit_status_ready() and channel.eof_received:
                return
            self.fleet.stop_if_cancelled()
            left = end - time.monotonic()
            if left <= 0:
                raise NodeFailed(
                    f"{self.node.name}: a script did not end within {deadline:.0f} s",
                    where=self.node.where or self.node.login,
                    why="\n".join((self._err.text.strip() or self._out.text.strip()).splitlines()[-5:]),
                    fix="look at what it waits for on that machine, then run the same command again",
                )
            if not moved:
                self._bell.wait(min(left, TICK))

    def _marked(self, word: str, rest: str) -> None:
        if word == "ready" and self.how == "prompt":
            self._todo.append(lambda: self._channel.sendall(self._payload))
        elif word == "blob":
            self._todo.append(lambda: self._send(rest))
        elif word == "damaged":
            self.damaged = rest
        elif word == "end":
            self.code = int(rest or 1)

    def _marked_err(self, word: str, rest: str) -> None:
        if word == "password":
            self._todo.append(self._password)

    def _password(self) -> None:
        if self.asked:
            raise self._refused("the password is wrong")
        self.asked = True
        if self.how == "password":  # sent already
            return
        password = self.fleet.auth.sudo_password()
        if not password:
            raise self._refused("sudo wants a password, and there is none")
        self._channel.sendall(f"{password}\n".encode())

    def _send(self, name: str) -> None:
        if name not in self.blobs:
            raise NodeFailed(
                f"{self.node.name}: a script asked for {name!r}, which is not among its blobs", where=self.node.where
            )
        self._channel.sendall(wire.framed(self.blobs[name]()))

    def _not_begun(self) -> None:
        said = (self._err.noise + self._out.noise + self._err._rest).decode("utf-8", "replace").strip()
        if self.how == "free" and "password" in said and (self.fleet.auth.sudo or self.fleet.auth.ask):
            return
        if self._channel.exit_status < 0:
            raise ssh_link.unreachable(self.node, f"the connection was lost before the script began. {said}".strip())
        if self.how != "plain":
            raise self._refused(said[-500:])
        raise NodeFailed(
            f"{self.node.name}: the account {self.node.user} cannot run /bin/sh",
            where=self.node.where or self.node.login,
            why=said[-500:] or f"its shell ended with exit code {self._channel.exit_status}",
            fix="give the account a login shell (chsh)",
        )

    def _refused(self, why: str) -> NodeError:
        return SudoRefused(
            f"{self.node.user} cannot become root on {self.node.name}",
            where=self.node.where or self.node.login,
            why=why,
            fix="allow the account sudo there (a line in /etc/sudoers.d), or give its password: --ask-sudo",
        )
