"""Whom we believe to be which machine: host keys that the file or AWS vouches for, and those that were pinned.

Pins are a ``known_hosts`` file as OpenSSH has it, with a machine's ident where OpenSSH has an address (its
``HostKeyAlias``): an address that another machine gets later means nothing.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import fcntl
import hashlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from infra.errors import HostKeyError
from infra.files import explain, read_text, write_text
from infra.node.model import Node

NAME = "known_hosts"
# (node, fingerprint) -> is it this machine's?
Confirm = Callable[[Node, str], bool]


@dataclass(frozen=True, slots=True)
class Known:
    """A key we know: its ``type``, its ``data`` (base64), and ``where`` we have it from."""

    type: str
    data: str
    where: str

    @property
    def text(self) -> str:
        return f"{self.type} {self.data}"

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.text)


def fingerprint(key: str) -> str:
    """``SHA256:…`` of a key given as ``type base64``, as ssh-keygen shows it."""
    try:
        raw = base64.b64decode(key.split()[1], validate=True)
    except (IndexError, binascii.Error, ValueError):
        return "SHA256:(not a key)"
    return "SHA256:" + base64.b64encode(hashlib.sha256(raw).digest()).decode().rstrip("=")


class Pins:
    """The pinned keys of one cluster. Safe for threads and for other processes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._stamp: tuple[int, int] | None = None
        self._keys: dict[str, list[Known]] = {}

    @classmethod
    def of(cls, work: Path) -> Pins:
        """Those in a cluster's work folder."""
        return cls(work / NAME)

    def known(self, node: Node) -> list[Known]:
        """The keys that this machine may show: those that the file or AWS vouches for, else those pinned."""
        vouched = []
        for text in node.host_keys:
            kind, _, data = text.partition(" ")
            vouched.append(Known(kind, data.split()[0] if data else "", node.where or "the cluster's description"))
        return vouched or self.pinned(node)

    def pinned(self, node: Node) -> list[Known]:
        with self._lock:
            self._read()
            return list(self._keys.get(node.ident, ()))

    def pin(self, node: Node, key: str) -> None:
        """Believe from now on that this machine's key is ``key`` (``type base64``)."""
        with self._lock, self._alone():
            kind, data = key.split()[:2]
            text = read_text(self.path) if self.path.exists() else ""
            lines = text.splitlines()
            line = f"{node.ident} {kind} {data}"
            if line not in lines:
                write_text(self.path, "\n".join([*lines, line]) + "\n", mode=0o600)
            self._stamp = None

    def forget(self, node: Node) -> int:
        """Remove a machine's pinned keys; how many there were."""
        with self._lock, self._alone():
            text = read_text(self.path) if self.path.exists() else ""
            lines = text.splitlines()
            kept = [line for line in lines if line.split(" ")[0] != node.ident]
            if len(kept) != len(lines):
                write_text(self.path, "".join(line + "\n" for line in kept), mode=0o600)
            self._stamp = None
            return len(lines) - len(kept)

    def _read(self) -> None:
        """Read the file when it is another one than before."""
        try:
            state = self.path.stat()
        except FileNotFoundError:
            self._keys, self._stamp = {}, None
            return
        except OSError as error:
            raise explain("read", self.path, error) from error
        stamp = (state.st_mtime_ns, state.st_ino)
        if stamp == self._stamp:
            return
        keys: dict[str, list[Known]] = {}
        for number, line in enumerate(read_text(self.path).splitlines(), 1):
            words = line.split()
            if len(words) >= 3 and not line.startswith("#"):
                keys.setdefault(words[0], []).append(Known(words[1], words[2], f"{self.path}:{number}"))
        self._keys, self._stamp = keys, stamp

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """No other process writes the file meanwhile."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.with_name(self.path.name + ".lock").open("w") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                yield
        except OSError as error:
            raise explain("write", self.path, error) from error


def check(node: Node, shown: str, pins: Pins, confirm: Confirm | None) -> None:
    """Raise HostKeyError unless ``shown`` (``type base64``) is this machine's key; one confirmed now is pinned."""
    known = pins.known(node)
    if shown in (key.text for key in known):
        return
    seen = fingerprint(shown)
    if known:
        expected = known[0]
        raise HostKeyError(
            f"{node.name} shows another host key than the one we know",
            where=expected.where,
            why=f"known: {expected.fingerprint} ({expected.type}); shown: {seen} ({shown.split()[0]}) by {node.login}. "
            "It is another machine, or it was installed anew; nothing was sent to it",
            fix="ask whoever looks after it; if the new key is right, take the old one out of that place "
            "and run the command again",
        )
    if confirm is not None and confirm(node, seen):
        pins.pin(node, shown)
        return
    raise HostKeyError(
        f"the host key of {node.name} is not known yet",
        where=node.where,
        why=f"{node.login} shows {shown.split()[0]} {seen}, and nothing vouches for it",
        fix=f"compare it on the machine's console (ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub), then run again "
        f"with --accept-host-key {seen}, or write host_key: {shown} in cluster.yaml",
    )
