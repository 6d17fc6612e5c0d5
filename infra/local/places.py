"""Where the embedded AWS keeps its files: a cache that may be thrown away, and the state of the running server."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def cache() -> Path:
    """The folder for what can be made again (the unpacked provider): ``$XDG_CACHE_HOME/infra``, ``~/.cache/infra``."""
    return _base("XDG_CACHE_HOME", ".cache") / "infra"


def state() -> Path:
    """The folder of the server's record, lock and log. ``INFRA_LOCAL_DIR`` overrides it, so that tests run apart."""
    override = os.environ.get("INFRA_LOCAL_DIR")
    if override:
        return Path(override).absolute()
    return _base("XDG_STATE_HOME", ".local/state") / "infra" / "local"


def _base(variable: str, under_home: str) -> Path:
    """The XDG folder. The standard says that a relative value is to be ignored; without a home, a private /tmp one."""
    value = os.environ.get(variable, "")
    if value.startswith("/"):
        return Path(value)
    home = os.environ.get("HOME") or _passwd_home()
    if home and home != "/" and Path(home).is_dir():
        return Path(home) / under_home
    return Path(tempfile.gettempdir()) / f"infra-{os.getuid()}" / under_home.lstrip(".")


def _passwd_home() -> str:
    try:
        return str(Path.home())
    except RuntimeError:  # no HOME, and an account that the password file does not name
        return ""


def prices() -> Path:
    """The list prices that were fetched last."""
    return cache() / "prices.json"
