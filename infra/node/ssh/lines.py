"""All lines of a fleet: opened one by one, the way through a jump host shared by all nodes behind it."""

from __future__ import annotations

import contextlib
import dataclasses
import getpass
import random
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import paramiko

from infra.errors import InfraError, NodeUnreachable, UsageError
from infra.node.export import openssh
from infra.node.model import Node
from infra.node.ssh import config as ssh_config
from infra.node.ssh import link as ssh_link
from infra.node.ssh import login as ssh_login
from infra.node.ssh import trust
from infra.node.ssh.auth import Auth
from infra.node.ssh.login import Login
from infra.node.ssh.transport import Transport

TURNS = 64  # logins at a time: more would only make each of them miss its deadline
REMEMBERED = 30.0  # seconds for which a jump host that could not be reached is not tried again


@dataclass
class _Jump:
    """A jump host: its line, or why there is none, and until when that is believed."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    line: Transport | None = None
    failed: InfraError | None = None
    until: float = 0.0


class Lines:
    """``check`` raises Interrupted when the user wants to stop."""

    def __init__(self, judge: trust.Judge, auth: Auth, nodes: Mapping[str, Node], check: ssh_link.Check) -> None:
        self.judge, self.auth, self.nodes, self.check = judge, auth, nodes, check
        self._keys = ssh_login.Keys(auth)
        self._lock = threading.Lock()
        self._jumps: dict[str, _Jump] = {}
        self._live: set[Transport] = set()
        self._held = 0
        self._turns = threading.BoundedSemaphore(TURNS)

    def open(self, node: Node, limit: float, via: tuple[str, ...] = ()) -> tuple[Transport, Login]:
        """A line to a machine that has proven who it is, logged in to; ``limit`` is in seconds, for each part.

        Raises NodeUnreachable, HostKeyError and LoginRefused.
        """
        hints = ssh_config.hints(node, self.auth.config)
        with self._turns if not via else contextlib.nullcontext():  # whoever opens a jump holds a turn already
            return self._opened(hints, limit, via)

    def _opened(self, hints: ssh_config.Hints, limit: float, via: tuple[str, ...]) -> tuple[Transport, Login]:
        target = hints.node
        line = self._greeted(target, limit, via)
        try:
            return line, ssh_login.log_in(line, target, self._keys, hints.identities, hints.only)
        except (paramiko.SSHException, OSError, EOFError) as error:
            self.end(line)
            self.check()
            raise ssh_link.unreachable(target, f"the link broke while logging in ({error or 'it hung up'})") from error
        except BaseException:
            self.end(line)
            raise

    def _greeted(self, node: Node, limit: float, via: tuple[str, ...]) -> Transport:
        for attempt in range(ssh_link.HANGUPS):
            try:
                return ssh_link.greet(node, self._sock(node, limit, via), self.judge, limit, self._made)
            except ssh_link.HungUp:
                self.check()
                time.sleep(0.3 * 2**attempt * (1 + random.random()))
            except ssh_link.OtherTypes:
                self.judge.judge(node, *ssh_link.shown_instead(node, self._sock(node, limit, via)))
            except NodeUnreachable:
                self.check()
                raise
        why = f"it closed the connection {ssh_link.HANGUPS} times before it said its SSH banner"
        raise ssh_link.unreachable(node, why, "look at its sshd: MaxStartups, hosts.deny, or a firewall in between")

    def _sock(self, node: Node, limit: float, via: tuple[str, ...]) -> object:
        if not node.jump:
            return ssh_link.reach(node, limit, self.check)
        return ssh_link.through(self._bastion(node, limit, via), node)

    def _made(self, line: Transport) -> None:
        with self._lock:
            self._live.add(line)
        self.check()

    def end(self, line: Transport) -> None:
        with self._lock:
            self._live.discard(line)
        line.end()

    def _bastion(self, node: Node, limit: float, via: tuple[str, ...]) -> Transport:
        if node.jump in via:
            raise UsageError(
                f"the jump hosts of {node.name} go round in a circle",
                where=node.where,
                why=" → ".join((*via, node.jump)),
                fix="correct jump in cluster.yaml or ProxyJump in ~/.ssh/config",
            )
        with self._lock:
            jump = self._jumps.setdefault(node.jump, _Jump())
        with jump.lock:
            if jump.line is not None and jump.line.is_active():
                return jump.line
            if jump.failed is not None and time.monotonic() < jump.until:
                raise jump.failed
            try:
                jump.line, _ = self.open(self._jump_node(node), limit, (*via, node.jump))
            except InfraError as error:
                jump.failed, jump.until = error, time.monotonic() + REMEMBERED
                raise
            return jump.line

    def _jump_node(self, node: Node) -> Node:
        before, _, last = node.jump.rpartition(",")
        known = self.nodes.get(last)
        if known is not None:
            return dataclasses.replace(known, jump=before) if before else known
        made = openssh.outside(last)
        if not made.address or made.address.startswith("-"):
            raise UsageError(
                f"{last!r} is no jump host",
                where=node.where,
                fix="give the name of a node, or user@host or user@host:port",
            )
        user = made.user or ssh_config.user(made.address, self.auth.config) or getpass.getuser()
        return dataclasses.replace(made, user=user, jump=before, where=node.where)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """While inside, jump hosts stay connected."""
        self.hold()
        try:
            yield
        finally:
            self.release()

    def hold(self) -> None:
        with self._lock:
            self._held += 1

    def release(self) -> None:
        """The last one out closes the jump hosts and the agent."""
        with self._lock:
            self._held -= 1
            if self._held:
                return
            jumps, self._jumps = list(self._jumps.values()), {}
        for jump in jumps:
            if jump.line is not None:
                self.end(jump.line)
        self._keys.close()

    def cut(self) -> None:
        """Close everything: whoever waits on a line wakes."""
        with self._lock:
            lines, self._live = list(self._live), set()
        for line in lines:
            line.close()
