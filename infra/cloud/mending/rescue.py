"""Files that a kill or a full disk damaged: the local state, a state that was not written at all, ``.terraform``.

Terraform writes its local state in place, so a kill at the wrong moment leaves it cut off or empty. Before each apply,
and after one that ended well, we therefore keep a copy that is written whole or not at all. What was made since that
copy is found in AWS again (see :mod:`infra.cloud.mending.recovery`).
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from infra import files
from infra.cloud.terraform import Terraform
from infra.cloud.work import READY
from infra.errors import InfraError

STATE = "terraform.tfstate"
GOOD = "terraform.tfstate.good"  # ours
BACKUP = "terraform.tfstate.backup"  # Terraform's, of before the last apply; not written atomically
BROKEN = "terraform.tfstate.broken"
ERRORED = "errored.tfstate"  # where Terraform puts a state that it could not write where it belongs
KEPT = "errored.tfstate.kept"


def keep(folder: Path) -> None:
    """Keep a copy of the local state. Nothing is done for a state that is elsewhere."""
    path = folder / STATE
    if path.is_file() and (raw := _raw(path)) and _read(raw) is not None:
        files.write_bytes(folder / GOOD, raw, mode=0o600)


def mend(folder: Path, region: str) -> str:
    """Bring back a damaged local state; a sentence on what was done, '' when there was nothing to do."""
    path = folder / STATE
    if not path.is_file():
        return ""
    raw = _raw(path)
    if _read(raw) is not None:
        return ""
    best = _newest([folder / GOOD, folder / BACKUP])
    if best is None and not raw.strip():
        return ""  # Terraform makes the file before it has anything to write into it
    what = "empty" if not raw.strip() else f"damaged (kept as {BROKEN})"
    if raw.strip():
        files.write_bytes(folder / BROKEN, raw, mode=0o600)
    if best is None:
        path.unlink()
        return f"{region}: the state was {what} and there is no older one: what it knew is looked for in AWS"
    good, data = best
    files.write_bytes(path, good.read_bytes(), mode=0o600)
    count = sum(len(item.get("instances", [])) for item in data.get("resources", []) if item.get("mode") == "managed")
    return (
        f"{region}: the state was {what}; the last good one is back ({good.name}, {count} resources), what was made "
        "since is looked for in AWS"
    )


def push_errored(terraform: Terraform) -> str:
    """Bring a state that Terraform could not write (no network, a full disk) to where it belongs; what was done.

    Raises nothing: a state that is refused, being older than the one in place, is kept and said.
    """
    path = terraform.folder / ERRORED
    if not path.is_file():
        return ""
    region = terraform.folder.name
    if _read(_raw(path)) is None:
        path.replace(path.with_name(KEPT))
        return f"{region}: {ERRORED}, which an apply left, is damaged (kept as {KEPT})"
    try:
        terraform.push(ERRORED)
    except InfraError as error:
        path.replace(path.with_name(KEPT))
        return f"{region}: {ERRORED}, which an apply left, was not taken: {error} (kept as {KEPT})"
    path.unlink()
    return f"{region}: the state that an apply could not write ({ERRORED}) is where it belongs now"


def before_init(folder: Path) -> None:
    """Make sure that an initialisation that is cut off is noticed, and that one that was is not built upon."""
    ready = folder / READY
    if ready.exists():
        ready.unlink()
    else:
        shutil.rmtree(ready.parent, ignore_errors=True)  # only copies of what init fetches again


def tidy(folder: Path) -> None:
    """Remove the output of a Terraform that went on after we were killed; it has ended, and its state says it all."""
    for end in (".out", ".err"):
        (folder / f"apply{end}").unlink(missing_ok=True)


def _raw(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise files.explain("read", path, error) from error


def _read(raw: bytes) -> dict[str, Any] | None:
    try:
        data = json.loads(raw)
    except ValueError:
        return None
    if not isinstance(data, dict) or not isinstance(data.get("serial"), int):
        return None
    readable = isinstance(data.get("resources"), list) or "encrypted_data" in data  # OpenTofu can encrypt it
    return data if readable else None


def _newest(paths: list[Path]) -> tuple[Path, dict[str, Any]] | None:
    """The undamaged state with the highest serial."""
    found = []
    for path in paths:
        try:
            data = _read(path.read_bytes())
        except OSError:
            continue
        if data is not None:
            found.append((path, data))
    return max(found, key=lambda item: int(item[1]["serial"]), default=None)
