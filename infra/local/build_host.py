"""The build host: where a bake on the embedded AWS gets a real machine, because moto's instances are only records.

``up`` makes the Debian root once and proves that a machine starts from it. Each bake then starts a machine of its own
with a fresh disk, and ends it; two bakes at once have two.
"""

from __future__ import annotations

import contextlib
import os
import platform
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from infra import proc
from infra.errors import LocalError
from infra.local import build_machine, build_root, places
from infra.local.build_machine import Machine

TOOLS = {"unshare": "util-linux", "nsenter": "util-linux", "ip": "iproute2", "ssh-keygen": "openssh-client"}


@dataclass(frozen=True, slots=True)
class Status:
    """``up`` when a bake can have a machine. ``why`` says why it never could here; "" when it could after ``up``."""

    up: bool
    root: str
    why: str = ""
    machines: tuple[Machine, ...] = ()


def can() -> str:
    """Why this machine can be no build host, in a user's words; "" when it can."""
    if platform.system() != "Linux":
        return f"it needs Linux (this is {platform.system()})"
    if os.geteuid() != 0:
        return "it needs root: namespaces and mounts of its own"
    for tool, package in TOOLS.items():
        if shutil.which(tool) is None:
            return f"the program {tool} is missing: apt install {package}"
    if not build_root.ready() and shutil.which("mmdebstrap") is None:
        return "mmdebstrap is missing, which makes its Debian: apt install mmdebstrap"
    if "\toverlay\n" not in _read("/proc/filesystems"):
        return "this kernel has no overlay file system: modprobe overlay"
    return _namespaces()


def up(say: proc.LineSink) -> Status:
    """Make the root if need be, and prove that a machine starts. Raises LocalError saying why not."""
    _require()
    root = build_root.make(say)
    _reap()
    if not _marker().is_file():
        folder = machines_folder() / f"try-{secrets.token_hex(4)}"
        machine = build_machine.start(root, folder, "ssh-ed25519 AAAA")
        build_machine.stop(machine)
        _marker().write_text(f"{root}\n")
    return status()


def down() -> list[Machine]:
    """End all its machines and count as not up; the Debian root stays in the cache. Returns what ran."""
    running = list(_machines())
    for machine in running:
        build_machine.stop(machine)
    _marker().unlink(missing_ok=True)
    shutil.rmtree(machines_folder(), ignore_errors=True)
    return running


def status() -> Status:
    running = tuple(machine for machine in _machines() if machine.alive)
    ready = _marker().is_file() and build_root.ready()
    return Status(ready, str(build_root.folder()), "" if ready else can(), running)


@contextlib.contextmanager
def machine(public_key: str, lend: Path | None = None, program: Path | None = None) -> Iterator[Machine]:
    """A machine with a fresh disk that lets ``public_key`` in, for as long as the block lasts.

    ``lend`` is a folder of this machine that it sees, read-only, at the same place; ``program`` one in it that is put
    on its PATH. ``INFRA_BUILD_HOST_DISK`` (such as 64m) gives it a small disk in memory.
    """
    require_up()
    _reap()
    folder = machines_folder() / f"bake-{secrets.token_hex(4)}"
    disk = os.environ.get("INFRA_BUILD_HOST_DISK", "")
    started = build_machine.start(build_root.folder(), folder, public_key, disk=disk, lend=lend, program=program)
    try:
        yield started
    finally:
        build_machine.stop(started)


def require_up() -> None:
    """Raise LocalError unless a bake can have a machine now."""
    if not status().up:
        _require()
        raise LocalError(
            "a bake on the embedded AWS needs a machine, and the build host is not up",
            why="the embedded AWS keeps records of instances; it starts none",
            fix="infra local build-host up",
        )


def machines_folder() -> Path:
    return places.state() / "build-host"


def _require() -> None:
    if why := can():
        raise LocalError("this machine can be no build host", why=why, fix="mend that, then: infra local build-host up")


def _marker() -> Path:
    return machines_folder() / "up"


def _machines() -> Iterator[Machine]:
    for folder in sorted(machines_folder().glob("*-*")):
        if (found := build_machine.read(folder)) is not None:
            yield found


def _reap() -> None:
    """End the machines whose bake was killed: nobody else will."""
    machines_folder().mkdir(parents=True, exist_ok=True, mode=0o700)
    for found in _machines():
        if not Path(f"/proc/{found.owner}").exists():
            build_machine.stop(found)


def _namespaces() -> str:
    """Whether namespaces and an overlay can really be had: containers often forbid them to their root."""
    with tempfile.TemporaryDirectory(prefix="infra-", dir=_overlay_home()) as name:
        base = Path(name)
        for part in ("low", "up", "work", "m"):
            (base / part).mkdir()
        options = f"lowerdir={base / 'low'},upperdir={base / 'up'},workdir={base / 'work'}"
        script = f"mount --make-rprivate / && mount -t overlay overlay -o '{options}' '{base / 'm'}'"
        argv = ["unshare", "--mount", "--pid", "--net", "--uts", "--ipc", "--fork", "sh", "-c", script]
        done = proc.run(argv, deadline=20, check=False)
    return "" if done.code == 0 else f"namespaces or overlay mounts are not allowed here ({done.tail(1)})"


def _overlay_home() -> Path:
    """Where machines' disks will be: an overlay cannot lie on every file system, so it is tried there."""
    machines_folder().mkdir(parents=True, exist_ok=True, mode=0o700)
    return machines_folder()


def _read(path: str) -> str:
    with contextlib.suppress(OSError):
        return Path(path).read_text()
    return ""
