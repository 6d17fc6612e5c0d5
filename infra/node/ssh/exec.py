"""One script over one exec channel of a line."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence

import paramiko

from infra.errors import NodeFailed
from infra.node.model import Node
from infra.node.ssh import channel as wire
from infra.node.ssh import link as ssh_link
from infra.node.ssh import sudo
from infra.node.ssh.auth import Auth
from infra.node.ssh.channel import Blob, Ran
from infra.node.ssh.transport import Transport
from infra.proc import SECRETS

TICK = 0.5  # seconds between looks at what nobody rings for
PIECE = 1 << 15  # bytes sent at once: a packet
OPEN = 15.0  # seconds for a channel
PING = 10.0  # seconds of silence after which the machine is asked for an answer
SILENT = 30.0  # seconds of silence after which the link counts as lost


class _Bell:
    """What paramiko rings when something came: on both streams, so that its own clearing must do nothing."""

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
    """A script under way. ``asked``: sudo wanted the password. ``boot``: the machine's boot id."""

    def __init__(
        self, line: Transport, node: Node, how: wire.How, auth: Auth, check: ssh_link.Check, blobs: Mapping[str, Blob]
    ) -> None:
        self.line, self.node, self.how, self.auth, self.check, self.blobs = line, node, how, auth, check, blobs
        self.token = "infra-" + secrets.token_hex(8)
        self.asked = False
        self.boot = ""
        self._code: int | None = None
        self._damaged = ""
        self._todo: list[Callable[[], None]] = []
        self._pinged = 0.0
        self._err = wire.Stream(self.token.encode(), self._marked_err)

    def run(
        self, script: str, args: Sequence[str], deadline: float, on_line: Callable[[str], None] | None
    ) -> Ran | None:
        """Run it; None when sudo wants a password, which may be asked for."""
        redact = SECRETS.redact
        told = (lambda line: on_line(redact(line))) if on_line else None
        self._out = wire.Stream(self.token.encode(), self._marked, told)
        self._payload = wire.payload(self.token, script, args)
        self._deadline = deadline
        started = time.monotonic()
        self._end = started + deadline
        try:
            self._channel = self.line.open_session(timeout=min(deadline, OPEN))
            try:
                self._start()
                self._follow()
            finally:
                self._channel.close()
        except (paramiko.SSHException, OSError, EOFError) as error:
            raise self._lost(str(error) or "it hung up") from error
        return self._result(time.monotonic() - started)

    def _start(self) -> None:
        channel = self._channel
        self._bell = _Bell()
        channel.in_buffer.set_event(self._bell)
        channel.in_stderr_buffer.set_event(self._bell)
        channel.settimeout(TICK)
        self.line.start_command(channel, wire.command(self.token, len(self._payload), self.how))
        if self.how == "password":
            self._push(f"{self.auth.sudo_password()}\n{self.token}:script\n".encode())
        if self.how != "prompt":
            self._push(self._payload)

    def _follow(self) -> None:
        """Until the script has ended, or the channel."""
        channel = self._channel
        while not (self._out.ended and self._err.ended):
            over = channel.closed or channel.eof_received
            moved = False
            if channel.recv_ready():
                self._out.feed(channel.recv(PIECE * 8))
                moved = True
            if channel.recv_stderr_ready():
                self._err.feed(channel.recv_stderr(PIECE * 8))
                moved = True
            while self._todo:
                self._todo.pop(0)()
            self._look()
            if not moved:
                if over and (channel.closed or channel.exit_status_ready()):
                    return
                self._bell.wait(TICK)

    def _look(self) -> None:
        """What must be noticed while waiting: the user's stop, the deadline, a link that is dead."""
        self.check()
        now = time.monotonic()
        if now >= self._end:
            raise NodeFailed(
                f"{self.node.name}: a script did not end within {self._deadline:.0f} s",
                where=self.node.where or self.node.login,
                why="\n".join((self._err.text.strip() or self._out.text.strip()).splitlines()[-5:]),
                fix="look at what it waits for on that machine, then run the same command again",
            )
        if max(self._out.held, self._err.held) > wire.MOST:
            raise NodeFailed(
                f"{self.node.name}: a script printed more than {wire.MOST >> 20} MB",
                where=self.node.where or self.node.login,
                fix="let it print less, or into a file there",
            )
        silent = now - self.line.heard
        if silent > SILENT:
            raise self._lost(f"nothing was heard for {silent:.0f} s")
        if silent > PING and now - self._pinged > PING:
            self._pinged = now
            self.line.ping()

    def _push(self, data: bytes) -> None:
        """Send, however long the other side takes, but not longer than it lives."""
        view = memoryview(data)
        at = 0
        while at < len(view):
            try:
                sent = self._channel.send(view[at : at + PIECE].tobytes())
            except TimeoutError:
                self._look()
                continue
            if not sent:
                return  # it ended without reading all: its exit says why
            at += sent

    def _marked(self, word: str, rest: str) -> None:
        if word == "ready" and self.how == "prompt":
            self._todo.append(lambda: self._push(self._payload))
        elif word == "begin":
            self.boot = rest
        elif word == "blob":
            self._todo.append(lambda: self._send(rest))
        elif word == "damaged":
            self._damaged = rest
        elif word == "end":
            self._code = int(rest) if rest.isdigit() else 1

    def _marked_err(self, word: str, _rest: str) -> None:
        if word == "password":
            self._todo.append(self._password)

    def _password(self) -> None:
        """sudo asks: the first time for the password, again when it was wrong."""
        if self.asked:
            raise sudo.refusal(self.node, sudo.WRONG)
        self.asked = True
        if self.how == "password":  # it is on its way
            return
        password = self.auth.sudo_password()
        if not password:
            raise sudo.refusal(self.node, sudo.MISSING)
        self._push(f"{password}\n".encode())

    def _send(self, name: str) -> None:
        if name not in self.blobs:
            raise NodeFailed(
                f"{self.node.name}: a script asked for {name!r}, which it was not given",
                where=self.node.where or self.node.login,
                why=f"it was given: {', '.join(self.blobs) or 'nothing'}",
                fix="this is a mistake in infra: please report it",
            )
        data = self.blobs[name]()
        self._push(wire.header(data))
        self._push(data)

    def _result(self, seconds: float) -> Ran | None:
        redact = SECRETS.redact
        if self._damaged:
            raise NodeFailed(
                f"{self.node.name}: {self._damaged} did not arrive whole (exit code {wire.DAMAGED})",
                where=self.node.where or self.node.login,
                why=redact(self._err.text.strip()[-1000:]) or "its sha256 there is another than here",
                fix="look at that machine's disk and network, then run the same command again",
            )
        if not self._out.begun:
            self._not_begun()
            return None
        if self._code is None:
            status = self._channel.exit_status
            if status < 0:
                raise self._lost("it hung up while a script ran")
            self._code = status
        return Ran(self._code, redact(self._out.text), redact(self._err.text), seconds)

    def _not_begun(self) -> None:
        """The script never ran: because of sudo, of the login shell, or of the link."""
        said = (self._err.before + "\n" + self._out.before).strip()
        status = self._channel.exit_status
        if self.how == "free" and sudo.needs_password(said) and (self.auth.sudo or self.auth.ask):
            return
        if status < 0:
            raise self._lost("it hung up before a script began")
        if self.how != "plain" and sudo.about_sudo(said):
            raise sudo.refusal(self.node, said)
        raise NodeFailed(
            f"{self.node.name}: the login shell of {self.node.user} runs no commands",
            where=self.node.where or self.node.login,
            why=(said[-500:] or "it said nothing") + f" (exit code {status})",
            fix="give the account a usual shell (chsh), and see that its rc files do not end it",
        )

    def _lost(self, why: str) -> Exception:
        self.check()  # it was cut because the user wants to stop
        return ssh_link.unreachable(
            self.node, f"the connection was lost ({why})", "see whether the machine and the network are well"
        )
