"""One test machine, as a test handles it."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tests.bed.root import PASSWORD, USER

Mode = Literal["systemd", "plain"]
SCRIPT = Path(__file__).with_name("machine.sh")
PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Ran:
    """What a command on a machine did."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Machine:
    """``name``, ``address`` (an IPv4 address on the bed's network, port 22), and how it runs.

    ``key`` is the private key of the account ``user``, which may use sudo with ``password``. What is done through
    this object does not go through ssh: it works with an sshd that is broken, and leaves no trace in the log.
    """

    name: str
    address: str
    mode: Mode
    folder: Path
    cgroup: Path
    network: str
    key: Path
    user: str = USER
    password: str = PASSWORD

    @property
    def host_key(self) -> str:
        """Type and key of sshd's host key, as ``known_hosts`` has them after the address."""
        kind, value = (self.folder / "host_key.pub").read_text().split()[:2]
        return f"{kind} {value}"

    @property
    def pid(self) -> int:
        """The first process of the machine, as the host numbers it; 0 when it is off."""
        # Whatever is looked at may end meanwhile: a service's folder, a process.
        for folder, _, _ in os.walk(self.cgroup):
            for pid in _lines(Path(folder, "cgroup.procs")):
                inside = Path(f"/proc/{pid}/root")
                names = next((line for line in _lines(Path(f"/proc/{pid}/status")) if line.startswith("NSpid:")), "")
                if names.split()[-1:] != ["1"]:
                    continue
                with contextlib.suppress(OSError):
                    if (inside / "run/.boot_id").exists() and not (inside / ".host").exists():
                        return int(pid)
        return 0

    @property
    def boot_id(self) -> str:
        return self.run("cat /proc/sys/kernel/random/boot_id").out.strip()

    def run(
        self,
        command: str,
        *,
        check: bool = True,
        timeout: float = 120,
        stdin: str = "",
        env: dict[str, str] | None = None,
    ) -> Ran:
        """Run a shell command line as root inside. With ``check`` a non-zero exit is an AssertionError."""
        words = [
            "env",
            "-i",
            PATH,
            "HOME=/root",
            "LANG=C.UTF-8",
            *(f"{key}={value}" for key, value in (env or {}).items()),
        ]
        ran = _inside([*self._enter(), *words, "sh", "-c", command], stdin, timeout)
        assert not check or ran.code == 0, f"{self.name}: {command}: exit {ran.code}\n{ran.out}{ran.err}"
        return ran

    def put(self, source: Path | str, target: str, *, mode: str = "") -> None:
        """A file's or folder's content to the path ``target`` inside (its folder is made); text is written as it is."""
        folder = shlex.quote(str(Path(target).parent))
        if isinstance(source, Path) and source.is_dir():
            tar = subprocess.run(["tar", "-C", source, "-c", "."], capture_output=True, check=True, timeout=300).stdout
            self._feed(f"mkdir -p {shlex.quote(target)} && tar -C {shlex.quote(target)} --no-same-owner -x", tar)
            return
        data = source.encode() if isinstance(source, str) else source.read_bytes()
        if isinstance(source, Path) and not mode and os.access(source, os.X_OK):
            mode = "755"
        chmod = f" && chmod {mode} {shlex.quote(target)}" if mode else ""
        self._feed(f"mkdir -p {folder} && cat >{shlex.quote(target)}{chmod}", data)

    def get(self, path: str) -> bytes:
        """A file's content."""
        argv = [*self._enter(), "cat", path]
        return subprocess.run(argv, capture_output=True, check=True, timeout=60).stdout

    def power(self, state: Literal["on", "off"]) -> None:
        """Pull the plug, or put it back (the disk is kept). Off is at once; after on, ``wait``."""
        if state == "off":
            (self.cgroup / "cgroup.kill").write_text("1")
            _until(lambda: "populated 0" in (self.cgroup / "cgroup.events").read_text(), 10, f"{self.name} still runs")
            return
        with (self.folder / "console").open("ab") as console:
            subprocess.run(
                ["setsid", "--fork", SCRIPT, "supervise", self.folder],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                check=True,
                timeout=10,
            )

    def reboot(self, *, timeout: float = 60) -> None:
        """Restart the system inside as its own ``reboot`` does, and wait until it answers again."""
        before = self.boot_id
        self.run("systemctl reboot" if self.mode == "systemd" else "kill -TERM 1", check=False)
        if self.mode == "plain":
            _until(lambda: self.pid == 0, timeout, f"{self.name} did not stop")
            self.power("on")

        def again() -> bool:
            try:
                ran = self.run("cat /proc/sys/kernel/random/boot_id", check=False)
            except AssertionError:  # it is off at this moment
                return False
            return ran.code == 0 and ran.out.strip() not in ("", before)

        _until(again, timeout, f"{self.name} did not come back")
        self.wait(timeout=timeout)

    def link(self, state: Literal["up", "down"]) -> None:
        """Its network cable: what is in flight is lost, connections hang."""
        argv = ["nsenter", f"--net=/run/netns/{self.network}", "ip", "link", "set", "eth0", state]
        subprocess.run(argv, check=True, timeout=10)

    def wait(self, *, timeout: float = 90) -> Machine:
        """Until its sshd says its name. Raises AssertionError with the console's end when it does not in time."""
        _until(self._answers, timeout, f"{self.name} ({self.address}) does not answer ssh", self.folder / "console")
        return self

    def settle(self, *, timeout: float = 60) -> Machine:
        """Until systemd has started all it was going to."""
        self.run("systemctl is-system-running --wait", check=False, timeout=timeout)
        return self

    def _answers(self) -> bool:
        try:
            with socket.create_connection((self.address, 22), 1) as connection:
                connection.settimeout(5)
                return connection.recv(4) == b"SSH-"
        except OSError:
            return False

    def _enter(self) -> list[str]:
        pid = self.pid
        assert pid, f"{self.name} is off\n{_tail(self.folder / 'console')}"
        flags = ["--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--root", "--wd"]
        return ["nsenter", "--target", str(pid), *flags]

    def _feed(self, command: str, data: bytes) -> None:
        subprocess.run([*self._enter(), "sh", "-c", command], input=data, check=True, timeout=300)


def _inside(argv: list[str], stdin: str, timeout: float) -> Ran:
    """Run nsenter, and keep it going.

    A machine that shuts down stops everything in it (SIGSTOP) before it kills it. nsenter then stops itself as its
    child did, never hears that the child is dead, and the child's corpse keeps the machine's process namespace from
    ending: so it is told to go on, every now and then.
    """
    process = subprocess.Popen(
        argv,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    )
    end = time.monotonic() + timeout
    with process:
        given: str | None = stdin
        while True:
            try:
                out, err = process.communicate(given, timeout=1)
                return Ran(process.returncode, out, err)
            except subprocess.TimeoutExpired as late:
                process.send_signal(signal.SIGCONT)
                given = None  # communicate remembers what it has not sent yet
                if time.monotonic() > end:
                    process.kill()
                    late.timeout = timeout
                    raise


def _lines(path: Path) -> list[str]:
    """Of a file of the kernel's; [] when what it is about has ended."""
    try:
        return path.read_text().splitlines()
    except OSError:
        return []


def _tail(path: Path) -> str:
    return "\n".join(path.read_text(errors="replace").splitlines()[-20:]) if path.is_file() else ""


def _until(done: object, timeout: float, what: str, log: Path | None = None) -> None:
    assert callable(done)
    end = time.monotonic() + timeout
    while not done():
        assert time.monotonic() < end, f"{what} within {timeout:.0f} s\n{_tail(log) if log else ''}"
        time.sleep(0.05)
