"""A machine as the smoke test sees it: a tree of files and a folder of programs that answer. No root is needed."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra import assets

DRIVER = "580.95.05"
GOOD = {
    "COOKBOOKS": "base cuda docker kubernetes nvidia research storage",
    "CUDA_VERSIONS": "12.9",
    "DOCKER": "28",
    "ENVIRONMENTS": "vision",
    "FABRIC_MANAGER": "1",
    "KUBERNETES": "1.36",
    "MOUNTS": "efs:/data nfs:/home s3:/results",
    "NVIDIA_DRIVER": "580",
    "NVIDIA_MODULE": "open",
    "PROFILE": "gpu",
    "USERS": "ada grace",
}
SSHD = "port 22\npasswordauthentication no\npermitrootlogin no\npermitemptypasswords no\nusepam yes"
LISTENING = """\
LISTEN 0 128 0.0.0.0:22 0.0.0.0:*
LISTEN 0 128 [::]:22 [::]:*
LISTEN 0 128 127.0.0.1:6006 0.0.0.0:*
LISTEN 0 128 *:10250 *:*
LISTEN 0 128 0.0.0.0:111 0.0.0.0:*"""


@dataclass
class Tree:
    """``root`` is the machine's /, ``bin`` holds its programs; ``conf`` is what its policy expects."""

    folder: Path

    def __post_init__(self) -> None:
        self.root = self.folder / "root"
        self.bin = self.folder / "bin"
        self.conf: dict[str, str] = dict(GOOD)
        self.bin.mkdir(parents=True)
        self._files()
        self._programs()

    def write(self, path: str, text: str) -> None:
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        target.chmod(0o755 if text.startswith("#!") else 0o644)

    def remove(self, path: str) -> None:
        (self.root / path).unlink()

    def program(self, name: str, script: str) -> None:
        """What stands in for a program: ``script`` in sh."""
        (self.bin / name).write_text(f"#!/bin/sh\n{script}\n")
        (self.bin / name).chmod(0o755)

    def answers(self, name: str, text: str, code: int = 0) -> None:
        self.program(name, f"printf '%s\\n' {shlex.quote(text)}; exit {code}")

    def smoke(self, *words: str) -> tuple[int, dict[str, tuple[str, str]]]:
        """Exit code, and name -> (status, what)."""
        done = self.run("--json", *words)
        said: dict[str, Any] = json.loads(done.stdout)
        assert said["result"] == ("pass" if done.returncode == 0 else "fail")
        checks = {item["name"]: (item["status"], item["what"]) for item in said["checks"]}
        assert len(checks) == len(said["checks"]), "a name twice"
        return done.returncode, checks

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        conf = self.folder / "smoke.conf"
        conf.write_text("".join(f"{key}={shlex.quote(value)}\n" for key, value in self.conf.items()))
        env = {
            "PATH": f"{self.bin}:{os.environ['PATH']}",
            "INFRA_SMOKE_ROOT": str(self.root),
            "INFRA_SMOKE_CONF": str(conf),
        }
        argv = ["sh", str(assets.root("chef") / "bin/smoke"), *words]
        return subprocess.run(argv, env=env, capture_output=True, text=True, timeout=120, check=False)

    def no_gpu(self) -> None:
        for device in ("0000:01:00.0", "0000:02:00.0"):
            self.remove(f"sys/bus/pci/devices/{device}/vendor")
        self.remove("proc/driver/nvidia/version")
        self.answers("nvidia-smi", "NVIDIA-SMI has failed", 9)

    def _files(self) -> None:
        for device, kind in {
            "0000:01:00.0": "0x030200",
            "0000:02:00.0": "0x030200",
            "0000:03:00.0": "0x068000",
        }.items():
            self.write(f"sys/bus/pci/devices/{device}/vendor", "0x10de\n")
            self.write(f"sys/bus/pci/devices/{device}/class", f"{kind}\n")
        self.loaded(DRIVER)
        self.write(f"usr/lib/x86_64-linux-gnu/libnvidia-ml.so.{DRIVER}", "")
        self.write("usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1", "")
        self.write("proc/modules", "nvidia 1 0 - Live 0x0\n")
        mounts = "server:/export/home/ada /home/ada nfs4 rw 0 0", "fs:/ /data nfs4 rw 0 0", "s3 /results fuse rw 0 0"
        self.write("proc/mounts", "\n".join(mounts))
        self.nvcc("12.9", 'printf "#!/bin/sh\\necho 2 GPUs added 1048576 numbers each\\n" >"$2"; chmod +x "$2"')
        self.write(
            "etc/passwd", "root:x:0:0::/root:/bin/bash\nada:x:20001:20001::/home/ada:\ngrace:x:20002:20002::/:\n"
        )
        self.write("etc/shadow", "root:*:1:0:99999:7:::\nada:!:1:0:99999:7:::\ngrace:!:1:0:99999:7::99999:\n")
        for user in ("ada", "grace"):
            self.write(f"etc/ssh/authorized_keys.d/{user}", "ssh-ed25519 AAAA laptop\n")
        self.write("etc/ssh/sshd_config", "")
        own = "UsePAM yes\nPermitRootLogin no\nPasswordAuthentication no\n"
        self.write("etc/ssh/sshd_config.d/10-infra.conf", own)
        self.write("etc/infra/ports", "")
        for unit in ("apt-daily.timer", "apt-daily-upgrade.timer", "unattended-upgrades.service"):
            link = self.root / "etc/systemd/system" / unit
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to("/dev/null")
        self.write("etc/auto.infra", "/home/ada -fstype=nfs server:/export/home/ada\n")
        self.write("etc/infra/storage.conf", "efs datasets /data -\ns3 results /results bucket\n")
        self.write("run/systemd/system/data.automount", "")
        self.write("etc/machine-id", "")
        self.environment("vision", ["numpy=2.2", "opencv=4.11", "python=3.12"])

    def loaded(self, version: str, kind: str = "UNIX Open Kernel Module for x86_64") -> None:
        text = f"NVRM version: NVIDIA {kind}  {version}  Release Build\nGCC version:  gcc version 12.2.0\n"
        self.write("proc/driver/nvidia/version", text)

    def nvcc(self, version: str, build: str) -> None:
        """A toolkit whose nvcc says ``version`` and, asked to build, runs ``build``."""
        said = f"Cuda compilation tools, release {version}, V{version}.41"
        script = f'#!/bin/sh\nif [ "$1" = --version ]; then echo "{said}"; else {build}; fi\n'
        self.write("usr/local/cuda-12.9/bin/nvcc", script)

    def environment(self, name: str, specs: list[str], python: str = "exit 0") -> None:
        text = json.dumps({"channels": ["conda-forge"], "specs": specs, "digest": "0"}, indent=2)
        self.write(f"opt/conda/envs/{name}/conda-meta/infra.json", text)
        self.write(f"opt/conda/envs/{name}/bin/python", f"#!/bin/sh\n{python}\n")

    def docker(
        self, *, version: str = "28.5.2", runtimes: str = "io.containerd.runc.v2 nvidia runc", gpus: int = 2
    ) -> None:
        seen = "".join(f"echo 'GPU {i}: NVIDIA H100'\n" for i in range(gpus)) or ":"
        self.program(
            "docker",
            f'case "$1 $2" in "version --format") echo {version};; "info --format") echo "{runtimes}";;'
            f' "image ls") echo example/image:1;; "run "*) {seen};; esac',
        )

    def systemctl(self, *, inactive: str = "none", failed: str = "") -> None:
        listed = f"echo '{failed} loaded failed failed x'" if failed else ":"
        self.program(
            "systemctl",
            f'case "$1 $2" in "is-active {inactive}") echo inactive; exit 3;; "is-active "*) echo active;;'
            f' "--failed "*) {listed};; esac',
        )

    def fabric(self, version: str | None) -> None:
        said = f'*fabricmanager-580) printf "%s" {version}; exit 0;;' if version else ""
        self.program("dpkg-query", f'for last; do :; done; case "$last" in {said} esac; exit 1')

    def _programs(self) -> None:
        self.answers("nvidia-smi", f"NVIDIA H100, {DRIVER}\nNVIDIA H100, {DRIVER}")
        self.answers("sshd", SSHD)
        self.answers("ss", LISTENING)
        self.answers("apt-mark", "docker-ce\ndocker-ce-cli\ncontainerd.io")
        self.answers("kubelet", "Kubernetes v1.36.2")
        self.answers("g++", "")
        self.answers("ls", "")
        self.program("systemd-escape", 'for last; do :; done; echo "$last" | tr -d /')
        self.program("ssh-keygen", 'while [ "$1" != -f ]; do shift; done; : >"$2"')
        self.docker()
        self.systemctl()
        self.fabric(f"{DRIVER}-1")
