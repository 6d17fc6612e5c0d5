"""``chef/bin/smoke`` on machines that are made up: each check passes on a good one, and fails where it should."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.smoke_tree import DRIVER, LISTENING, SSHD, Tree

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the smoke test runs on Linux machines")

Spoil = Callable[[Tree], object]

# check -> (what was spoilt, how, a word of what is said)
FAULTS: list[tuple[str, str, Spoil, str]] = [
    ("policy", "of no profile", lambda t: t.conf.update(PROFILE=""), "nothing is known"),
    (
        "driver-userland",
        "no libraries",
        lambda t: t.remove(f"usr/lib/x86_64-linux-gnu/libnvidia-ml.so.{DRIVER}"),
        "580",
    ),
    (
        "driver-userland",
        "two drivers",
        lambda t: t.write("usr/lib/x86_64-linux-gnu/libnvidia-ml.so.575.57.08", ""),
        "575",
    ),
    ("driver-userland", "another branch", lambda t: t.conf.update(NVIDIA_DRIVER="575"), "wanted: 575"),
    ("driver-userland", "58 is no branch", lambda t: t.conf.update(NVIDIA_DRIVER="58"), "wanted: 58"),
    (
        "driver-loaded",
        "old module",
        lambda t: t.loaded("580.82.07"),
        "the kernel has 580.82.07, the libraries are of 580.95",
    ),
    ("driver-loaded", "no module", lambda t: t.remove("proc/driver/nvidia/version"), "2 GPUs, and no NVIDIA module"),
    (
        "driver-module",
        "closed",
        lambda t: t.loaded(DRIVER, "UNIX x86_64 Kernel Module"),
        "proprietary module is loaded",
    ),
    ("nvidia-smi", "fails", lambda t: t.answers("nvidia-smi", "Driver/library version mismatch", 18), "mismatch"),
    (
        "nvidia-smi",
        "a GPU fell off",
        lambda t: t.answers("nvidia-smi", "NVIDIA H100, 580"),
        "shows 1 GPUs, the PCI bus has 2",
    ),
    ("nouveau", "loaded", lambda t: t.write("proc/modules", "nouveau 1 0 - Live 0x0\n"), "nouveau"),
    ("fabric-manager", "missing", lambda t: t.fabric(None), "not installed"),
    ("fabric-manager", "split", lambda t: t.fabric("580.82.07-1"), "580.82.07, and the driver is 580.95.05"),
    ("fabric-manager", "stopped", lambda t: t.systemctl(inactive="nvidia-fabricmanager"), "inactive"),
    ("cuda-12.9", "missing", lambda t: t.remove("usr/local/cuda-12.9/bin/nvcc"), "is not there"),
    ("cuda-12.9", "another", lambda t: t.nvcc("12.8", "exit 1"), "12.8"),
    ("cuda-kernel", "does not build", lambda t: t.nvcc("12.9", "echo unsupported; exit 1"), "unsupported"),
    (
        "cuda-kernel",
        "does not run",
        lambda t: t.nvcc("12.9", 'printf "#!/bin/sh\\necho GPU 0: no kernel image; exit 1\\n" >"$2"; chmod +x "$2"'),
        "no kernel image",
    ),
    ("docker", "down", lambda t: t.answers("docker", "Cannot connect to the Docker daemon", 1), "Cannot connect"),
    ("docker", "another version", lambda t: t.docker(version="27.5.1"), "27.5.1 runs, wanted: 28"),
    ("docker-held", "free", lambda t: t.answers("apt-mark", "docker-ce"), "docker-ce-cli containerd.io"),
    ("docker-runtime", "not NVIDIA's", lambda t: t.docker(runtimes="runc"), "runc"),
    ("docker-gpus", "one is missing", lambda t: t.docker(gpus=1), "1 of 2 GPUs"),
    ("conda-vision", "not whole", lambda t: t.remove("opt/conda/envs/vision/conda-meta/infra.json"), "not whole"),
    (
        "conda-vision",
        "import fails",
        lambda t: t.environment(
            "vision", ["opencv=4.11"], 'case "$2" in *cv2*) echo "ImportError: libGL"; exit 1;; esac'
        ),
        "libGL",
    ),
    ("conda-speech", "missing", lambda t: t.conf.update(ENVIRONMENTS="vision speech"), "is not there"),
    ("user-ada", "no account", lambda t: t.write("etc/passwd", "grace:x:1:1:::\n"), "no account"),
    ("user-ada", "expired", lambda t: t.write("etc/shadow", "ada:!:1:0:99999:7::1:\n"), "expired"),
    ("user-ada", "no keys", lambda t: t.remove("etc/ssh/authorized_keys.d/ada"), "not there"),
    ("sshd", "passwords", lambda t: t.answers("sshd", SSHD.replace("authentication no", "authentication yes")), "yes"),
    ("sshd", "not ours", lambda t: t.remove("etc/ssh/sshd_config.d/10-infra.conf"), "is not there"),
    ("sshd", "broken", lambda t: t.answers("sshd", "line 3: Bad configuration option", 255), "Bad configuration"),
    ("ports", "a stranger", lambda t: (t.conf.update(KUBERNETES=""), t.answers("ss", LISTENING)), "10250"),
    ("ssh-port-22", "nobody", lambda t: t.answers("ss", "LISTEN 0 1 127.0.0.1:22 0.0.0.0:*"), "cannot be logged in to"),
    ("upgrades", "awake", lambda t: t.remove("etc/systemd/system/apt-daily.timer"), "apt-daily.timer"),
    ("kubelet", "another version", lambda t: t.answers("kubelet", "Kubernetes v1.35.9"), "1.35.9, wanted: 1.36"),
    ("mount-home", "no line", lambda t: t.write("etc/auto.infra", ""), "no line"),
    (
        "mount-home",
        "no server",
        lambda t: t.write("proc/mounts", "/etc/auto.infra /home/ada autofs rw 0 0\n"),
        "not mount",
    ),
    ("mount-home", "no autofs", lambda t: t.systemctl(inactive="autofs"), "autofs is inactive"),
    ("mount-data", "no line", lambda t: t.write("etc/infra/storage.conf", "s3 results /results bucket\n"), "no line"),
    ("mount-data", "away", lambda t: t.write("proc/mounts", "systemd-1 /data autofs rw 0 0\n"), "not mounted"),
    ("mount-results", "away", lambda t: t.write("proc/mounts", ""), "not mounted"),
    ("units", "failed", lambda t: t.systemctl(failed="kubelet.service"), "kubelet.service"),
]
LEFT = {
    "image-host-keys": "etc/ssh/ssh_host_ed25519_key",
    "image-authorized-keys": "home/ubuntu/.ssh/authorized_keys",
    "image-private-keys": "root/.ssh/id_ed25519",
    "image-cloud-init": "var/lib/cloud/instances/i-0123/sem/config_ssh",
    "image-history": "home/ubuntu/.bash_history",
    "image-place": "etc/infra/place.json",
    "image-pull": "etc/infra/pull.env",
    "image-random-seed": "var/lib/systemd/random-seed",
    "image-machine-id": "etc/machine-id",
    "image-logs": "var/log/auth.log",
}


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


def test_a_good_machine_passes(tree: Tree) -> None:
    code, checks = tree.smoke()
    assert code == 0, checks
    assert {status for status, _ in checks.values()} == {"PASS"}, checks
    lines = tree.run().stdout.splitlines()
    assert f"PASS driver-loaded: the kernel has {DRIVER}, as the libraries" in lines
    assert len(lines) == len(checks)


def test_a_good_image_passes(tree: Tree) -> None:
    code, checks = tree.smoke("--image")
    assert code == 0, checks
    assert set(LEFT) < set(checks)
    assert {name for name, (status, _) in checks.items() if status == "SKIPPED"} == {
        *("mount-home", "mount-data", "mount-results"),
    }


@pytest.mark.parametrize(("name", "spoilt", "how", "said"), FAULTS, ids=[f"{a}: {b}" for a, b, _, _ in FAULTS])
def test_what_is_spoilt_is_found(tree: Tree, name: str, spoilt: str, how: Spoil, said: str) -> None:
    how(tree)
    code, checks = tree.smoke()
    assert code == 1
    assert checks[name][0] == "FAIL", checks
    assert said in checks[name][1]


@pytest.mark.parametrize(("name", "path"), LEFT.items())
def test_what_is_left_in_an_image_is_found(tree: Tree, name: str, path: str) -> None:
    tree.write(path, "left\n")
    assert tree.smoke()[0] == 0, "it is no fault of a machine that is none"
    code, checks = tree.smoke("--image")
    assert code == 1
    assert [check for check, (status, _) in checks.items() if status == "FAIL"] == [name]
    assert name == "image-machine-id" or path.startswith(
        checks[name][1].removeprefix("left: /").removeprefix("not empty: /").strip()
    )


def test_every_check_can_fail(tree: Tree) -> None:
    """A check that cannot fail is none."""
    _, checks = tree.smoke("--image")
    alike = {"user-grace": "user-ada"}
    assert {alike.get(name, name) for name in checks} <= {name for name, *_ in FAULTS} | set(LEFT)


def test_without_a_gpu_what_was_not_tried_is_said_loudly(tree: Tree) -> None:
    tree.no_gpu()
    code, checks = tree.smoke()
    assert code == 0, checks
    skipped = {name for name, (status, what) in checks.items() if status == "SKIPPED" and "NO NVIDIA GPU" in what}
    assert skipped == {"driver-loaded", "nvidia-smi", "cuda-kernel", "docker-gpus"}
    assert checks["driver-userland"][0] == "PASS"


def test_without_a_toolkit_pytorch_runs_the_kernel(tree: Tree) -> None:
    tree.conf.update(CUDA_VERSIONS="")
    tree.remove("usr/local/cuda-12.9/bin/nvcc")
    assert "neither a toolkit" not in tree.smoke()[1]["cuda-kernel"][1]
    tree.environment("torch", ["pytorch=2.6"], "echo 2 GPUs added, by PyTorch 2.6.0")
    tree.environment("vision", ["numpy=2.2"], 'case "$2" in *torch*) exit 1;; esac')
    assert tree.smoke()[1]["cuda-kernel"] == ("PASS", "2 GPUs added, by PyTorch 2.6.0")
    tree.environment(
        "torch", ["pytorch=2.6"], 'case "$2" in *device_count*) echo "AssertionError: no CUDA"; exit 1;; esac'
    )
    assert tree.smoke()[1]["cuda-kernel"] == ("FAIL", "AssertionError: no CUDA")


def test_a_port_that_the_policy_names_is_no_fault(tree: Tree) -> None:
    tree.conf.update(KUBERNETES="")
    tree.write("etc/infra/ports", "9100\n10250\n")
    assert tree.smoke()[1]["ports"][0] == "PASS"


def test_nothing_that_builds_a_kernel_is_a_fault(tree: Tree) -> None:
    tree.conf.update(CUDA_VERSIONS="", ENVIRONMENTS="")
    tree.remove("usr/local/cuda-12.9/bin/nvcc")
    tree.environment("vision", ["numpy=2.2"], 'case "$2" in *torch*) exit 1;; esac')
    assert tree.smoke()[1]["cuda-kernel"][0] == "FAIL"


def test_a_machine_of_an_unknown_policy_fails(tree: Tree) -> None:
    tree.conf.clear()
    code, checks = tree.smoke()
    assert (code, list(checks), checks["policy"][0]) == (1, ["policy"], "FAIL")


def test_a_program_that_hangs_is_a_fault(tree: Tree) -> None:
    tree.program("timeout", 'shift; case "$1" in docker) exit 124;; esac; exec "$@"')
    code, checks = tree.smoke()
    assert code == 1
    assert checks["docker"] == ("FAIL", "exit 124: no answer within 60 s")


def test_packages_as_a_list(tree: Tree) -> None:
    listed = "installed dpkg\\t\\tcurl\\t7.88.1-10\\tamd64\\nconfig-files dpkg\\t\\told\\t1\\tamd64\\n"
    tree.program("dpkg-query", f"printf '{listed}'")
    tree.write("opt/conda/envs/vision/conda-meta/py-opencv-4.11.0-headless_py312.json", "{}")
    info = "opt/conda/envs/vision/lib/python3.12/site-packages/einops-0.8.1.dist-info"
    tree.write(f"{info}/INSTALLER", "pip\n")
    tree.write(f"{info}/METADATA", "Metadata-Version: 2.3\nName: einops\nVersion: 0.8.1\n\nText\n")
    assert tree.run("--packages").stdout.splitlines() == [
        "dpkg\t\tcurl\t7.88.1-10\tamd64",
        "conda\tvision\tpy-opencv\t4.11.0\t",
        "pip\tvision\teinops\t0.8.1\t",
    ]


def test_a_list_that_cannot_be_read_is_no_list(tree: Tree) -> None:
    tree.program("dpkg-query", "echo 'dpkg-query: error: parsing file' >&2; exit 2")
    said = tree.run("--packages")
    assert (said.returncode, said.stdout) == (1, "")


def test_wrong_usage(tree: Tree) -> None:
    assert tree.run("--jsn").returncode == 64
    assert "--image" in tree.run("--help").stdout
