"""The way to one machine: through a jump or directly, its host key judged before anything is sent, then logged in."""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import os
import select
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import paramiko

from infra.errors import NodeUnreachable
from infra.node.model import Node
from infra.node.ssh import trust
from infra.node.ssh.transport import CERTIFIED, PLAIN, Transport

REACH = 10.0  # seconds for the connection
GREET = 12.0  # for the banner and the key exchange
LOGIN = 30.0  # for each attempt to log in
STEP = 0.25  # between two looks whether the user wants to stop
HANGUPS = 3  # times that it may hang up before its banner: sshd does so when too many log in at once


# Called now and then by whatever waits; raises Interrupted when the user wants to stop.
Check = Callable[[], None]


class HungUp(Exception):
    """The machine closed the connection before it said its banner."""


class OtherTypes(Exception):
    """It has no host key of a type that we know it to have."""


def resolve(node: Node, check: Check) -> list[Any]:
    """The address as the sockets want it. Raises NodeUnreachable when a name cannot be resolved in time."""
    with contextlib.suppress(ValueError):
        version = ipaddress.ip_address(node.address).version
        family = socket.AF_INET if version == 4 else socket.AF_INET6
        return [(family, (node.address, node.port))]
    found: list[Any] = []
    failed: list[OSError] = []

    def look() -> None:
        try:
            for item in socket.getaddrinfo(node.address, node.port, type=socket.SOCK_STREAM):
                found.append((item[0], item[4]))
        except OSError as error:
            failed.append(error)

    thread = threading.Thread(target=look, daemon=True)  # the resolver itself knows no deadline
    thread.start()
    end = time.monotonic() + REACH
    while thread.is_alive() and time.monotonic() < end:
        thread.join(STEP)
        check()
    if failed:
        raise unreachable(
            node,
            f"the name {node.address} cannot be resolved ({failed[0].strerror or failed[0]})",
            "check the name and this machine's DNS, or give the node an address in cluster.yaml",
        ) from failed[0]
    if not found or thread.is_alive():
        raise unreachable(node, f"the name {node.address} was not resolved within {REACH:.0f} s", "check your DNS")
    return found


def reach(node: Node, limit: float, check: Check) -> socket.socket:
    """A connection to it. Raises NodeUnreachable."""
    if not node.address:
        raise unreachable(node, "it has no address yet", "see infra node list")
    limit = max(1.0, min(limit, REACH))
    last = errno.ETIMEDOUT
    for family, place in resolve(node, check):
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            last = _connected(sock, place, limit, check)
        except BaseException:
            sock.close()
            raise
        if last == 0:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return sock
        sock.close()
    if last == errno.ETIMEDOUT:
        raise unreachable(node, f"no answer within {limit:.0f} s")
    if last == errno.ECONNREFUSED:
        raise unreachable(node, f"nothing listens on port {node.port}", "check that sshd runs there, and on that port")
    raise unreachable(node, os.strerror(last))


def _connected(sock: socket.socket, place: Any, limit: float, check: Check) -> int:
    """0, or the errno of why not."""
    sock.setblocking(False)
    code = sock.connect_ex(place)
    if code != errno.EINPROGRESS:
        return code
    waiter = select.poll()
    waiter.register(sock, select.POLLOUT)
    end = time.monotonic() + limit
    while not waiter.poll(STEP * 1000):
        check()
        if time.monotonic() > end:
            return errno.ETIMEDOUT
    return sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)


def through(bastion: Transport, node: Node) -> Any:
    """The same by way of a jump host that we are logged in to."""
    try:
        return bastion.open_channel("direct-tcpip", (node.address, node.port), ("127.0.0.1", 0), timeout=REACH)
    except (paramiko.SSHException, OSError, EOFError) as error:
        why = f"the jump host {node.jump} cannot connect to it ({error or 'no answer'})"
        raise unreachable(node, why, "check the address as the jump host sees it, and that it may forward") from error


def greet(node: Node, sock: Any, judge: trust.Judge, limit: float, made: Callable[[Transport], None]) -> Transport:
    """A transport whose far end has proven to be ``node``. Nothing was sent that it could use.

    ``made`` gets the transport before it waits for anything. Raises NodeUnreachable, HostKeyError, HungUp when another
    try may do, and OtherTypes.
    """
    kinds = _wanted(judge, node)
    transport = Transport(sock, kinds)
    try:
        made(transport)
    except BaseException:
        sock.close()
        raise
    limit = max(1.0, min(limit, GREET))
    transport.banner_timeout = transport.handshake_timeout = limit + 1
    transport.auth_timeout = LOGIN
    try:
        _start(transport, node, limit)
        judge.judge(node, *transport.shown())
        if not transport.is_active():  # a person was asked meanwhile, and took longer than it waits
            raise HungUp
    except BaseException:
        transport.end()
        raise
    return transport


def _wanted(judge: trust.Judge, node: Node) -> tuple[str, ...]:
    """The types of key to ask for: those that we know the machine to have, so that no other comes in their place."""
    known = {key.type for key in judge.known(node)}
    if known:
        return tuple(kind for kind in PLAIN if ("ssh-rsa" if kind.startswith("rsa-") else kind) in known) or PLAIN
    return (*CERTIFIED, *PLAIN) if judge.authorities else PLAIN


def _start(transport: Transport, node: Node, limit: float) -> None:
    begun = time.monotonic()
    try:
        transport.start_client(timeout=limit)
        if transport.is_active() and transport.initial_kex_done:
            return
        cause: Exception = paramiko.SSHException("")
    except (paramiko.SSHException, OSError, EOFError) as error:
        cause = error
    late = time.monotonic() - begun >= limit - 0.5
    version = transport.remote_version
    if "no acceptable host key" in str(cause):
        raise OtherTypes from cause
    if late and not version:
        why = f"something listens on port {node.port}, but said no SSH banner within {limit:.0f} s"
        raise unreachable(node, why, "look at that machine: sshd hangs, or is overloaded") from cause
    if late:
        why = f"{version} answered, and then hung in the key exchange for {limit:.0f} s"
        raise unreachable(node, why) from cause
    if not version and "ndecipherable" in str(cause):
        raise unreachable(node, f"what listens on port {node.port} is no SSH server ({cause})") from cause
    if not version:
        raise HungUp from cause
    raise unreachable(node, f"the key exchange failed ({cause or 'it hung up'})") from cause


def shown_instead(node: Node, sock: Any) -> tuple[str, bytes]:
    """The key (type and blob) that it shows to whoever asks for any type, to be told to the user."""
    transport = Transport(sock, PLAIN)
    try:
        _start(transport, node, GREET)
        return transport.shown()
    finally:
        transport.end()


def unreachable(node: Node, why: str, fix: str = "") -> NodeUnreachable:
    return NodeUnreachable(
        f"{node.name} cannot be reached",
        where=node.where or node.login,
        why=f"{node.login}: {why}",
        fix=(fix or "check that it is on, its address and port, and the network in between")
        + "; then run the same command again",
    )
