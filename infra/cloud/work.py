"""The work folder: ``.infra/<cluster>/`` beside ``cluster.yaml``, with one plain Terraform project per region."""

from __future__ import annotations

import contextlib
import fcntl
import getpass
import json
import os
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from infra import files
from infra.cloud.project import modules
from infra.cloud.project.provider import ProviderLine
from infra.errors import StateLocked
from infra.spec.models import Cluster

FOLDER = ".infra"
READY = ".terraform/infra-ready"  # holds the digest of what `terraform init` last saw


def now() -> str:
    """The time in UTC, to the second, as ISO 8601."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def who() -> str:
    """user@host, for records and locks."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    return f"{user}@{platform.node()}"


@dataclass(frozen=True, slots=True)
class Work:
    """The folder of one cluster."""

    folder: Path

    @classmethod
    def of(cls, cluster: Cluster, spec: Path) -> Work:
        return cls(spec.resolve().parent / FOLDER / cluster.workname)

    def region(self, name: str) -> Path:
        return self.folder / name

    @property
    def plan(self) -> Path:
        return self.folder / "plan.json"

    @property
    def records(self) -> Path:
        return self.folder / "log"

    def prepare(self, region: str, content: dict[str, Any], line: ProviderLine) -> str:
        """Write the region's Terraform project, of which ``content`` is the root; the digest of all of it."""
        folder = self.region(region)
        modules.render(line, folder / "modules")
        text = json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
        path = folder / "main.tf.json"
        if not path.is_file() or files.read_text(path) != text:
            files.write_text(path, text)
        return files.digest({"root": content, "modules": modules.sources_digest(), "major": line.major})

    def needs_init(self, region: str, mark: str) -> bool:
        """Whether provider, backend or module calls changed since the last ``terraform init`` here."""
        ready = self.region(region) / READY
        return not ready.is_file() or ready.read_text() != mark

    def set_ready(self, region: str, mark: str) -> None:
        files.write_text(self.region(region) / READY, mark)

    @contextlib.contextmanager
    def lock(self, command: str) -> Iterator[None]:
        """Hold the cluster for one command. The kernel frees it when we die, however we die.

        Raises StateLocked naming the process that holds it.
        """
        path = self.folder / "lock.json"
        self.folder.mkdir(parents=True, exist_ok=True)
        with path.open("a+") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise _locked(path) from error
            owner = {"pid": os.getpid(), "who": who(), "command": command, "started": now()}
            handle.seek(0)
            handle.truncate()
            handle.write(json.dumps(owner))
            handle.flush()
            try:
                yield
            finally:
                handle.seek(0)
                handle.truncate()


def _locked(path: Path) -> StateLocked:
    owner: dict[str, Any] = {}
    with contextlib.suppress(OSError, ValueError):
        owner = json.loads(path.read_text() or "{}")
    return StateLocked(
        f"{owner.get('command', 'another command')} is at work on this cluster",
        where=str(path),
        why=f"process {owner.get('pid', '?')} of {owner.get('who', '?')}, since {owner.get('started', '?')}",
        fix="wait for it to end, then run the same command again",
    )
