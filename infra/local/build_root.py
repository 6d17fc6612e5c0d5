"""The Debian file system that machines of the build host start from: made once by mmdebstrap, then only read."""

from __future__ import annotations

import fcntl
import os
import shutil
from pathlib import Path

from infra import proc
from infra.errors import LocalError, ToolFailed
from infra.files import explain
from infra.local import places

SUITE = "bookworm"
EDITION = "1"
"""Goes up when what is put into the root changes: an older one in the cache is then left behind."""

PACKAGES = (
    "systemd,systemd-sysv,dbus,openssh-server,sudo,ca-certificates,procps,iproute2,python3-minimal,kmod,pciutils,gnupg"
)
USER = "ubuntu"
DEADLINE = 20 * 60.0
OVERRIDE = "INFRA_BUILD_HOST_ROOT"

# What the cloud's images have and a bare Debian lacks: the account, its sudo, SSH with keys alone.
PREPARE = f"""\
set -e
useradd -m -s /bin/bash -G sudo {USER}
echo '{USER} ALL=(ALL) NOPASSWD:ALL' >/etc/sudoers.d/90-cloud-init-users
chmod 0440 /etc/sudoers.d/90-cloud-init-users
printf 'PasswordAuthentication no\\nUseDNS no\\n' >/etc/ssh/sshd_config.d/50-cloud.conf
rm -f /etc/ssh/ssh_host_* /etc/machine-id
: >/etc/machine-id
systemctl mask -q dev-hugepages.mount dev-mqueue.mount sys-kernel-debug.mount sys-kernel-tracing.mount \
  sys-fs-fuse-connections.mount modprobe@.service systemd-modules-load.service systemd-remount-fs.service \
  getty.target console-getty.service e2scrub_reap.service systemd-sysctl.service systemd-timesyncd.service \
  systemd-udevd.service || :
"""


def folder() -> Path:
    """Where the root is, or will be. ``INFRA_BUILD_HOST_ROOT`` names one that is made already."""
    override = os.environ.get(OVERRIDE)
    return Path(override).absolute() if override else places.cache() / "build-host" / f"{SUITE}-{EDITION}"


def ready() -> bool:
    return (folder() / "etc/infra-build-root").is_file()


def make(say: proc.LineSink) -> Path:
    """The root, made now if it is not there (about half a minute). Raises LocalError with mmdebstrap's last lines."""
    root = folder()
    if ready():
        return root
    try:
        root.parent.mkdir(parents=True, exist_ok=True)
        with root.with_name(f"{root.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # whoever comes second waits, and finds it made
            return root if ready() else _made(root, say)
    except OSError as error:
        raise explain("make", root, error) from error


def _made(root: Path, say: proc.LineSink) -> Path:
    say(f"making a Debian root in {root} with mmdebstrap; this happens once")
    draft = root.with_name(f"{root.name}.new")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir()
    try:
        _bootstrap(draft)
        (draft / "etc/infra-build-root").write_text(f"{SUITE} {EDITION}\n")
        draft.chmod(0o755)
        draft.rename(root)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return root


def _bootstrap(root: Path) -> None:
    argv = ["mmdebstrap", "--variant=minbase", f"--include={PACKAGES}", SUITE, str(root), *_mirror()]
    try:
        proc.run(argv, deadline=DEADLINE)
        proc.run(["chroot", str(root), "/bin/sh", "-c", PREPARE], deadline=120)
    except ToolFailed as error:
        raise LocalError(
            "the build host's Debian could not be made",
            where=str(root),
            why=error.problems[0].why,
            fix="mmdebstrap needs a Debian mirror that can be reached; mend that, then: infra local build-host up",
        ) from error


def _mirror() -> list[str]:
    """This machine's own Debian mirror, when it has one; else mmdebstrap's default."""
    if shutil.which("apt-get") is None:
        return []
    asked = ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages", "Origin: Debian"]
    found = proc.run(asked, deadline=30, check=False).out.split()
    return [uri for uri in found if "security" not in uri][:1]
