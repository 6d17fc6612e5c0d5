"""The embedded AWS of one test, with or without a test double of AWS's refusals in front of it."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.e2e.faulty_aws import FaultyAws, Refusal, serve


def start(env: Mapping[str, str]) -> str:
    """Start the server of ``INFRA_LOCAL_DIR`` in ``env``, or find it running; its URL."""
    code = "from infra.local import control; print(control.up().url)"
    done = subprocess.run(
        [sys.executable, "-c", code], env=dict(env), capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout.strip()


@contextlib.contextmanager
def refusing(env: Mapping[str, str], refusals: list[Refusal]) -> Iterator[FaultyAws]:
    """While inside, whoever asks for the embedded AWS of ``env`` reaches the test double before it."""
    url = start(env)
    record = Path(env["INFRA_LOCAL_DIR"]) / "server.json"
    kept = record.read_text(encoding="utf-8")
    with serve(refusals, url) as faulty:
        point(record, kept, faulty)
        try:
            yield faulty
        finally:
            _replace(record, kept)


def point(record: Path, text: str, faulty: FaultyAws) -> None:
    """Make the record of a server (``text`` is what it wrote) name the test double before it."""
    port = int(faulty.url.rpartition(":")[2])
    _replace(record, json.dumps({**json.loads(text), "port": port}))


def _replace(path: Path, text: str) -> None:
    beside = path.with_name(f"{path.name}.test")
    beside.write_text(text, encoding="utf-8")
    os.chmod(beside, 0o600)  # noqa: PTH101
    beside.replace(path)
