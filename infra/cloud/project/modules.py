"""The Terraform modules: HCL sources in which lines starting with ``#%`` choose between provider lines.

A source is itself valid HCL for ``terraform fmt``: the only template syntax is Jinja's line statements
(``#% if provider_major >= 6`` … ``#% else`` … ``#% endif``), which HCL reads as comments. All other delimiters are
set to characters that no source can contain.
"""

from __future__ import annotations

import contextlib
import shutil
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from infra import __version__, assets, files
from infra.cloud.project.provider import ProviderLine
from infra.errors import FileError

if TYPE_CHECKING:
    from jinja2 import Environment

FOLDER = "modules"
MARK = "#%"
SUFFIXES = (".tf", ".tftpl")
STAMP = ".rendered"


def sources() -> dict[str, str]:
    """The text of every module source by its path below the modules folder, sorted (``pool/main.tf``)."""
    top = assets.root("terraform") / FOLDER
    found = sorted(path for path in top.glob("*/*") if path.suffix in SUFFIXES)
    return {path.relative_to(top).as_posix(): files.read_text(path) for path in found}


def sources_digest() -> str:
    """sha256 hex of all module sources: changes exactly when one of them does."""
    return files.digest(sources())


def rendered(major: int) -> dict[str, str]:
    """The modules for one major version of the provider, by path below the modules folder."""
    return {path: _rendered(text, major) for path, text in sources().items()}


def render(line: ProviderLine, into: Path) -> None:
    """Write the modules for ``line`` into the folder ``into`` (as ``into/<name>/*.tf``).

    A file that is already right is not touched; what does not belong there is removed. Raises FileError. Rendering
    takes a fifth of a second with Jinja's import, so a stamp says what the folder was rendered from and what it held.
    """
    stamp = into / STAMP
    source = files.digest([line.major, sources(), __version__])
    if stamp.is_file() and files.read_text(stamp) == f"{source} {files.digest(_held(into))}\n":
        return
    wanted = {into / path: text for path, text in rendered(line.major).items()}
    for path, text in wanted.items():
        if not path.is_file() or files.read_text(path) != text:
            files.write_text(path, text)
    _remove_stale(into, {*wanted, stamp})
    files.write_text(stamp, f"{source} {files.digest(_held(into))}\n")


def _held(top: Path) -> dict[str, str]:
    """What is in the folder beside the stamp: sha256 hex by path, '' for what is no readable file."""
    found = {}
    for path in sorted(top.rglob("*")):
        if path.name != STAMP:
            with contextlib.suppress(OSError):
                found[path.relative_to(top).as_posix()] = files.digest(path.read_bytes()) if path.is_file() else ""
    return found


@lru_cache(maxsize=256)
def _rendered(text: str, major: int) -> str:
    if MARK not in text:
        return text
    return environment().from_string(text).render(provider_major=major)


@lru_cache(maxsize=2)
def environment(variable_start: str = "\x02=", variable_end: str = "=\x02") -> Environment:
    """Jinja for HCL: line statements, and values between the given marks; by default none that a file can hold."""
    from jinja2 import Environment, StrictUndefined

    return Environment(
        line_statement_prefix=MARK,
        block_start_string="\x01%",
        block_end_string="%\x01",
        variable_start_string=variable_start,
        variable_end_string=variable_end,
        comment_start_string="\x03#",
        comment_end_string="#\x03",
        keep_trailing_newline=True,
        undefined=StrictUndefined,
        autoescape=False,
    )


def _remove_stale(top: Path, wanted: set[Path]) -> None:
    folders = {path.parent for path in wanted}
    try:
        for path in sorted(top.rglob("*"), reverse=True):
            if path.is_dir() and not path.is_symlink():
                if path not in folders:
                    shutil.rmtree(path)
            elif path not in wanted:
                path.unlink()
    except OSError as error:
        raise FileError(
            f"cannot remove what does not belong into {top}",
            where=str(error.filename or top),
            why=error.strerror or str(error),
            fix="give yourself permission to write there, or remove the folder; infra writes it again",
        ) from error
