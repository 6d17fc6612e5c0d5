"""The root file system that all machines share, built once, and the packages that a test serves to them."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

SUITE = "bookworm"
# What a fresh server has, and no more: no Python, no curl.
PACKAGES = (
    "apt-utils",
    "ca-certificates",
    "dbus",
    "iproute2",
    "nftables",
    "openssh-server",
    "procps",
    "sudo",
    "systemd",
    "systemd-sysv",
)
# They would try the hardware, or the host's kernel.
MASKED = (
    "console-getty.service",
    "dev-hugepages.mount",
    "dev-mqueue.mount",
    "e2scrub_reap.service",
    "getty.target",
    "modprobe@.service",
    "run-rpc_pipefs.mount",
    "sys-fs-fuse-connections.mount",
    "sys-kernel-debug.mount",
    "sys-kernel-tracing.mount",
    "systemd-modules-load.service",
    "systemd-remount-fs.service",
    "systemd-sysctl.service",
    "var-lib-nfs-rpc_pipefs.mount",
)
USER, PASSWORD = "ops", "bedpass"
MINUTES = 60.0


def cache() -> Path:
    """Where what takes long to make is kept between runs: ``INFRA_BED_DIR``, else the user's cache folder."""
    named = os.environ.get("INFRA_BED_DIR")
    if named:
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "infra" / "bed"


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """One process at a time inside."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def debian() -> Path:
    """The root, built when it is not there yet (half a minute). Raises CalledProcessError when it cannot be."""
    recipe = hashlib.sha256(repr((SUITE, PACKAGES, MASKED, 1)).encode()).hexdigest()[:12]
    root = cache() / f"debian-{recipe}"
    with locked(cache() / "root.lock"):
        if not root.is_dir():
            draft = root.with_suffix(".draft")
            shutil.rmtree(draft, ignore_errors=True)
            _build(draft)
            draft.rename(root)
    return root


def _build(root: Path) -> None:
    command = ["mmdebstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}", SUITE, str(root), *_mirror()]
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=10 * MINUTES)
    for argv in (
        ["systemctl", "mask", "--quiet", *MASKED],
        ["useradd", "--create-home", "--shell", "/bin/bash", "--groups", "sudo", "--uid", "1000", USER],
        ["chpasswd"],
    ):
        subprocess.run(["chroot", root, *argv], check=True, text=True, input=f"{USER}:{PASSWORD}\n", timeout=MINUTES)
    for key in (root / "etc/ssh").glob("ssh_host_*"):
        key.unlink()
    (root / "etc/apt/sources.list").write_text("")  # there is no way to the mirror from inside
    (root / "etc/machine-id").write_text("")


def _mirror() -> list[str]:
    """The mirror that this machine's own apt uses, when it is Debian's."""
    if "ID=debian" not in Path("/etc/os-release").read_text().splitlines():
        return []
    listed = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"],
        check=True,
        capture_output=True,
        text=True,
        timeout=MINUTES,
    ).stdout.split()
    return [uri for uri in dict.fromkeys(listed) if "security" not in uri][:1]


def download(names: Sequence[str]) -> list[Path]:
    """These packages and whatever they need that the root lacks, by the host's own apt; kept in the cache."""
    root = debian()
    archives = cache() / "debs"
    (archives / "partial").mkdir(parents=True, exist_ok=True)
    options = [
        *("-o", f"Dir::State::status={root}/var/lib/dpkg/status"),
        *("-o", "Debug::NoLocking=1"),
    ]
    wanted = ["install", "--yes", "--no-install-recommends", "--reinstall", *names]
    with tempfile.TemporaryDirectory() as empty:  # apt leaves out of this list what it has in its archives already
        planned = _apt([*options, "-o", f"Dir::Cache::archives={empty}", "--print-uris", "--quiet=2", *wanted])
    files = [archives / line.split()[1] for line in planned.splitlines() if line.startswith("'")]
    with locked(cache() / "debs.lock"):
        if not all(file.is_file() for file in files):
            _apt([*options, "-o", f"Dir::Cache::archives={archives}", "--download-only", *wanted])
    return files


def _apt(words: Sequence[str]) -> str:
    argv = ["apt-get", *words]
    return subprocess.run(argv, check=True, capture_output=True, text=True, timeout=10 * MINUTES).stdout


def index(folder: Path, debs: Sequence[Path]) -> None:
    """Make ``folder`` a flat apt repository of these packages (the files are linked into it)."""
    folder.mkdir(parents=True, exist_ok=True)
    entries = []
    for deb in sorted(debs):
        target = folder / deb.name
        if not target.exists():
            target.symlink_to(deb.resolve())
        fields = subprocess.run(["dpkg-deb", "--field", deb], check=True, capture_output=True, text=True, timeout=60)
        data = deb.read_bytes()
        digest = hashlib.sha256(data).hexdigest()
        entries.append(f"{fields.stdout.strip()}\nFilename: ./{deb.name}\nSize: {len(data)}\nSHA256: {digest}\n")
    (folder / "Packages").write_text("\n".join(entries))
