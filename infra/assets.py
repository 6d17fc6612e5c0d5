"""Where the files that ship beside the code are: in a wheel under ``infra/_assets``, in a checkout at the top."""

from __future__ import annotations

from pathlib import Path

from infra.errors import AssetError


def root(name: str) -> Path:
    """The folder ``terraform``, ``packer`` or ``chef``. Raises AssetError when the installation lacks it."""
    here = Path(__file__).resolve().parent
    for folder in (here / "_assets" / name, here.parent / name):
        if folder.is_dir():
            return folder
    raise AssetError(
        f"the folder {name!r} that ships with infra is missing",
        where=str(here),
        why="the installation is incomplete",
        fix="reinstall: pip install --force-reinstall infra",
    )
