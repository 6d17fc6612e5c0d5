"""The cookbooks base, docker, research and storage with a real client on a real Debian; and a machine made an image."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from infra.policy import of
from infra.policy.attributes import merge
from infra.spec.load import load
from tests.bed import Bed, Machine
from tests.bed.deb import build
from tests.chef import client
from tests.chef.node import Node
from tests.e2e import lab_parts

pytestmark = pytest.mark.skipif(bool(client.missing()), reason=client.missing())

MORE = [item for version in ("28.0.4", "28.5.2") for item in lab_parts.docker(version)] + lab_parts.docker(
    "28.9.9", client=False
)


class Lab:
    """A node, what it fetches, and a key for a user."""

    def __init__(self, bed: Bed, folder: Path) -> None:
        self.bed = bed
        self.node = Node(bed, folder / "node", debian=lab_parts.DEBIAN, more=MORE)
        deb = build(folder, "mount-s3", "1.21.0", files={"/usr/bin/mount-s3": lab_parts.MOUNT_S3})
        (folder / "site").mkdir()
        self.parts = lab_parts.site(folder / "site", deb.read_bytes(), bed.serve(folder / "site"))
        self.key = folder / "key"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.key], check=True, timeout=30)
        self.public = self.key.with_suffix(".pub").read_text().strip()

    def settings(self, infra: dict[str, Any]) -> dict[str, Any]:
        return merge(self.parts, infra)

    def login(self, user: str, command: str) -> subprocess.CompletedProcess[str]:
        return login(self.bed, self.node.machine, self.key, user, command)


def login(bed: Bed, machine: Machine, key: Path, user: str, command: str) -> subprocess.CompletedProcess[str]:
    options = [
        "-o",
        f"UserKnownHostsFile={bed.known_hosts()}",
        "-o",
        "StrictHostKeyChecking=yes",
        "-o",
        "BatchMode=yes",
    ]
    argv = ["ssh", "-i", key, *options, f"{user}@{machine.address}", command]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def lab(bed: Bed, tmp_path: Path) -> Lab:
    return Lab(bed, tmp_path)


def test_people_come_and_go(lab: Lab) -> None:
    ada, grace = {"keys": [lab.public], "sudo": True}, {"keys": [lab.public], "sudo": False}
    both = {"users": {"ada": ada, "grace": grace}}
    lab.node.converge(["base"], both).well()
    lab.node.converge(["base"], both).unchanged()
    assert lab.login("ada", "sudo -n id -u").stdout == "0\n"
    assert lab.login("grace", "sudo -n id -u").stdout == ""
    # Numbers follow from names: they are the same on every machine.
    assert lab.login("grace", "id -u").stdout == "22803\n"
    machine = lab.node.machine
    assert "passwordauthentication no\n" in machine.run("sshd -T").out
    assert machine.run("systemctl is-enabled apt-daily-upgrade.timer", check=False).out == "masked\n"
    assert machine.run("systemctl show -p DefaultLimitMEMLOCK").out == "DefaultLimitMEMLOCK=infinity\n"
    assert machine.run("sysctl -n net.core.somaxconn").out == "4096\n"

    # She leaves: no login, no sudo, her files stay. He loses his rights with her coming back.
    lab.node.converge(["base"], {"users": {"ada": ada}}).well()
    gone = lab.login("grace", "id")
    assert gone.returncode == 255 and gone.stdout == ""
    assert machine.run("test -d /home/grace && id -u grace").out == "22803\n"
    lab.node.converge(["base"], {"users": {"ada": ada}}).unchanged()
    back = {"users": {"ada": ada | {"sudo": False}, "grace": grace | {"sudo": True}}}
    lab.node.converge(["base"], back).well()
    assert lab.login("grace", "sudo -n id -u").stdout == "0\n"
    assert lab.login("ada", "sudo -n id -u").stdout == ""


def test_docker_by_version(lab: Lab) -> None:
    engine = ("docker-ce", "docker-ce-cli")

    def wanted(version: str, **more: Any) -> dict[str, Any]:
        return {"docker": {"version": version}, "users": {}} | more

    def held(version: str) -> dict[str, str]:
        return dict.fromkeys(engine, f"!5:{version}-1~debian.12~bookworm")

    lab.node.converge(["docker"], wanted("28.0")).well()
    assert lab.node.packages(*engine) == held("28.0.4")
    # What satisfies is left alone; what does not moves, with what belongs to it, to a version that both have.
    lab.node.converge(["docker"], wanted("28")).unchanged()
    lab.node.converge(["docker"], wanted("28.5")).well()
    assert lab.node.packages(*engine) == held("28.5.2")
    lab.node.converge(["docker"], wanted("27")).well()
    assert lab.node.packages(*engine) == held("27.5.1")
    refused = lab.node.converge(["docker"], wanted("31"))
    assert refused.code != 0
    assert 'no version of docker-ce fits "31": the repositories have 5:28.9.9' in refused.failed
    assert lab.node.packages(*engine) == held("27.5.1")

    gpus = wanted("27", nvidia={"driver": "580"})
    lab.node.converge(["docker"], gpus).well()
    daemon = json.loads(lab.node.machine.get("/etc/docker/daemon.json"))
    assert daemon["live-restore"] is True and "nvidia" in daemon["runtimes"]
    assert set(lab.node.packages("*nvidia-container*").values()) == {"!1.18.0-1"}
    lab.node.converge(["docker"], gpus).unchanged()
    lab.node.converge(["docker"], wanted("27")).well()
    assert "runtimes" not in json.loads(lab.node.machine.get("/etc/docker/daemon.json"))
    assert lab.node.packages("*nvidia-container*") == {}


def test_environments_by_version(lab: Lab) -> None:
    machine = lab.node.machine
    machine.run("apt-get install -qy docker-ce=5:28.5.2* && mkdir -p /opt/conda/envs/by-hand && groupadd infra-users")

    def wanted(**more: Any) -> dict[str, Any]:
        found = lab.settings({"research": more, "nvidia": {"driver": "580"}, "cuda": {"versions": ["12.9"]}})
        return {**found, "users": {}}

    lab.node.converge(["research"], wanted()).well()
    listed = machine.run("ls /opt/conda/envs").out.split()
    assert listed == ["jax", "pytorch", "tensorflow", "vision"]
    # The builds are those of the policy's CUDA, though there is no GPU here.
    assert machine.get("/opt/conda/envs/vision/specs") == b"12.9  numpy=2.2 opencv=4.11 python=3.12\n"
    assert machine.run("systemctl is-active infra-tensorboard").out == "active\n"
    lab.node.converge(["research"], wanted()).unchanged()

    # Somebody upgrades a package by hand: the environment is made anew.
    machine.run("sed -i s/numpy=2.2/numpy=2.3/ /opt/conda/envs/vision/specs")
    again = lab.node.converge(["research"], wanted()).well()
    assert again.updated == ("conda_environment[vision]",)
    assert "it has no numpy=2.2" in again.output

    fewer = wanted(
        environments={"jax": False, "vision": {"packages": {"numpy": "2.1"}}}, containers={"tensorboard": False}
    )
    changed = lab.node.converge(["research"], fewer).well()
    assert {"conda_environment[vision]", "conda_environment[jax]"} <= set(changed.updated)
    assert "conda_environment[pytorch]" not in changed.updated
    assert machine.run("ls /opt/conda/envs").out.split() == ["pytorch", "tensorflow", "vision"]
    assert b"numpy=2.1 opencv=4.11" in machine.get("/opt/conda/envs/vision/specs")
    assert machine.run("systemctl is-active infra-tensorboard", check=False).out == "inactive\n"
    lab.node.converge(["research"], fewer).unchanged()


STORAGE = {
    "home": {"kind": "nfs", "host": "nfs.example.org", "export": "/export/home", "mount": "/home"},
    "datasets": {"kind": "efs", "mount": "/data"},
    "results": {"kind": "s3", "bucket": "research-results", "mount": "/results"},
}


def test_storage_waits_for_nobody(lab: Lab) -> None:
    machine = lab.node.machine
    wanted = lab.settings({"storage": STORAGE, "users": {"ada": {"keys": [lab.public], "sudo": True}}})
    lab.node.converge(["base", "storage"], wanted).well()
    lab.node.converge(["base", "storage"], wanted).unchanged()
    assert machine.run("systemctl is-active autofs infra-storage.path").out == "active\nactive\n"
    assert machine.run("findmnt -n -o FSTYPE /home/ada").out == "autofs\n"
    assert machine.run("findmnt -n -o FSTYPE /results").out == "tmpfs\n"
    assert machine.run("systemctl is-active data.automount", check=False).out == "inactive\n"

    # It learns its place: the file system of this region, mounted when somebody looks.
    machine.put('{"region": "us-west-2", "efs": {"datasets": "fs-0123"}}', "/etc/infra/place.json")
    machine.run("for i in $(seq 50); do systemctl -q is-active data.automount && exit; sleep .2; done; exit 1")
    assert "What=fs-0123.efs.us-west-2.amazonaws.com:/" in machine.run("systemctl cat data.mount").out

    # No server answers: the machine starts, and people log in all the same (a home that is away is said so).
    machine.reboot()
    done = lab.login("ada", "echo here")
    assert (done.returncode, done.stdout) == (0, "here\n"), done.stderr
    assert machine.run("systemctl is-active data.automount infra-s3-results", check=False).out == "active\nactive\n"

    none = {**wanted, "storage": {}}
    lab.node.converge(["base", "storage"], none).well()
    assert machine.run("findmnt -n -o FSTYPE /home/ada", check=False).out == ""
    assert machine.run("systemctl is-active data.automount infra-s3-results", check=False).out == "inactive\ninactive\n"
    lab.node.converge(["base", "storage"], none).unchanged()


def test_a_whole_gpu_node_twice(lab: Lab) -> None:
    """All cookbooks of the role together, as far as a machine without a GPU can go; the second run changes nothing."""
    wanted = lab.settings(
        {
            "users": {"ada": {"keys": [lab.public], "sudo": True}},
            "nvidia": {"driver": "580", "module": "proprietary", "fabric_manager": True},
            "cuda": {"versions": ["12.9"]},
            "docker": {"version": "28"},
            "kubernetes": {"version": "1.36"},
            "storage": STORAGE,
            "hardware": {"gpus": ["10de:1b00"]},
        }
    )
    first = lab.node.converge(["role[gpu-node]"], wanted).well()
    assert "kernel module not built: no headers" in first.output
    assert set(lab.node.packages("docker-ce", "kubelet", "libcuda1", "nvidia-container-toolkit")) == {
        *("docker-ce", "kubelet", "libcuda1", "nvidia-container-toolkit"),
    }
    lab.node.converge(["role[gpu-node]"], wanted).unchanged()


CLUSTER = """
version: 1
cluster: lab
aws: {{regions: [us-west-2]}}
access:
  users:
    ada: {{keys: ["{key}"], sudo: true}}
