"""A bed: some machines on a network of their own, and the repository that they install from."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import http.server
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO

from tests.bed import root as roots
from tests.bed.machine import SCRIPT, Machine, Mode, _until

BEDS = range(1, 250)  # beds at a time on one host; each has a /24
RUN = Path("/run/infra-bed")
TOOLS = ("ip", "mmdebstrap", "nsenter", "ssh-keygen", "unshare", "dpkg-deb")


def unavailable() -> str:
    """Why no test machine can be made here; empty when it can."""
    if sys.platform != "linux":
        return "test machines need Linux"
    if os.geteuid() != 0:
        return "test machines need root (namespaces, overlay mounts)"
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        return f"test machines need {', '.join(missing)}: apt-get install mmdebstrap iproute2 openssh-client"
    if "overlay" not in Path("/proc/filesystems").read_text():
        return "test machines need overlayfs in this kernel"
    if not (_cgroups() / "cgroup.procs").exists():
        return "test machines need cgroup2"
    return ""


class Bed:
    """Machines that end with it. ``gateway`` is the host's address on their network: serve there what they fetch.

    ``root`` is another root file system than the cached Debian.
    """

    def __init__(self, *, root: Path | None = None) -> None:
        reason = unavailable()
        assert not reason, reason
        self.root = root or roots.debian()
        self.number, self._lock = _claim()
        self.name = f"infra-bed-{self.number}"
        self.folder = RUN / str(self.number)
        self.gateway = f"10.99.{self.number}.1"
        self.machines: list[Machine] = []
        self._servers: list[http.server.ThreadingHTTPServer] = []
        self._cgroup = _cgroups() / self.name
        self.key = self.folder / "id_ed25519"
        with contextlib.ExitStack() as undo:
            undo.callback(self.down)
            _clear(self.name, self._cgroup, self.folder)
            self.folder.mkdir(parents=True)
            self._cgroup.mkdir()
            words = ["-q", "-t", "ed25519", "-N", "", "-C", "bed", "-f", str(self.key)]
            subprocess.run(["ssh-keygen", *words], check=True, timeout=30)
            self._network()
            undo.pop_all()

    def __enter__(self) -> Bed:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.down()

    def start(self, n: int = 1, mode: Mode = "systemd", *, layers: Sequence[Path] = ()) -> list[Machine]:
        """``n`` more machines that answer ssh. ``layers`` are folders laid over the root, the first on top."""
        more = [self._make(len(self.machines) + i, mode, layers) for i in range(n)]
        self.machines += more
        for machine in more:
            machine.power("on")
        return [machine.wait() for machine in more]

    def serve(self, folder: Path) -> str:
        """Serve a folder over HTTP on the machines' network; its URL."""
        handler = functools.partial(_Quiet, directory=str(folder))
        server = http.server.ThreadingHTTPServer((self.gateway, 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self._servers.append(server)
        return f"http://{self.gateway}:{server.server_address[1]}"

    def packages(self, names: Sequence[str] = (), debs: Sequence[Path] = (), *, name: str = "packages") -> str:
        """Serve a flat apt repository with these Debian packages, what they need, and these files; its URL."""
        folder = self.folder / name
        roots.index(folder, [*(roots.download(names) if names else ()), *debs])
        return self.serve(folder)

    def known_hosts(self) -> Path:
        """A ``known_hosts`` file with every machine's key."""
        path = self.folder / "known_hosts"
        path.write_text("".join(f"{machine.address} {machine.host_key}\n" for machine in self.machines))
        return path

    def down(self) -> None:
        """End every machine and leave nothing behind."""
        for server in self._servers:
            server.shutdown()
            server.server_close()
        _clear(self.name, self._cgroup, self.folder)
        self.machines.clear()
        self._lock.close()

    def _network(self) -> None:
        host, inner = f"ibed{self.number}", "host"
        for argv in (
            f"netns add {self.name}",
            f"-n {self.name} link set lo up",
            f"-n {self.name} link add bridge type bridge",
            f"-n {self.name} link set bridge up",
            f"link add {host} type veth peer name {inner} netns {self.name}",
            f"-n {self.name} link set {inner} master bridge up",
            f"addr add {self.gateway}/24 dev {host}",
            f"link set {host} up",
        ):
            _ip(argv)

    def _make(self, number: int, mode: Mode, layers: Sequence[Path]) -> Machine:
        network = f"{self.name}-{number}"
        address = f"10.99.{self.number}.{number + 2}"
        for argv in (
            f"netns add {network}",
            f"-n {network} link set lo up",
            f"-n {self.name} link add port{number} type veth peer name eth0 netns {network}",
            f"-n {self.name} link set port{number} master bridge up",
            f"-n {network} addr add {address}/24 dev eth0",
            f"-n {network} link set eth0 up",
        ):
            _ip(argv)
        folder = self.folder / f"node{number}"
        cgroup = self._cgroup / f"node{number}"
        folder.mkdir()
        cgroup.mkdir()
        for file, text in {
            "mode": mode,
            "name": f"node{number}\n",
            "lower": ":".join(str(layer) for layer in (*layers, self.root)),
            "network": f"/run/netns/{network}",
            "cgroup": str(cgroup),
            "key.pub": self.key.with_suffix(".pub").read_text(),
        }.items():
            (folder / file).write_text(text)
        return Machine(f"node{number}", address, mode, folder, cgroup, network, self.key)


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        return None


def _cgroups() -> Path:
    hybrid = Path("/sys/fs/cgroup/unified")
    return hybrid if hybrid.is_dir() else Path("/sys/fs/cgroup")


def _claim() -> tuple[int, IO[str]]:
    """A number that no living bed has. Its lock ends with this process, however that ends."""
    RUN.mkdir(exist_ok=True)
    limit = Path("/proc/sys/fs/inotify/max_user_instances")
    if int(limit.read_text()) < 4096:  # 128 is enough for some 24 machines
        limit.write_text("8192")
    for number in BEDS:
        file = (RUN / f"{number}.lock").open("w")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            continue
        return number, file
    raise AssertionError(f"{len(BEDS)} beds run on this machine: end some")


def _clear(name: str, cgroup: Path, folder: Path) -> None:
    """Remove a bed's machines, networks and files: after its use, or what a killed process left."""
    if cgroup.is_dir():
        (cgroup / "cgroup.kill").write_text("1")  # exactly our trees
        _until(lambda: "populated 0" in (cgroup / "cgroup.events").read_text(), 20, f"{name} still runs")
        for directory in sorted((item for item in cgroup.rglob("*") if item.is_dir()), reverse=True):
            with contextlib.suppress(OSError):
                directory.rmdir()
        with contextlib.suppress(OSError):
            cgroup.rmdir()
    link = f"ibed{folder.name}"
    if Path("/sys/class/net", link).exists():  # it would go with its peer's namespace, but some time later
        subprocess.run(["ip", "link", "del", link], check=False, capture_output=True, timeout=10)
    for network in Path("/run/netns").glob("infra-bed-*") if Path("/run/netns").is_dir() else ():
        if network.name == name or network.name.startswith(f"{name}-"):
            subprocess.run(["ip", "netns", "del", network.name], check=False, capture_output=True, timeout=10)
    if folder.is_dir():
        shutil.rmtree(folder)


def _ip(words: str) -> None:
    done = subprocess.run(["ip", *words.split()], capture_output=True, text=True, timeout=10, check=False)
    assert done.returncode == 0, f"ip {words}: {done.stderr}"


__all__ = ["SCRIPT", "Bed", "unavailable"]
