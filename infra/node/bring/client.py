"""The Chef client that a node gets: a package with a pinned sha256, found once for all nodes of an architecture."""

from __future__ import annotations

import io
import re
import tarfile
import threading
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from infra.errors import FileError, NodeUnfit, SpecError, ToolFailed, UsageError
from infra.files import digest as sha256_of
from infra.files import explain
from infra.image import clients
from infra.node.bring.facts import Facts
from infra.node.model import Node
from infra.spec.load import Loaded

ARCHITECTURES = {"x86_64": "x86_64", "aarch64": "arm64"}
_READING = threading.Lock()
_NAME = re.compile(r"^([a-z0-9.+-]+)_([^_]+)_([a-z0-9]+)\.deb$")


@dataclass(frozen=True)
class Package:
    """A .deb on this machine: its ``sha256``, and ``name`` and ``version`` as dpkg knows them ("" when unknown)."""

    path: Path
    sha256: str
    name: str = ""
    version: str = ""

    def read(self) -> bytes:
        """Its bytes, read once for however many nodes. FileError when it cannot be, or is no longer what it was."""
        with _READING:
            return self._bytes

    @cached_property
    def _bytes(self) -> bytes:
        try:
            raw = self.path.read_bytes()
        except OSError as error:
            raise explain("read", self.path, error) from error
        if sha256_of(raw) != self.sha256:
            raise FileError(
                f"{self.path} changed while it was in use", where=str(self.path), fix="run the same command again"
            )
        return raw


@dataclass
class Packages:
    """Where a cluster's client comes from. ``file`` and ``sha256`` are the command line's: they come first."""

    loaded: Loaded
    file: Path | None = None
    sha256: str = ""
    _found: dict[tuple[str, str], Package | None] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def of(self, profile: str, arch: str) -> Package | None:
        """The package for a machine's architecture (``uname -m``); None when cluster.yaml pins none.

        Raises SpecError, FileError, ToolFailed (another digest), Unreachable.
        """
        arch = ARCHITECTURES.get(arch, arch)
        with self._lock:
            if (profile, arch) not in self._found:
                self._found[profile, arch] = self._find(profile, arch)
            return self._found[profile, arch]

    def _find(self, profile: str, arch: str) -> Package | None:
        if self.file is not None:
            return _given(self.file, self.sha256)
        if not self.loaded.cluster.chef.digest(arch):
            return None
        client = clients.client(self.loaded, profile, arch)
        return None if client.package is None else Package(client.package, client.sha256, *about(client.package)[:2])


def _given(path: Path, expected: str) -> Package:
    if not expected:
        raise UsageError(
            "the sha256 of the client's package is not given",
            where="--client-package",
            why="what is installed as root must be what you have looked at",
            fix=f"add --client-sha256 (sha256sum {path})",
        )
    try:
        found = sha256_of(path.read_bytes())
    except OSError as error:
        raise explain("read", path, error) from error
    if found != expected.lower():
        raise ToolFailed(
            "the Chef client's package is not the one that --client-sha256 names",
            where=str(path),
            why=f"its sha256 is {found}, not {expected}",
            fix="find out why before you change --client-sha256",
        )
    return Package(path, found, *about(path)[:2])


def about(path: Path) -> tuple[str, str, str]:
    """Name, version and architecture of a .deb, by what is inside, else by its name; "" each when neither says."""
    try:
        with path.open("rb") as file:
            control = _control(file.read(1 << 20))
    except (OSError, tarfile.TarError, ValueError, KeyError):
        control = {}
    if control:
        return control.get("Package", ""), control.get("Version", ""), control.get("Architecture", "")
    match = _NAME.match(path.name)
    return (match[1], match[2], match[3]) if match else ("", "", "")


def _control(head: bytes) -> dict[str, str]:
    """The fields of the control file in a .deb, which is an ``ar`` archive with ``control.tar.*`` near its begin."""
    if not head.startswith(b"!<arch>\n"):
        return {}
    place = 8
    while place + 60 <= len(head):
        name, size = head[place : place + 16].decode().strip().rstrip("/"), int(head[place + 48 : place + 58])
        place += 60
        if name.startswith("control.tar") and not name.endswith(".zst"):
            with tarfile.open(fileobj=io.BytesIO(head[place : place + size])) as archive:
                member = archive.extractfile("./control")
                text = member.read().decode() if member else ""
            lines = (line.partition(":") for line in text.splitlines() if not line.startswith(" "))
            return {key: value.strip() for key, _, value in lines}
        place += size + size % 2
    return {}


def needed(package: Package | None, facts: Facts, loaded: Loaded, node: Node) -> tuple[Package | None, str]:
    """(what has to be installed or None, a warning or ""). Raises SpecError when there is no way to a client."""
    chef = loaded.cluster.chef
    if package is not None:
        same = facts.client_sha256 == package.sha256 and bool(facts.clients)
        if same or (package.version and facts.clients.get(package.name) == package.version):
            return None, ""
        return package, ""
    if facts.program:
        versions = " ".join(f"{name} {version}" for name, version in facts.clients.items())
        return None, f"{node.name} keeps the client that it has ({versions or facts.program}): chef: pins none"
    raise SpecError(
        f"there is no client on {node.name}, and cluster.yaml does not say which to install",
        where=loaded.where("chef"),
        why="what is installed as root on every machine must be what you have looked at",
        fix=f"download the {chef.client} client's package, compare its sha256 with what its publisher says, and write "
        "chef: {url: FILE-OR-URL, sha256: …}; or give --client-package and --client-sha256",
    )


def why_run_needs(package: Package | None, node: Node) -> None:
    """A why-run changes nothing, so it cannot install the client either."""
    if package is not None:
        raise NodeUnfit(
            f"{node.name} has no client yet, or another one",
            where=node.where,
            why="--why-run changes nothing, and what would change only the client can say",
            fix=f"bring it first: infra node bootstrap {node.name}",
        )
