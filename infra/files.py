"""Files that matter are written whole or not at all; digests are of bytes and of canonical JSON."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from infra.errors import FileError


def canonical(value: Any) -> str:
    """JSON with sorted keys and no free white space: equal values give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def digest(value: Any) -> str:
    """sha256 hex of bytes, of a text, or of any JSON value in its canonical form."""
    raw = value if isinstance(value, bytes) else (value if isinstance(value, str) else canonical(value)).encode()
    return hashlib.sha256(raw).hexdigest()


def read_text(path: Path) -> str:
    """The file's text; FileError when it cannot be read or is not UTF-8."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise FileError(
            f"{path} is not UTF-8 text", where=str(path), why=str(error), fix="save the file as UTF-8"
        ) from error
    except OSError as error:
        raise explain("read", path, error) from error


def read_json(path: Path) -> Any:
    """The file's JSON; FileError when it is missing or damaged."""
    try:
        return json.loads(read_text(path))
    except ValueError as error:
        raise FileError(
            f"{path} is not valid JSON",
            where=str(path),
            why=str(error),
            fix="remove the file; infra writes it again",
        ) from error


def write_text(path: Path, text: str, mode: int = 0o644) -> None:
    """Replace ``path`` by ``text`` atomically (temporary file beside it, fsync, rename)."""
    write_bytes(path, text.encode(), mode)


def write_bytes(path: Path, raw: bytes, mode: int = 0o644) -> None:
    """Replace ``path`` by ``raw`` atomically. Raises FileError; leaves no half-written file behind."""
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with os.fdopen(handle, "wb") as out:
            out.write(raw)
            out.flush()
            os.fsync(out.fileno())
        os.chmod(temporary, mode)  # noqa: PTH101
        os.replace(temporary, path)  # noqa: PTH105
    except OSError as error:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        raise explain("write", path, error) from error


def write_json(path: Path, value: Any, mode: int = 0o644) -> None:
    """Write a JSON value with stable key order, two spaces and a final newline, atomically."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n", mode)


def explain(verb: str, path: Path | str, error: OSError) -> FileError:
    """An OSError in a user's words, with the fix for the usual causes."""
    fixes = {
        errno.ENOSPC: "free some disk space, then run the same command again",
        errno.EDQUOT: "free some of your disk quota, then run the same command again",
        errno.EACCES: f"give yourself permission: chmod u+rw {path}",
        errno.EPERM: f"give yourself permission: chmod u+rw {path}",
        errno.EROFS: "the file system is read-only: use a folder that can be written to",
        errno.ENOENT: "check the path",
        errno.EISDIR: "give the path of a file, not of a folder",
    }
    return FileError(
        f"cannot {verb} {path}",
        where=str(path),
        why=error.strerror or str(error),
        fix=fixes.get(error.errno or 0, "check the path and its permissions"),
    )
