"""How we prove who we are: keys of an agent, key files, a password; and the password of sudo. Asked once, never kept.

``ask`` is called with what is wanted ("password of ops@titan-01") and gives the secret; None stands for nobody to ask.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from infra.proc import SECRETS

SUDO_VARIABLE = "INFRA_SUDO_PASSWORD"
DEFAULTS = ("id_ed25519", "id_ecdsa", "id_rsa")
Ask = Callable[[str], str]


@dataclass
class Auth:
    """What we may try, in this order: ``identities``, an agent's keys, the usual key files, a password."""

    identities: Sequence[Path] = ()
    agent: bool = True
    defaults: bool = True
    ask: Ask | None = None
    password: str = ""
    sudo: str = field(default_factory=lambda: os.environ.get(SUDO_VARIABLE, ""))
    _answers: dict[str, str] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        SECRETS.add(self.password)
        SECRETS.add(self.sudo)

    def files(self) -> list[Path]:
        """Private key files to try, those named first."""
        usual = [Path.home() / ".ssh" / name for name in DEFAULTS] if self.defaults and not self.identities else []
        return [*self.identities, *(path for path in usual if path.is_file())]

    def secret(self, what: str) -> str:
        """A secret, asked for once; "" when there is nobody to ask."""
        with self._lock:
            if what not in self._answers:
                self._answers[what] = self.ask(what) if self.ask else ""
                SECRETS.add(self._answers[what])
            return self._answers[what]

    def sudo_password(self) -> str:
        return self.sudo or self.secret("sudo password")
