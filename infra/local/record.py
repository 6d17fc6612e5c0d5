"""What is known of the running server: one small file, and whether the process it names is really ours."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path

from infra.errors import FileError
from infra.files import read_json, write_json
from infra.local import places

HOST = "127.0.0.1"
PREFIX = "/_infra"
"""Our own requests live under this path; everything else is AWS."""

TOKEN_HEADER = "X-Infra-Token"
PROGRAM = "infra.local.server"


@dataclass(frozen=True, slots=True)
class Record:
    """``started`` is ISO 8601 in UTC. ``token`` tells this server from anything else on the same port or pid."""

    pid: int
    port: int
    started: str
    version: str
    token: str

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"


def file() -> Path:
    return places.state() / "server.json"


def log_file() -> Path:
    return places.state() / "server.log"


def write(record: Record, path: Path) -> None:
    """Only the owner may read it: the token is in it."""
    write_json(path, asdict(record), mode=0o600)


def read(path: Path) -> Record | None:
    """The record, or None when there is none or it is damaged (then it is as good as none)."""
    with contextlib.suppress(FileError, TypeError, ValueError, KeyError):
        data = read_json(path)
        return Record(
            int(data["pid"]), int(data["port"]), str(data["started"]), str(data["version"]), str(data["token"])
        )
    return None


def healthy(record: Record, timeout: float = 2.0) -> bool:
    """Whether the server of this record answers: a stranger on the port does not know the token."""
    answer = request(record, "GET", "/health", timeout=timeout)
    return answer is not None and answer.get("token") == record.token


def request(
    record: Record, method: str, path: str, timeout: float = 10.0, body: object = None
) -> dict[str, object] | None:
    """One of our own requests; the JSON object it answers, or None when nothing (or something else) is there."""
    connection = http.client.HTTPConnection(HOST, record.port, timeout=timeout)
    try:
        sent = None if body is None else json.dumps(body)
        connection.request(method, PREFIX + path, sent, {TOKEN_HEADER: record.token})
        response = connection.getresponse()
        answer = response.read()
        data = json.loads(answer) if response.status == 200 else None
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()
    return data if isinstance(data, dict) else None


def alive(record: Record, path: Path) -> bool:
    """Whether the process of this record is still our server, and not another program that got its pid."""
    words = _command_line(record.pid)
    return PROGRAM in words and str(path) in words


def _command_line(pid: int) -> str:
    """What a process was started with; empty when it is gone or a zombie."""
    proc = Path("/proc") / str(pid) / "cmdline"
    if Path("/proc/self/cmdline").exists():
        with contextlib.suppress(OSError):
            return proc.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
        return ""
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        listing = subprocess.run(
            ["ps", "-p", str(pid), "-o", "command="], capture_output=True, timeout=5, check=False, text=True
        )
        return listing.stdout
    return ""


def forget(record: Record | None, path: Path) -> None:
    """Remove the record if it is still the one given: a newer server's is left alone."""
    if record is None or read(path) == record:
        with contextlib.suppress(OSError):
            os.unlink(path)  # noqa: PTH108
