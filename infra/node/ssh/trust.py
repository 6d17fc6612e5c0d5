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
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from infra.errors import HostKeyError
from infra.files import explain, read_text, write_text
from infra.node.model import Node
from infra.node.ssh import certificate

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

    def pin(self, node: Node, key: str, *, instead: bool = False) -> None:
        """Believe from now on that this machine's key is ``key`` (``type base64``), ``instead`` of those pinned."""
        with self._lock, self._alone():
            kind, data = key.split()[:2]
            line = f"{node.ident} {kind} {data}"
            before = self._lines()
            lines = [item for item in before if not (instead and item.split()[:1] == [node.ident])]
            if line not in lines:
                lines.append(line)
            self._write(before, lines)

    def forget(self, node: Node) -> int:
        """Remove a machine's pinned keys; how many there were."""
        with self._lock, self._alone():
            before = self._lines()
            lines = [item for item in before if item.split()[:1] != [node.ident]]
            self._write(before, lines)
            return len(before) - len(lines)

    def _lines(self) -> list[str]:
        return read_text(self.path).splitlines() if self.path.exists() else []

    def _write(self, before: list[str], lines: list[str]) -> None:
        if lines != before:
            write_text(self.path, "".join(line + "\n" for line in lines), mode=0o600)
        self._stamp = None

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
                fcntl.flock(file, fcntl.LOCK_EX)  # held for one read and one write
                yield
        except OSError as error:
            raise explain("write", self.path, error) from error


@dataclass(frozen=True, slots=True)
class Judge:
    """Decides whether a key is a machine's: by what vouches for it, by its pin, by a CA, or by asking.

    ``authorities`` are CAs' public keys. ``accepted`` are fingerprints that the user named for this very run: they may
    replace a pin, but never what cluster.yaml or AWS says.
    """

    pins: Pins
    authorities: tuple[str, ...] = ()
    accepted: frozenset[str] = frozenset()
    confirm: Confirm | None = None

    def known(self, node: Node) -> list[Known]:
        return self.pins.known(node)

    def judge(self, node: Node, kind: str, blob: bytes) -> None:
        """Raise HostKeyError unless this key (a certificate's blob when ``kind`` says so) is the machine's.

        One that is confirmed now is pinned. Nothing has been sent to the machine yet.
        """
        known = self.known(node)
        doubt = ""
        shown = certificate.plain(blob) if certificate.is_certificate(kind) else text(blob)
        if shown in (key.text for key in known):
            return
        if certificate.is_certificate(kind) and not known:
            doubt = certificate.refused(blob, self.authorities, (node.name, node.address, node.ident))
            if not doubt:
                return
        seen = fingerprint(shown)
        if known and not (seen in self.accepted and not node.host_keys):
            raise changed(node, known, shown)
        if seen in self.accepted or (self.confirm is not None and self.confirm(node, seen)):
            self.pins.pin(node, shown, instead=bool(known))
            return
        raise unknown(node, shown, doubt)


def text(blob: bytes) -> str:
    """A key's blob as ``type base64``."""
    size = int.from_bytes(blob[:4], "big")
    return f"{blob[4 : 4 + size].decode('ascii', 'replace')} {base64.b64encode(blob).decode()}"


def changed(node: Node, known: Sequence[Known], shown: str) -> HostKeyError:
    """Another key than the one we know, with both fingerprints."""
    expected = next((key for key in known if key.type == shown.split()[0]), known[0])
    seen = fingerprint(shown)
    fix = f"correct or remove host_key of {node.name} there"
    if not node.host_keys:
        fix = f"run it again with --accept-host-key {seen}, which takes the place of the old key"
    elif node.instance:
        fix = "an instance's key comes from its console output: if it was made anew, restart the instance"
    return HostKeyError(
        f"{node.name} shows another host key than the one we know",
        where=expected.where,
        why=f"known: {expected.fingerprint} ({expected.type}), shown by {node.login}: {seen} ({shown.split()[0]}). "
        "It is another machine, or was installed anew. Nothing was sent to it",
        fix=f"ask who looks after it. If the new key is right: {fix}",
    )


def unknown(node: Node, shown: str, doubt: str = "") -> HostKeyError:
    """A key that nothing vouches for."""
    seen = fingerprint(shown)
    why = f"its certificate does not prove it: {doubt}" if doubt else "nothing vouches for it"
    kind = shown.split()[0].removeprefix("ssh-").partition("-")[0]
    return HostKeyError(
        f"the host key of {node.name} is not known yet",
        where=node.where or node.login,
        why=f"{node.login} shows {seen} ({shown.split()[0]}), and {why}",
        fix=f"compare it at the machine's console (ssh-keygen -lf /etc/ssh/ssh_host_{kind}_key.pub), then run it again "
        f"with --accept-host-key {seen}, or write in cluster.yaml: host_key: {shown}",
    )
