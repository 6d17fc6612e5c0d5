"""Logging in: which keys are tried, in which order, and what was tried when none was taken."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import paramiko
from cryptography.exceptions import UnsupportedAlgorithm
from paramiko.pkey import UnknownKeyType

from infra.errors import FileError, LoginRefused
from infra.node.model import Node
from infra.node.ssh.auth import Auth

Login = Literal["key", "password", "certificate", "agent"]
TRIES = 5  # sshd hangs up after the sixth, and a password is one too


class _Agent(paramiko.Agent):  # type: ignore[misc]
    """One connection to the agent for all threads."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        super().__init__()

    def _send_message(self, msg: Any) -> Any:
        with self._turn:
            return super()._send_message(msg)


@dataclass(frozen=True, slots=True)
class Candidate:
    login: Login
    name: str
    key: Any


class Keys:
    """The keys at hand, each loaded once for all nodes. The one that a user's account took is tried first next time."""

    def __init__(self, auth: Auth) -> None:
        self.auth = auth
        self._lock = threading.RLock()
        self._files: dict[Path, Candidate | None] = {}
        self._agent: _Agent | None = None
        self._good: dict[str, Candidate] = {}

    def close(self) -> None:
        with self._lock:
            if self._agent is not None:
                self._agent.close()
                self._agent = None
            self._good = {user: item for user, item in self._good.items() if item.login != "agent"}

    def took(self, user: str, candidate: Candidate) -> None:
        self._good[user] = candidate

    def candidates(self, user: str, more: Sequence[Path], only: bool) -> Iterator[Candidate]:
        """Keys to try: what worked before, files that are named, the agent's, the usual files; those with a
        passphrase last, because the agent may hold them too."""
        given = [path.expanduser() for path in (*self.auth.identities, *more)]
        named = list(dict.fromkeys((*(path for path in given if path.is_file() or path in self.auth.identities),)))
        files = named or ([] if only else self.auth.usual_files())
        offered: set[bytes] = set()

        def fresh(candidate: Candidate | None) -> bool:
            if candidate is None or (blob := bytes(candidate.key.asbytes())) in offered:
                return False
            offered.add(blob)
            return True

        good = self._good.get(user)
        if good is not None and fresh(good):
            yield good
        for path in named:
            if (loaded := self._load(path)) and fresh(loaded):
                yield loaded
        allowed = {raw for path in named if (raw := _public(path))} if only else None
        for candidate in self._agents():
            if (allowed is None or candidate.key.asbytes() in allowed) and fresh(candidate):
                yield candidate
        for path in () if named else files:
            with contextlib.suppress(FileError):  # nobody named it: one that is of no use is no matter
                if (loaded := self._load(path)) and fresh(loaded):
                    yield loaded
        for path in self.locked(files) if self.auth.ask else ():
            if _public(path) not in offered and (loaded := self._load(path, ask=True)) and fresh(loaded):
                yield loaded

    def locked(self, files: Iterable[Path]) -> list[Path]:
        """Those with a passphrase that was not asked for yet."""
        return [path for path in files if self._files.get(path, ...) is None]

    def _agents(self) -> list[Candidate]:
        if not self.auth.agent:
            return []
        with self._lock:
            try:
                self._agent = self._agent or _Agent()
            except (paramiko.SSHException, OSError):
                return []
            return [Candidate("agent", f"agent: {key.comment or key.name}", key) for key in self._agent.get_keys()]

    def _load(self, path: Path, ask: bool = False) -> Candidate | None:
        """The key in a file; None when it has a passphrase and may not be asked for. Raises FileError."""
        with self._lock:
            if ask or path not in self._files:
                self._files[path] = self._read(path, ask)
            return self._files[path]

    def _read(self, path: Path, ask: bool) -> Candidate | None:
        try:
            secret = self.auth.secret(f"passphrase of {path}").encode() if ask else None
            key = paramiko.PKey.from_path(str(path), secret)
        except TypeError:  # it has a passphrase
            if ask:
                raise _unusable(path, "it has a passphrase") from None
            return None
        except (OSError, ValueError, paramiko.SSHException, UnknownKeyType, UnsupportedAlgorithm) as error:
            why = "the passphrase is wrong" if ask and isinstance(error, ValueError) else str(error)
            raise _unusable(path, why) from error
        return Candidate("certificate" if key.public_blob else "key", str(path), key)


def _unusable(path: Path, why: str) -> FileError:
    return FileError(
        f"the key {path} cannot be used",
        where=str(path),
        why=why,
        fix="name another key with --identity, or add this one to ssh-agent: ssh-add",
    )


def _public(path: Path) -> bytes:
    """The public half that lies beside a private key; empty when it does not."""
    try:
        return bytes(paramiko.PublicBlob.from_file(f"{path}.pub").key_blob)
    except (OSError, ValueError, IndexError):
        return b""


def log_in(transport: Any, node: Node, keys: Keys, more: Sequence[Path], only: bool) -> Login:
    """Prove who we are. Raises LoginRefused, and what paramiko raises when the link breaks."""
    tried: list[str] = []
    further: list[str] = []
    for candidate in keys.candidates(node.user, more, only):
        if len(tried) == TRIES:
            break
        tried.append(candidate.name)
        further = _attempt(transport.auth_publickey, node.user, candidate.key)
        if transport.is_authenticated():
            keys.took(node.user, candidate)
            return candidate.login
        if not transport.is_active():
            raise _refused(node, tried, transport.farewell or "it hung up")
        if further:  # the key was right, and it wants a password too
            break
    password = keys.auth.login_password(node.user) if not further or "password" in further else ""
    if password:
        tried.append("password")
        _attempt(transport.auth_password, node.user, password)
        if transport.is_authenticated():
            return "password"
    raise _refused(node, tried, transport.farewell, keys.locked(keys._files))


def _attempt(attempt: Callable[[str, Any], list[str]], user: str, proof: Any) -> list[str]:
    """The further methods that are wanted after a success in part."""
    try:
        return attempt(user, proof)
    except paramiko.AuthenticationException as error:
        if "timeout" in str(error).lower():
            raise paramiko.SSHException("the login was not answered") from error
        return []


def _refused(node: Node, tried: Sequence[str], farewell: str = "", locked: Sequence[Path] = ()) -> LoginRefused:
    why = f"refused: {', '.join(tried)}" if tried else "there was no key, agent or password to try"
    if locked:
        why += f"; not tried, because of its passphrase: {', '.join(str(path) for path in locked)}"
    fix = f"put your public key into ~{node.user}/.ssh/authorized_keys there, or name the right key with --identity"
    return LoginRefused(
        f"{node.name} does not let {node.user} in",
        where=node.where or node.login,
        why=f"{node.login}: {why}" + (f" ({farewell})" if farewell else ""),
        fix=f"give the passphrase to your agent: ssh-add {locked[0]}; or {fix}" if locked else fix,
    )
