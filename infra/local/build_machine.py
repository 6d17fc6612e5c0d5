"""One machine of the build host: an overlay over the Debian root, namespaces, systemd or sshd alone, an address.

Nothing of it outlives its first process: the kernel takes the other processes, the mounts and the network link away
with it. What is left then is a folder.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from infra import proc
from infra.errors import FileError, LocalError
from infra.files import explain, read_json, write_json, write_text
from infra.local.build_root import USER

READY_DEADLINE = 30.0
NETWORKS = 256
NET = "198.18"  # the range for benchmarks: no network of anybody's has it
SYSTEMD = "systemd"
CGROUPS = (Path("/sys/fs/cgroup/unified"), Path("/sys/fs/cgroup"))

# $1 root, $2 folder, $3 name, $4 size of the disk ("" for the folder's own), $5 plain|systemd, $6 account,
# $7 folder to lend, $8 program in it ("" for none)
INIT = r"""
set -e
root=$1 d=$2 name=$3 disk=$4 mode=$5 m=$2/m
mount --make-rprivate /
if [ -n "$disk" ]; then mount -t tmpfs -o "size=$disk" tmpfs "$d/disk"; mkdir "$d/disk/up" "$d/disk/work"; fi
mount -t overlay overlay -o "lowerdir=$root,upperdir=$d/disk/up,workdir=$d/disk/work" "$m"
install -m 600 "$d/host_key" "$m/etc/ssh/ssh_host_ed25519_key"
install -m 644 "$d/host_key.pub" "$m/etc/ssh/ssh_host_ed25519_key.pub"
install -d -m 700 "$m/home/$6/.ssh"; install -m 600 "$d/authorized_keys" "$m/home/$6/.ssh/authorized_keys"
chroot "$m" chown -R "$6:$6" "/home/$6/.ssh"
echo "$name" >"$m/etc/hostname"; printf '127.0.0.1 localhost\n127.0.1.1 %s\n' "$name" >"$m/etc/hosts"
tr -d - </proc/sys/kernel/random/uuid >"$m/etc/machine-id"
mount -t proc proc "$m/proc"
mount --bind "$m/proc/sys" "$m/proc/sys"; mount -o remount,ro,bind "$m/proc/sys"
if mount --bind "$m/proc/sys/net" "$m/proc/sys/net" 2>/dev/null; then mount -o remount,rw,bind "$m/proc/sys/net"; fi
mount -t sysfs -o ro sysfs "$m/sys"
mount -t tmpfs -o mode=755 tmpfs "$m/dev"
for n in null zero full random urandom tty; do : >"$m/dev/$n"; mount --bind "/dev/$n" "$m/dev/$n"; done
mkdir "$m/dev/pts" "$m/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts "$m/dev/pts"
ln -s pts/ptmx "$m/dev/ptmx"; ln -s /proc/self/fd "$m/dev/fd"
ln -s fd/0 "$m/dev/stdin"; ln -s fd/1 "$m/dev/stdout"; ln -s fd/2 "$m/dev/stderr"
mount -t tmpfs tmpfs "$m/dev/shm"; mount -t tmpfs -o mode=755 tmpfs "$m/run"
mkdir -p "$m/run/sshd" "$m/run/lock"
if [ -n "$7" ]; then
  mkdir -p "$m$7"; mount --bind "$7" "$m$7"; mount -o remount,ro,bind "$m$7"
  ln -sfn "$8" "$m/usr/local/bin/${8##*/}"
fi
if [ "$mode" = systemd ]; then mount -t cgroup2 cgroup2 "$m/sys/fs/cgroup"; fi
hostname "$name"
ip link set lo up
cd "$m"; mkdir -p .old; pivot_root . .old; cd /; umount -l /.old; rmdir /.old
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
drop="setpriv --bounding-set=-sys_time,-sys_module,-sys_rawio"
if [ "$mode" = systemd ]; then
  exec env -i container=infra PATH="$PATH" $drop /sbin/init --log-target=console --show-status=0
