"""A transport to one machine: reached, its host key checked before anything is sent, and logged in to."""

from __future__ import annotations

import logging
import socket
import time
from pathlib import Path
from typing import Any, Literal

import paramiko

from infra.errors import FileError, LoginRefused, NodeUnreachable
from infra.node import trust
from infra.node.auth import Auth
from infra.node.model import Node

Login = Literal["key", "password", "certificate", "agent"]
CONNECT = 15.0  # seconds for each of: the connection, the banner and the key exchange, the login
KEEPALIVE = 10
ECDSA = tuple(f"ecdsa-sha2-nistp{bits}" for bits in (256, 384, 521))
ORDER = ("ssh-ed25519", *ECDSA, "rsa-sha2-512", "rsa-sha2-256")

logging.getLogger("paramiko").addHandler(logging.NullHandler())


def open_link(
    node: Node, pins: trust.Pins, confirm: trust.Confirm | None, *, sock: Any = None, deadline: float = CONNECT
) -> paramiko.Transport:
    """A transport whose far end has proven to be ``node``. Raises NodeUnreachable and HostKeyError."""
    sock = sock or _reach(node, deadline)
    transport = paramiko.Transport(sock)
    transport.daemon = True
    transport.banner_timeout = transport.auth_timeout = transport.handshake_timeout = deadline
    known = {key.type for key in pins.known(node)}
    types = [kind for kind in ORDER if not known or kind in known or (kind.startswith("rsa-") and "ssh-rsa" in known)]
    transport.get_security_options().key_types = types or list(ORDER)
    try:
        transport.start_client(timeout=deadline)
        if not transport.is_active():
            raise paramiko.SSHException("no answer")
        key = transport.get_remote_server_key()
        trust.check(node, f"{key.get_name()} {key.get_base64()}", pins, confirm)
    except (paramiko.SSHException, OSError, EOFError) as error:
        transport.close()
        raise unreachable(node, str(error) or type(error).__name__) from error
    except BaseException:
        transport.close()
        raise
    transport.set_keepalive(KEEPALIVE)
    return transport


def log_in(transport: paramiko.Transport, node: Node, auth: Auth) -> Login:
    """Prove who we are. Raises LoginRefused."""
    tried = []
    try:
        for kind, name, key in _keys(auth):
            tried.append(name)
            if _accepted(lambda key=key: transport.auth_publickey(node.user, key)):
                return "certificate" if getattr(key, "public_blob", None) and kind == "key" else kind
        password = auth.password or (auth.secret(f"password of {node.user}") if auth.ask else "")
        if password:
            tried.append("password")
            if _accepted(lambda: transport.auth_password(node.user, password)):
                return "password"
    except (paramiko.SSHException, OSError, EOFError) as error:
        transport.close()
        raise unreachable(node, str(error) or type(error).__name__) from error
    transport.close()
    raise LoginRefused(
        f"{node.name} does not let {node.user} in",
        where=node.where,
        why=f"{node.login} refused: {', '.join(tried) or 'no key, agent or password was there to try'}",
        fix=f"put your public key into ~{node.user}/.ssh/authorized_keys there, or name the right key with --identity",
    )


def _accepted(attempt: Any) -> bool:
    try:
        return not attempt()
    except paramiko.AuthenticationException:
        return False


def _keys(auth: Auth) -> Any:
    named = list(auth.identities)
    for path in named:
        yield "key", str(path), load(path, auth)
    if auth.agent:
        for key in paramiko.Agent().get_keys():
            yield "agent", "agent key", key
    for path in auth.files():
        if path not in named:
            yield "key", str(path), load(path, auth)


def load(path: Path, auth: Auth) -> paramiko.PKey:
    try:
        try:
            return paramiko.PKey.from_path(path)
        except (TypeError, paramiko.PasswordRequiredException):
            return paramiko.PKey.from_path(path, auth.secret(f"passphrase of {path}").encode())
    except (OSError, ValueError, paramiko.SSHException) as error:
        raise FileError(
            f"the key {path} cannot be used",
            where=str(path),
            why=str(error),
            fix="name another key with --identity, or add it to ssh-agent",
        ) from error


def _reach(node: Node, deadline: float) -> socket.socket:
    if not node.address:
        raise unreachable(node, "it has no address")
    try:
        return socket.create_connection((node.address, node.port), timeout=deadline)
    except OSError as error:
        raise unreachable(node, error.strerror or str(error)) from error


def unreachable(node: Node, why: str) -> NodeUnreachable:
    return NodeUnreachable(
        f"{node.name} cannot be reached",
        where=node.where,
        why=f"{node.login}: {why}",
        fix="check that it is on, its address and port, and the network in between; then run the same command again",
    )


def remaining(end: float) -> float:
    return max(0.0, end - time.monotonic())
