"""Test machines as the cookbook kubernetes leaves them, with a stand-in for kubeadm."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.bed import Machine
from tests.bed import root as roots
from tests.unit.kube_machine import CHEF, KUBEADM, SCRIPTS, authority

HERE = "/usr/local/lib/infra"
PACKAGES = ("curl", "jq", "openssl")


BLOCK = r"<<~UNIT\n(.*?)\n +UNIT"
CALL = r"InfraKubernetes\.boot_unit\(\s*'(.*?)',\s*'(.*?)'(?:,\s*after: %w\[(.*?)\])?\s*\)"


def units() -> dict[str, str]:
    """The services that the recipes write, by name."""
    book = CHEF / "cookbooks/kubernetes"
    boot = re.search(BLOCK, (book / "libraries/infra_kubernetes.rb").read_text(), re.S)
    assert boot is not None
    found = {}
    for recipe in ("join", "control_plane", "address"):
        text = (book / f"recipes/{recipe}.rb").read_text()
        for name, body in re.findall(rf"systemd_unit '([\w.-]+)' do\n +content {BLOCK}", text, re.S):
            found[name] = re.sub(r"(?m)^ {4}", "", body) + "\n"
        for name, program, title, after in re.findall(rf"systemd_unit '([\w.-]+)' do\n +content {CALL}", text):
            unit = re.sub(r"(?m)^ {6}", "", boot[1]).replace("#{program}", program).replace("#{description}", title)
            words = re.sub(r"#\{\['(.*)', \*after\]\.join\(' '\)\}", rf"\1 {after}", unit).replace("', '", " ")
            assert "#{" not in words
            found[name] = words + "\n"
    expected = {f"infra-{name}.service" for name in ("join", "control-plane", "kube-renew", "kube-address")}
    assert set(found) == expected | {"infra-kube-renew.timer"}
    return found


def prepare(machine: Machine, url: str, metadata: str) -> None:
    """As the cookbook leaves it; kubeadm is the stand-in."""
    machine.put(f"deb [trusted=yes] {url} ./\n", "/etc/apt/sources.list")
    machine.run(f"apt-get -q update && apt-get -qy install --no-install-recommends {' '.join(PACKAGES)}", timeout=300)
    machine.run(f"mkdir -p {HERE} /etc/infra /lab")
    for path in SCRIPTS.iterdir():
        machine.put(path, f"{HERE}/{path.name}", mode="0755")
    machine.put(KUBEADM, "/usr/local/bin/kubeadm", mode="0755")
    machine.put(f"[Service]\nEnvironment=INFRA_IMDS={metadata}/imds/{machine.name[-1]}\n", "/etc/infra-imds.conf")
    for name, unit in units().items():
        machine.put(unit, f"/etc/systemd/system/{name}")
        machine.run(
            f"mkdir -p /etc/systemd/system/{name}.d && cp /etc/infra-imds.conf /etc/systemd/system/{name}.d/imds.conf"
        )
    machine.run("systemctl daemon-reload && systemd-analyze verify infra-join.service infra-control-plane.service")


def read(machine: Machine, path: str) -> Any:
    return json.loads(machine.get(path).decode().split("\n---\n")[0])


# In place of an API server: it is there when kubeadm has left a manifest for it, and says whose it is.
API = """[Service]
ExecStartPre=/bin/sh -c 'mkdir -p /run/api && uname -n >/run/api/readyz && cp /run/api/readyz /run/api/version'
WorkingDirectory=-/run/api
ExecStart=/usr/bin/openssl s_server -quiet -accept 6443 -cert /lab/api.pem -key /lab/api.key -WWW
"""
WATCH = "[Path]\nPathExists=/etc/kubernetes/manifests/kube-apiserver.yaml\nUnit=api.service\n"
KUBECTL = "#!/bin/sh\nexit 0\n"  # etcd has no members to speak of
KUBELET = "#!/bin/sh\necho Kubernetes v1.36.2\n"


def layer(folder: Path, packages: Sequence[str], plan: dict[str, Any]) -> Path:
    """What the cookbook leaves on physical machines of a control plane, and the stand-ins, a layer of their disks."""
    for name in ("bin", "lib", "sbin"):  # as they are on the machines; a folder in its place would hide all of theirs
        (folder / "usr" / name).mkdir(parents=True)
        (folder / name).symlink_to(f"usr/{name}")
    for deb in roots.download(packages):
        tar = subprocess.run(["dpkg-deb", "--fsys-tarfile", deb], check=True, capture_output=True, timeout=60).stdout
        subprocess.run(["tar", "-C", folder, "--keep-directory-symlink", "-x"], input=tar, check=True, timeout=60)
    raw, ca = authority(folder)
    settings = {"cluster": {"kind": "ClusterConfiguration"}, "kubelet": {"kind": "KubeletConfiguration"}}
    texts = {
        "etc/infra/control-plane.json": json.dumps(plan),
        "etc/infra/kubeadm.json": json.dumps(settings),
        "etc/systemd/system/api.service": API,
        "etc/systemd/system/api.path": WATCH,
        "ca.pem": raw.decode(),
        "ca.hash": ca,
        f"lab/{ca}": raw.decode(),
        **{f"etc/systemd/system/{name}": text for name, text in units().items()},
    }
    programs = {f"{HERE[1:]}/{path.name}": path.read_text() for path in SCRIPTS.iterdir()}
    programs |= {f"usr/local/bin/{name}": text for name, text in BIN.items()}
    for name, text in {**texts, **programs}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755 if name in programs else 0o644)
    wants = folder / "etc/systemd/system/multi-user.target.wants"
    wants.mkdir()
    for unit in ("api.path", "infra-kube-address.service"):
        (wants / unit).symlink_to(f"/etc/systemd/system/{unit}")
    words = [
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-subj",
        "/CN=api",
        "-days",
        "1",
    ]
    pair = ["-keyout", str(folder / "lab/api.key"), "-out", str(folder / "lab/api.pem")]
    subprocess.run(["openssl", *words, *pair], check=True, capture_output=True, timeout=30)
    return folder


BIN = {"kubeadm": KUBEADM, "kubectl": KUBECTL, "kubelet": KUBELET}