fi
exec env -i PATH="$PATH" $drop sh -c 'trap "exit 0" TERM; /usr/sbin/sshd -D -e & wait'
"""


@dataclass(frozen=True, slots=True)
class Machine:
    """``pid`` and ``began`` (clock ticks since boot) name its first process on the outside; ``host_key`` is public.

    ``owner`` is the process that started it: a machine whose owner is gone is nobody's.
    """

    name: str
    pid: int
    began: int
    address: str
    port: int
    user: str
    host_key: str
    folder: str
    mode: str
    owner: int

    @property
    def alive(self) -> bool:
        return _began(self.pid) == self.began

    @property
    def disk(self) -> Path:
        """The machine's own files, on the outside; empty when its disk is of a fixed size."""
        return Path(self.folder) / "disk/up"

    def run(self, argv: Sequence[str], deadline: float = 60.0, check: bool = True) -> proc.Completed:
        """Run something in the machine as root, past SSH: for a look inside, and for faults in tests."""
        inside = _children(self.pid)
        if not inside:
            raise LocalError(f"the machine {self.name} does not run", where=self.folder)
        enter = ["nsenter", "-t", str(inside[0]), "-a", "--"]
        return proc.run([*enter, *argv], deadline=deadline, check=check)


def start(
    root: Path,
    folder: Path,
    public_key: str,
    mode: str = "",
    disk: str = "",
    lend: Path | None = None,
    program: Path | None = None,
) -> Machine:
    """Start a machine with a fresh disk and wait until its sshd answers. Raises LocalError with its last words.

    ``mode`` is systemd or plain (sshd alone); left out, systemd where the kernel's cgroups allow it. ``disk`` is a
    size such as 64m for a small disk in memory.
    """
    mode = mode or (SYSTEMD if _cgroup(folder.name) is not None else "plain")
    host_key = _prepare(folder, public_key)
    child = _spawn(root, folder, disk, mode, (str(lend or ""), str(program or "")))
    try:
        address = _connect(child.pid, folder)
        machine = Machine(
            folder.name, child.pid, _began(child.pid), address, 22, USER, host_key, str(folder), mode, os.getpid()
        )
        write_json(folder / "machine.json", asdict(machine), mode=0o600)
        _wait(machine)
    except BaseException:
        child.kill()
        child.wait()
        _clear(folder)
        raise
    return machine


def stop(machine: Machine) -> None:
    """End it, however busy it is, and remove its files."""
    if machine.alive:
        with contextlib.suppress(ProcessLookupError):
            os.kill(machine.pid, signal.SIGKILL)
        limit = time.monotonic() + 10
        while machine.alive and time.monotonic() < limit:
            with contextlib.suppress(ChildProcessError):  # ours if this very process started it
                os.waitpid(machine.pid, os.WNOHANG)
            time.sleep(0.02)
    _clear(Path(machine.folder))


def read(folder: Path) -> Machine | None:
    with contextlib.suppress(FileError, TypeError, ValueError):
        return Machine(**read_json(folder / "machine.json"))
    return None


def _prepare(folder: Path, public_key: str) -> str:
    """The machine's folder with its key and host key in place; the public half of the host key."""
    try:
        for made in (folder / "disk/up", folder / "disk/work", folder / "m"):
            made.mkdir(parents=True)
    except OSError as error:
        raise explain("make", folder, error) from error
    keys = folder / "host_key"
    proc.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", folder.name, "-f", str(keys)], deadline=30)
    write_text(folder / "authorized_keys", public_key.strip() + "\n", mode=0o600)
    return keys.with_suffix(".pub").read_text().strip()


def _spawn(root: Path, folder: Path, disk: str, mode: str, lent: tuple[str, str]) -> subprocess.Popen[bytes]:
    """The outer process. Not by the common runner: it stays when this command ends."""
    name = folder.name
    words = ["unshare", "--mount", "--uts", "--ipc", "--pid", "--net", "--fork", "--kill-child"]
    words += ["--cgroup"] if mode == SYSTEMD else []
    words += ["sh", "-c", INIT, "init", str(root), str(folder), name, disk, mode, USER, *lent]
    group = _cgroup(name)
    if mode == SYSTEMD and group is not None:  # first the cgroup, then its namespace: else systemd has the host's
        group.mkdir(parents=True, exist_ok=True)
        words = ["sh", "-c", f'echo 0 >"{group}/cgroup.procs" && exec "$@"', "join", *words]
    with (folder / "console").open("wb") as console:
        return subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=console, stderr=console, start_new_session=True, cwd="/"
        )


