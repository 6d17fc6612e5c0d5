"""The cookbooks nvidia, cuda, efa and kubernetes with a real client on a real Debian, from packages of real names."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.bed import Bed
from tests.chef import client, dummies
from tests.chef.node import Node

pytestmark = pytest.mark.skipif(bool(client.missing()), reason=client.missing())

PASCAL = {"gpus": ["10de:1b00"]}
TURING = {"gpus": ["10de:1eb8"]}
SWITCHED = {"gpus": ["10de:2330"] * 8, "nvswitches": ["10de:22a3"] * 4}
DRIVER = ("*nvidia*", "libcuda1", "libnvcuvid1")


@pytest.fixture
def node(bed: Bed, tmp_path: Path) -> Iterator[Node]:
    yield Node(bed, tmp_path, debian=["curl", "jq", "kmod", "openssl"])


def driver(branch: str, module: str = "proprietary", **more: Any) -> dict[str, Any]:
    return {"nvidia": {"driver": branch, "module": module, "fabric_manager": False} | more, "hardware": PASCAL}


def test_a_driver_moves_as_a_whole(node: Node) -> None:
    wanted = driver("575", fabric_manager=True)
    first = node.converge(["nvidia"], wanted).well()
    assert "nvidia_driver[575]" in first.updated
    assert "kernel module not built: no headers" in first.output
    before = node.packages(*DRIVER)
    assert set(before.values()) == {"!575.57.08-1"}, before
    assert {"nvidia-kernel-dkms", "nvidia-fabricmanager-575", "libnvidia-ptxjitcompiler1"} <= set(before)
    assert set(node.packages("datacenter-gpu-manager*").values()) == {"!1:4.4.1-1"}
    node.converge(["nvidia"], wanted).unchanged()

    # The branch moves: every package with it, in one transaction, and all are on hold again.
    up = node.converge(["nvidia"], driver("580", fabric_manager=True)).well()
    assert "nvidia_driver[580]" in up.updated
    after = node.packages(*DRIVER)
    assert set(after.values()) == {"!580.95.05-1"}, after
    assert "nvidia-fabricmanager" in after and "nvidia-fabricmanager-575" not in after
    assert (
        node.machine.run("grep -c 'Commandline: apt-get install.*libcuda1=580' /var/log/apt/history.log").out == "1\n"
    )
    node.converge(["nvidia"], driver("580", fabric_manager=True)).unchanged()

    # An upgrade of everything else leaves it alone.
    node.machine.run("apt-get update -q && apt-get upgrade -y")
    assert node.packages(*DRIVER) == after

    # The other kernel module takes the place of the first.
    node.converge(["nvidia"], driver("580", "open", fabric_manager=True) | {"hardware": TURING}).well()
    kernel = node.packages("nvidia-kernel-*dkms")
    assert kernel == {"nvidia-kernel-open-dkms": "!580.95.05-1"}

    # Without machines with NVSwitches there is no fabric manager, and with them it is back.
    node.converge(["nvidia"], driver("580")).well()
    assert not node.packages("nvidia-fabricmanager*")
    node.converge(["nvidia"], driver("580")).unchanged()

    # Back to a lower branch, because the file says so; said in the log.
    down = node.converge(["nvidia"], driver("575", fabric_manager=True)).well()
    assert "back from 580.95.05-1 to 575.57.08" in down.output
    assert node.packages(*DRIVER) == before
    node.converge(["nvidia"], wanted).unchanged()


def test_a_machine_ahead_of_its_repository_stays(node: Node) -> None:
    node.converge(["nvidia"], driver("580")).well()
    there = node.packages(*DRIVER)
    lagging = node.bed.packages([], _older(), name="lagging")
    node.machine.run("rm /etc/apt/sources.list.d/bed.list")
    settings = driver("580") | {"repositories": {"nvidia": {"uri": lagging}}, "dcgm": {"version": False}}
    run = node.converge(["nvidia"], settings).well()
    assert "the driver 580.95.05 is kept" in run.output
    assert node.packages(*DRIVER) == there
    node.converge(["nvidia"], settings).unchanged()
    # A driver that no repository has is refused, and nothing is touched.
    refused = node.converge(["nvidia"], driver("570") | {"repositories": {"nvidia": {"uri": lagging}}})
    assert refused.code != 0 and "Fix: another nvidia.driver" in refused.failed
    assert node.packages(*DRIVER) == there


def _older() -> list[Path]:
    return dummies.build(dummies.debian_driver("580.65.06"))


def test_a_driver_that_does_not_fit_the_gpu_is_refused_first(node: Node) -> None:
    for wanted, hardware, says in (
        (driver("580", "open"), PASCAL, "Pascal) is not driven by the open kernel module"),
        (driver("590"), PASCAL, "has no driver after branch 580"),
        (driver("580"), {"gpus": ["10de:2901"]}, "Blackwell) is not driven by the proprietary kernel module"),
    ):
        run = node.converge(["nvidia"], wanted | {"hardware": hardware})
        assert run.code != 0 and says in run.failed and "Fix:" in run.failed
        assert run.updated == () and not node.packages(*DRIVER)


def test_services_wait_for_their_hardware(node: Node) -> None:
    node.converge(["nvidia"], driver("580", "open", fabric_manager=True) | {"hardware": SWITCHED}).well()
    for unit in ("nvidia-persistenced", "nvidia-fabricmanager", "nvidia-dcgm"):
        assert node.machine.run(f"systemctl is-enabled {unit}").out == "enabled\n"
        node.machine.run(f"systemctl start {unit}")  # no GPU on this bus: a condition that is not met is no failure
        assert node.machine.run(f"systemctl is-active {unit}", check=False).out == "inactive\n"
    assert "--persistence-mode" in node.machine.run("systemctl cat nvidia-persistenced").out
    # A driver that waits for a reboot: the converge is good, and says so until the machine has rebooted.
    node.machine.put("infra: the driver 580.95.05 is installed, nouveau is loaded\n", "/run/reboot-required")
    waiting = node.converge(["nvidia"], driver("580", "open", fabric_manager=True) | {"hardware": SWITCHED})
    assert (waiting.code, waiting.updated, waiting.failed) == (37, (), "")
    node.machine.reboot()
    assert node.machine.settle().run("systemctl --failed --no-legend | grep nvidia", check=False).out == ""
    node.converge(["nvidia"], driver("580", "open", fabric_manager=True) | {"hardware": SWITCHED}).unchanged()


def test_toolkits_stand_side_by_side(node: Node) -> None:
    two = {"cuda": {"versions": ["12.8", "12.9"]}}
    node.converge(["cuda"], two).well()
    assert set(node.packages("cuda-toolkit-*")) >= {"cuda-toolkit-12-8", "cuda-toolkit-12-9"}
    assert node.machine.run("readlink -f /usr/local/cuda").out == "/usr/local/cuda-12.9\n"
    assert node.machine.run("bash -lc 'nvcc'").out == "release 12.9\n"
    node.converge(["cuda"], two).unchanged()
    # Another default; then one leaves, with all that it brought.
    node.converge(["cuda"], {"cuda": {"versions": ["12.8", "12.9"], "default": "12.8"}}).well()
    assert node.machine.run("readlink -f /usr/local/cuda").out == "/usr/local/cuda-12.8\n"
    node.converge(["cuda"], {"cuda": {"versions": ["12.9"]}}).well()
    left = node.packages("cuda-*", "libcublas*")
    assert left and all("12-9" in name for name in left), left
    assert node.machine.run("readlink -f /usr/local/cuda").out == "/usr/local/cuda-12.9\n"
    node.converge(["cuda"], {"cuda": {"versions": ["12.9"]}}).unchanged()
    node.converge(["cuda"], {"cuda": {"versions": []}}).well()
    assert not node.packages("cuda-*", "libcublas*")


def test_a_kubernetes_node(node: Node) -> None:
    node.converge(["kubernetes"], {}).unchanged()
    wanted: dict[str, Any] = {"kubernetes": {"version": "1.35"}}
    node.converge(["kubernetes"], wanted).well()
    tools = ("kubelet", "kubeadm", "kubectl")
    assert node.packages(*tools) == dict.fromkeys(tools, "!1.35.4-1.1")
    config = node.machine.get("/etc/containerd/config.toml").decode()
    assert "SystemdCgroup = true" in config and "disabled_plugins" not in config and "nvidia" not in config
    node.converge(["kubernetes"], wanted).unchanged()

    wanted = driver("580") | {"kubernetes": {"version": "1.36"}}
    node.converge(["kubernetes"], wanted).well()
    assert node.packages(*tools) == dict.fromkeys(tools, "!1.36.2-1.1")
    assert "runtimes.nvidia" in node.machine.get("/etc/containerd/config.toml").decode()
    node.converge(["kubernetes"], wanted).unchanged()

    # It joins at its start when it is told its place; here its place says that it is no node.
    node.machine.put('{"role": "host"}', "/etc/infra/place.json")
    node.machine.run("systemd-analyze verify infra-join.service && systemctl start infra-join.service")
    node.machine.run(
        "for i in $(seq 50); do journalctl -u infra-join | grep 'not to be a node' && exit; sleep 0.2; done; exit 1"
    )

    # A machine that is a node goes to another minor version with its cluster, never by a converge.
    node.machine.run("mkdir -p /etc/kubernetes && touch /etc/kubernetes/kubelet.conf")
    node.converge(["kubernetes"], driver("580") | {"kubernetes": {"version": "1.35"}}).unchanged()
    assert node.packages(*tools) == dict.fromkeys(tools, "!1.36.2-1.1")


def test_a_machine_of_the_control_plane(node: Node) -> None:
    networks = {"pod_cidr": "10.32.0.0/13", "service_cidr": "10.31.0.0/16"}
    wanted: dict[str, Any] = {"kubernetes": {"version": "1.36", **networks}, "cluster": "lab"}
    node.converge(["kubernetes::control_plane"], wanted).well()
    told = json.loads(node.machine.get("/etc/infra/kubeadm.json"))
    assert told["cluster"]["networking"]["podSubnet"] == "10.32.0.0/13" and told["cluster"]["clusterName"] == "lab"
    assert told["kubelet"]["cgroupDriver"] == "systemd"
    node.machine.run("systemd-analyze verify infra-control-plane.service infra-kube-renew.timer")
    node.machine.run("systemctl is-enabled infra-control-plane.service infra-kube-renew.timer")
    node.machine.run("/usr/local/lib/infra/control-plane --help")
    node.converge(["kubernetes::control_plane"], wanted).unchanged()


def test_a_worker_whose_profile_a_physical_control_plane_has(bed: Bed, tmp_path: Path) -> None:
    node = Node(bed, tmp_path, debian=["curl", "jq", "keepalived", "kmod", "openssl"])
    virtual = node.machine.address.rpartition(".")[0] + ".200"

    def wanted(address: str) -> dict[str, Any]:
        plane = {"machines": [node.machine.address], "address": address}
        networks = {"pod_cidr": "10.32.0.0/13", "service_cidr": "10.31.0.0/16"}
        return {"kubernetes": {"version": "1.36", "control_plane": plane, **networks}, "cluster": "lab"}

    def address() -> str:
        return node.machine.run("ip -4 -o addr show dev eth0").out

    node.converge(["kubernetes"], wanted(virtual)).well()
    assert "keepalived" in node.packages("keepalived")
    node.machine.run("systemctl is-enabled infra-kube-address.service && /usr/local/lib/infra/control-plane --help")
    node.machine.run("systemctl start infra-kube-address.service && ! systemctl is-active infra-kube-address.service")
    node.machine.run("! systemctl is-active keepalived.service")
    node.converge(["kubernetes"], wanted(virtual)).unchanged()

    # It is made one of the control plane, and makes the cluster: the address comes, and goes when that has failed.
    node.machine.run("mkdir -p /var/lib/infra/kube /run/infra/control-plane.abc && touch /var/lib/infra/kube/plane")
    node.machine.run("touch /run/infra/control-plane.abc/making && systemctl start infra-kube-address.service")
    node.machine.run(f"for i in $(seq 100); do ip addr | grep -q {virtual}/32 && exit; sleep 0.2; done; exit 1")
    assert virtual in address()
    node.machine.run("rm -r /run/infra/control-plane.abc")
    node.machine.run(f"for i in $(seq 100); do ip addr | grep -q {virtual}/32 || exit 0; sleep 0.2; done; exit 1")
    node.converge(["kubernetes"], wanted("")).well()
    node.machine.run("! systemctl cat infra-kube-address.service")
    node.converge(["kubernetes"], wanted("")).unchanged()


def test_the_adapters_software_is_what_was_asked_for(node: Node, tmp_path: Path) -> None:
    folder = tmp_path / "efa"
    url = node.bed.serve(folder)

    def wanted(version: str) -> dict[str, Any]:
        sha256 = _installer(folder, version)
        return {"efa": {"version": version, "sha256": sha256, "url": f"{url}/aws-efa-installer-%{{version}}.tar.gz"}}

    first = node.converge(["efa"], wanted("1.38.1")).well()
    assert "efa_installer[1.38.1]" in first.updated and "efa: kernel module not built" in first.output
    node.converge(["efa"], wanted("1.38.1")).unchanged()
    node.converge(["efa"], wanted("1.41.0")).well()
    assert node.machine.run("cat /opt/amazon/words").out == "--yes --skip-kmod\n" * 2
    # Back: Amazon's installer has to be told.
    node.converge(["efa"], wanted("1.38.1")).well()
    assert "--uninstall" in node.machine.run("cat /opt/amazon/words").out
    node.converge(["efa"], wanted("1.38.1")).unchanged()
    # Something else than what was named is not run.
    wrong = wanted("1.43.0")
    wrong["efa"]["sha256"] = "0" * 64
    refused = node.converge(["efa"], wrong)
    assert refused.code != 0 and "checksum" in refused.failed.lower()
    assert "1.38.1" in node.machine.run("cat /opt/amazon/efa_installed_packages").out


INSTALLER = """#!/bin/sh
mkdir -p /opt/amazon
echo "$@" >>/opt/amazon/words
record=/opt/amazon/efa_installed_packages
case $* in
  *--uninstall*) rm $record ;;
  *) echo '# EFA installer version: %s' >$record ;;
