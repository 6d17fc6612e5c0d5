"""A tar whose bytes depend on the names and contents in it and on nothing else.

Written here, byte by byte, and not with ``tarfile``: a digest must not move with a Python release. The format is
POSIX ustar: sorted, folders named, time 0, owner 0, folders and programs (``bin/``) 0755, everything else 0644.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath

from infra.errors import PolicyError

BLOCK = 512
PROGRAMS = "bin/"


def pack(contents: Mapping[str, bytes]) -> bytes:
    """The archive of these files. Raises PolicyError for a name that ustar cannot hold."""
    folders = {str(parent) for path in contents for parent in PurePosixPath(path).parents} - {"."}
    parts: list[bytes] = []
    for path in sorted([*contents, *folders], key=lambda name: name.split("/")):
        if path in folders:
            parts.append(_header(f"{path}/", 0, 0o755, b"5"))
            continue
        raw = contents[path]
        mode = 0o755 if path.startswith(PROGRAMS) else 0o644
        parts += [_header(path, len(raw), mode, b"0"), raw, b"\0" * (-len(raw) % BLOCK)]
    return b"".join([*parts, b"\0" * (2 * BLOCK)])


def unpack(raw: bytes, where: str = "") -> dict[str, bytes]:
    """Path -> content of every file in an archive. Raises PolicyError when it is damaged."""
    try:
        return dict(_members(raw))
    except (tarfile.TarError, EOFError, OSError) as error:
        raise PolicyError(
            "the archive of a policy is damaged",
            where=where,
            why=str(error),
            fix="remove the file; it is written again when it is needed",
        ) from error


def _members(raw: bytes) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(fileobj=io.BytesIO(raw), mode="r:", encoding="utf-8") as archive:
        for member in archive:
            file = archive.extractfile(member) if member.isfile() else None
            if file is not None:
                yield member.name, file.read()


def _header(path: str, size: int, mode: int, kind: bytes) -> bytes:
    prefix, name = _split(path)
    head = b"".join(
        [
            name.ljust(100, b"\0"),
            b"%07o\0" % mode,
            b"%07o\0" % 0,
            b"%07o\0" % 0,
            b"%011o\0" % size,
            b"%011o\0" % 0,
            b" " * 8,
            kind,
            b"\0" * 100,
            b"ustar\x0000",
            b"root".ljust(32, b"\0"),
            b"root".ljust(32, b"\0"),
            b"%07o\0" % 0,
            b"%07o\0" % 0,
            prefix.ljust(155, b"\0"),
        ]
    ).ljust(BLOCK, b"\0")
    return head[:148] + b"%06o\0 " % sum(head) + head[156:]


def _split(path: str) -> tuple[bytes, bytes]:
    """(prefix, name) of ustar: at most 155 and 100 bytes, with a slash between them that is not written."""
    raw = path.encode()
    if len(raw) <= 100:
        return b"", raw
    for place in range(len(raw) - 101, 156):
        if place >= 0 and raw[place : place + 1] == b"/" and 0 < len(raw) - place - 1 <= 100:
            return raw[:place], raw[place + 1 :]
    raise PolicyError(
        f"the name {path} is too long for an archive",
        where=path,
        why="a path has at most 255 bytes, the part after some slash at most 100",
        fix="give the file or its folders a shorter name",
    )
