"""kube-upgrade on a machine, with stand-ins for apt, dpkg, systemctl and kubeadm that record what they are told."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.ssm import Ssm
from tests.unit.kube_machine import NEEDS, Machine

MISSING = [name for name in NEEDS if shutil.which(name) is None]
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")
LIST = "etc/apt/sources.list.d/infra-kubernetes.list"
# Each keeps the version of a package in a file of its name; what apt installs is recorded in `did`.
PROGRAMS = {
    "dpkg-query": 'for last; do :; done; cat "$INFRA_PREFIX/pkg/$last"',
    "apt-cache": """[ -e "$INFRA_PREFIX/fresh" ] || exit 0
grep -q "v1.37" "$INFRA_PREFIX"/etc/apt/sources.list.d/*.list || exit 0
printf ' kubeadm | 1.37.%s-1.1 | https://x Packages\\n' 2 10 1""",
    "apt-get": """case $1 in update) touch "$INFRA_PREFIX/fresh" && echo update >>"$INFRA_PREFIX/did" && exit ;; esac
for word; do case $word in *=1.*) echo "install $word" >>"$INFRA_PREFIX/did"
[ ! -e "$INFRA_PREFIX/broken-${word%%=*}" ] || exit 100
printf %s "${word#*=}" >"$INFRA_PREFIX/pkg/${word%%=*}" ;; esac; done""",
    "apt-mark": ":",
    "systemctl": 'case $1 in restart) echo "restart $2" >>"$INFRA_PREFIX/did" ;; esac',
    "kubeadm": 'echo "kubeadm $*" >>"$INFRA_PREFIX/did"; [ ! -e "$INFRA_PREFIX/broken-$2" ]',
}


@pytest.fixture
def node(tmp_path: Path) -> Machine:
    machine = Machine(tmp_path, "a1", Ssm())
    for name, text in PROGRAMS.items():
        machine.program(name, f"#!/bin/sh\n{text}\n")
    (machine.root / "pkg").mkdir()
    for name in ("kubeadm", "kubelet", "kubectl"):
        (machine.root / "pkg" / name).write_text("1.36.2-1.1")
    (machine.root / LIST).parent.mkdir(parents=True)
    (machine.root / LIST).write_text("deb [signed-by=/k] https://pkgs.k8s.io/core:/stable:/v1.36/deb/ /\n")
    (machine.etc / "manifests").mkdir(parents=True)
    (machine.etc / "kubelet.conf").write_text("kubelet")
    (machine.etc / "manifests/kube-apiserver.yaml").write_text("api")
    return machine


def test_one_minor_version_is_one_step_that_goes_on_where_it_stopped(node: Machine) -> None:
    (node.root / "broken-apply").touch()
    node.run("kube-upgrade", "apply", "1.37", code=1)
    assert "kubeadm upgrade apply v1.37.10: it failed" in node.said and "fix: " in node.said
    assert node.did == ["update", "install kubeadm=1.37.10-1.1", "kubeadm upgrade apply v1.37.10"]
    assert "/v1.37/" in (node.root / LIST).read_text()
    (node.root / "broken-apply").unlink()
    (node.root / "broken-kubectl").touch()
    node.run("kube-upgrade", "apply", "1.37", code=1)
    assert node.did[1:] == [
        "kubeadm upgrade apply v1.37.10",
        "install kubelet=1.37.10-1.1",
        "install kubectl=1.37.10-1.1",
    ]
    (node.root / "broken-kubectl").unlink()
    node.run("kube-upgrade", "apply", "1.37")
    assert node.did == ["update", "install kubectl=1.37.10-1.1", "restart kubelet"]
    node.run("kube-upgrade", "apply", "1.37")
    assert node.did == ["update"] and "this machine has Kubernetes v1.37.10" in node.said


def test_the_others_follow_and_a_patch_may_be_named(node: Machine) -> None:
    (node.etc / "manifests/kube-apiserver.yaml").unlink()
    node.run("kube-upgrade", "apply", "1.37", code=78)
    node.run("kube-upgrade", "node", "1.37.2")
    assert node.did[1:3] == ["install kubeadm=1.37.2-1.1", "kubeadm upgrade node"] and node.did[-1] == "restart kubelet"
    node.run("kube-upgrade", "version")
    assert '"kubelet": "1.37.2"' in node.said and '"joined": false' in node.said


@pytest.mark.parametrize(
    ("version", "code", "says"),
    [
        ("1.38", 65, "take 1.37 first"),
        ("1.35", 65, "does not go back"),
        ("1.37.9", 65, "there is no kubeadm 1.37.9"),
        ("37", 64, "the version is missing, or none"),
    ],
)
def test_what_kubernetes_does_not_do_is_refused(node: Machine, version: str, code: int, says: str) -> None:
    node.run("kube-upgrade", "apply", version, code=code)
    assert says in node.said and not [line for line in node.did if line != "update"]