esac
"""


def _installer(folder: Path, version: str) -> str:
    tree = folder / version / "aws-efa-installer"
    archive = folder / f"aws-efa-installer-{version}.tar.gz"
    if not archive.is_file():
        tree.mkdir(parents=True)
        (tree / "efa_installer.sh").write_text(INSTALLER % version)
        (tree / "efa_installer.sh").chmod(0o755)
        subprocess.run(["tar", "-C", tree.parent, "-czf", archive, tree.name], check=True, timeout=30)
    return hashlib.sha256(archive.read_bytes()).hexdigest()


def test_a_machine_that_says_it_is_ubuntu(bed: Bed, tmp_path: Path) -> None:
    """The names of NVIDIA's packages for Ubuntu have the branch in them: another branch's leave."""
    ubuntu = [item for upstream in dummies.DRIVERS for item in dummies.ubuntu_driver(upstream)]
    node = Node(bed, tmp_path, debian=["jq", "kmod"], more=ubuntu)
    node.machine.put('ID=ubuntu\nVERSION_ID="22.04"\nNAME=Ubuntu\nPRETTY_NAME="Ubuntu 22.04"\n', "/etc/os-release")
    node.converge(["nvidia"], driver("575", fabric_manager=True)).well()
    before = node.packages("*-575*")
    assert {"nvidia-dkms-575", "libnvidia-compute-575", "libnvidia-gpucomp-575"} <= set(before), before
    assert {value.split("-")[0] for value in before.values()} == {"!575.57.08"}
    wanted = driver("580", "open", fabric_manager=True) | {"hardware": TURING}
    node.converge(["nvidia"], wanted).well()
    assert not node.packages("*-575*")
    after = node.packages("*-580*")
    assert {"nvidia-dkms-580-open", "libnvidia-gpucomp-580", "nvidia-fabricmanager-580"} <= set(after), after
    assert {value.split("-")[0] for value in after.values()} == {"!580.95.05"}
    node.converge(["nvidia"], wanted).unchanged()