def _connect(pid: int, folder: Path) -> str:
    """Link the machine to this one by a pair of interfaces of its own; its address."""
    limit = time.monotonic() + READY_DEADLINE
    ours = _network(os.getpid())
    while _network(pid) in ("", ours):
        if _began(pid) == 0 or time.monotonic() > limit:
            raise _failed(folder)
        time.sleep(0.01)
    for number in range(NETWORKS):
        link = f"infra-bh{number}"
        made = ["ip", "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", str(pid)]
        done = proc.run(made, deadline=10, check=False)
        if done.code == 0:
            break
        if "exists" not in done.err:
            raise LocalError("the build host's network could not be made", where=" ".join(made), why=done.tail())
    else:
        raise LocalError("too many machines of the build host run", fix="infra local build-host down")
    address = f"{NET}.{number}.2"
    proc.run(["ip", "addr", "add", f"{NET}.{number}.1/30", "dev", link], deadline=10)
    proc.run(["ip", "link", "set", link, "up"], deadline=10)
    inside = ["nsenter", "-t", str(pid), "-n", "ip"]
    proc.run([*inside, "addr", "add", f"{address}/30", "dev", "eth0"], deadline=10)
    proc.run([*inside, "link", "set", "eth0", "up"], deadline=10)
    return address


def _wait(machine: Machine) -> None:
    """Until sshd greets."""
    limit = time.monotonic() + READY_DEADLINE
    while time.monotonic() < limit:
        with (
            contextlib.suppress(OSError),
            socket.create_connection((machine.address, machine.port), timeout=1) as line,
        ):
            line.settimeout(5)
            if line.recv(4) == b"SSH-":
                return
        if not machine.alive:
            break
        time.sleep(0.05)
    raise _failed(Path(machine.folder))


def _failed(folder: Path) -> LocalError:
    words = ""
    with contextlib.suppress(OSError):
        words = "\n".join((folder / "console").read_text(errors="replace").splitlines()[-5:])
    return LocalError(
        "the build host's machine did not start",
        where=str(folder),
        why=words or f"its sshd did not answer within {READY_DEADLINE:.0f} s",
        fix="infra local build-host status says what it needs",
    )


def _clear(folder: Path) -> None:
    """Remove what a machine that has ended left: its files, and its empty cgroups."""
    shutil.rmtree(folder, ignore_errors=True)
    group = _cgroup(folder.name)
    if group is None or not group.is_dir():
        return
    with contextlib.suppress(OSError):
        (group / "cgroup.kill").write_text("1")
    for inner, _, _ in sorted(os.walk(group), reverse=True):
        for _ in range(50):
            try:
                Path(inner).rmdir()
                break
            except FileNotFoundError:
                break
            except OSError:  # its processes are still ending
                time.sleep(0.02)


def _network(pid: int) -> str:
    with contextlib.suppress(OSError):
        return str(Path(f"/proc/{pid}/ns/net").readlink())
    return ""


def _began(pid: int) -> int:
    """When a process began, in clock ticks since boot: with its number it is unique. 0 when there is none."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        text = Path(f"/proc/{pid}/stat").read_text()
        fields = text.rpartition(")")[2].split()
        return 0 if fields[0] == "Z" else int(fields[19])
    return 0


def _children(pid: int) -> list[int]:
    with contextlib.suppress(OSError):
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def _cgroup(name: str) -> Path | None:
    """The machine's own cgroup, where the kernel has the second kind; None for a kernel that has not."""
    for root in CGROUPS:
        if (root / "cgroup.procs").is_file() and (root / "cgroup.controllers").is_file():
            return root / "infra-build-host" / name
    return None