profiles:
  cpu:
    os: ubuntu-22.04
    run_list: ["recipe[base]", "recipe[docker]", "recipe[storage]", "recipe[research]"]
    attributes:
      infra: {attributes}
storage:
  datasets: {{efs: {{}}, mount: /data}}
  results: {{s3: {{bucket: research-results}}, mount: /results}}
"""


def test_from_a_policy_to_an_image_to_a_machine(lab: Lab, bed: Bed, tmp_path: Path) -> None:
    """Converged, found good, sealed, found good as an image; started again, it is a machine with a key of its own."""
    machine = lab.node.machine
    mirror = {"uri": lab.node.url, "distribution": "./", "components": [], "trusted": True}
    attributes = merge(lab.parts, {"repositories": {"docker": mirror}})
    text = CLUSTER.format(key=lab.public, attributes=json.dumps(attributes))
    (tmp_path / "cluster.yaml").write_text(text)
    policy = of(load(tmp_path / "cluster.yaml"), "cpu")
    (tmp_path / "policy.tar").write_bytes(policy.archive())
    place = f"/var/lib/infra/policy/{policy.digest}"
    machine.put(tmp_path / "policy.tar", "/root/policy.tar")
    machine.run(f"mkdir -p {place} && tar -xf /root/policy.tar -C {place} && rm /root/policy.tar")
    smoke = f"{place}/bin/smoke"

    before = machine.run(f"{smoke} --json", check=False)
    failed = {item["name"] for item in json.loads(before.out)["checks"] if item["status"] == "FAIL"}
    assert before.code == 1
    assert {"user-ada", "sshd", "upgrades", "docker", "mount-data", "mount-results"} <= failed

    done = machine.run(f"{place}/bin/converge --client {client.find()}", check=False, timeout=600)
    assert done.code == 0, done.out[-3000:] + done.err
    good = machine.run(smoke, check=False)
    assert good.code == 0, good.out
    assert "PASS conda-vision: imports numpy, cv2\n" in good.out
    assert "SKIPPED mount-data: this machine was told of no file system for it" in good.out
    packages = machine.run(f"{smoke} --packages").out.splitlines()
    assert any(line.startswith("dpkg\t\tdocker-ce\t5:28.5.2-1") for line in packages)

    # Not yet an image: a name on each thing that is left.
    early = machine.run(f"{smoke} --image --json", check=False)
    left = {item["name"] for item in json.loads(early.out)["checks"] if item["status"] == "FAIL"}
    assert {"image-host-keys", "image-authorized-keys", "image-machine-id", "image-logs"} <= left
    machine.run("echo secret >/root/.bash_history; echo x >/var/log/auth.log")
    machine.run(f"{place}/bin/seal")
    sealed = machine.run(f"{smoke} --image", check=False)
    assert sealed.code == 0, sealed.out
    machine.run(f"{place}/bin/seal && {smoke} --image")

    old = machine.host_key
    machine.reboot()
    key = machine.settle().get("/etc/ssh/ssh_host_ed25519_key.pub").decode()
    assert key.split()[1] not in old
    (machine.folder / "host_key.pub").write_text(key)
    assert login(bed, machine, lab.key, "ada", "sudo -n id -u").stdout == "0\n"
    assert login(bed, machine, machine.key, machine.user, "id").returncode == 255  # the build's account has no key
    assert len(machine.get("/etc/machine-id").strip()) == 32
    again = machine.run(smoke, check=False)
    assert again.code == 0, again.out
