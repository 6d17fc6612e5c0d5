"""The shell scripts that are run on a node: they ship beside this file, as POSIX sh."""

from __future__ import annotations

import functools
from pathlib import Path

from infra.errors import AssetError

FOLDER = Path(__file__).with_name("remote")


@functools.cache
def text(name: str) -> str:
    """The script ``remote/<name>.sh``. Raises AssetError when the installation lacks it."""
    path = FOLDER / f"{name}.sh"
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise AssetError(
            f"the script {name}.sh that ships with infra is missing",
            where=str(path),
            why=error.strerror or str(error),
            fix="reinstall: pip install --force-reinstall infra",
        ) from error
