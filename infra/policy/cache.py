"""Archives that were seen, in the work folder: ``.infra/<cluster>/policies/<digest>.tar``."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from infra import files
from infra.errors import PolicyError, UsageError
from infra.policy.model import SHORT, Policy

FOLDER = "policies"
LEAST = 4  # digits of a digest that name it
Fetch = Callable[[str], bytes | None]


def keep(work: Path, policy: Policy) -> Path:
    """Write the archive into a cluster's work folder, unless it is there. Raises FileError."""
    path = work / FOLDER / f"{policy.digest}.tar"
    if not path.is_file() or path.stat().st_size != len(policy.archive()):
        files.write_bytes(path, policy.archive())
    return path


def is_digest(text: str) -> bool:
    """Whether a text can be a digest, or the beginning of one."""
    return re.fullmatch(rf"[0-9a-f]{{{LEAST},64}}", text) is not None


def find(work: Path, digest: str, fetch: Fetch | None = None) -> bytes:
    """The archive of a digest, or of the only one that begins so.

    ``fetch`` is asked for what is not here; it takes a digest as it was given, and gives the archive or None. What it
    gives is kept. Raises UsageError when nobody has it, PolicyError when ours is damaged.
    """
    folder = work / FOLDER
    found = sorted(path for path in folder.glob(f"{digest}*.tar")) if folder.is_dir() else []
    if len(found) > 1:
        raise UsageError(
            f"{digest} begins the digests of {len(found)} policies",
            where=str(folder),
            why=", ".join(path.stem[: SHORT + 4] for path in found[:5]),
            fix="give more of its digits",
        )
    if found:
        return _checked(found[0])
    raw = fetch(digest) if fetch is not None else None
    if raw is None:
        known = sorted(path.stem[:SHORT] for path in folder.glob("*.tar")) if folder.is_dir() else []
        raise UsageError(
            f"there is no policy {digest}",
            where=str(folder),
            why=f"here are: {', '.join(known[:10]) or 'none'}; and the cluster's ledger has no image of it",
            fix="name a profile, profile@N of an earlier apply, or one of these digests",
        )
    files.write_bytes(folder / f"{files.digest(raw)}.tar", raw)
    return raw


def _checked(path: Path) -> bytes:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise files.explain("read", path, error) from error
    if files.digest(raw) != path.stem:
        raise PolicyError(
            "the archive of a policy is damaged",
            where=str(path),
            why="its sha256 is not its name",
            fix=f"remove it: rm {path}",
        )
    return raw
