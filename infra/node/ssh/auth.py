"""How we prove who we are: keys of an agent, key files, a password; and the password of sudo. Asked once, never kept.

``ask`` is called with what is wanted ("password of ops") and gives the secret; None: there is nobody to ask.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from infra.proc import SECRETS

SUDO_VARIABLE = "INFRA_SUDO_PASSWORD"
USUAL = ("id_ed25519", "id_ecdsa", "id_rsa")
Ask = Callable[[str], str]


def _home() -> Path:
    return Path.home() / ".ssh"


@dataclass
class Auth:
    """What may be tried: ``identities`` (named key files), an ``agent``'s keys, what ``config`` (the user's
    ~/.ssh/config) names, the ``usual`` key files when none was named, and a password.

    ``sudo`` is its password, from INFRA_SUDO_PASSWORD unless given; "" for none.
    """

    identities: Sequence[Path] = ()
    agent: bool = True
    usual: bool = True
    config: Path | None = field(default_factory=lambda: _home() / "config")
    ask: Ask | None = None
    password: str = ""
    sudo: str = field(default_factory=lambda: os.environ.get(SUDO_VARIABLE, ""))
    _answers: dict[str, str] = field(default_factory=dict, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def __post_init__(self) -> None:
        SECRETS.add(self.password)
        SECRETS.add(self.sudo)

    def usual_files(self) -> list[Path]:
        """The key files that ssh tries when none is named."""
        return [path for name in USUAL if (path := _home() / name).is_file()] if self.usual else []

    def secret(self, what: str) -> str:
        """A secret, asked for once however many want it; "" when there is nobody to ask."""
        with self._lock:
            if what not in self._answers:
                self._answers[what] = self.ask(what) if self.ask else ""
                SECRETS.add(self._answers[what])
            return self._answers[what]

    def login_password(self, user: str) -> str:
        return self.password or self.secret(f"password of {user}")

    def sudo_password(self) -> str:
        return self.sudo or self.secret("sudo password")
