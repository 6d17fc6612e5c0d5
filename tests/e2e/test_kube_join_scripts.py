"""How machines make and join a cluster: the real scripts, an SSM that checks signatures, a stand-in for kubeadm."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ssm import Ssm, serve
from tests.unit.kube_machine import NEEDS, SCRIPTS, SHELL, Machine

MISSING = [name for name in NEEDS if shutil.which(name) is None]
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")
JOIN, ADMIN, LOCK = "/infra/lab/join", "/infra/lab/control-plane/admin.conf", "/infra/lab/control-plane/lock"


@pytest.fixture
def ssm() -> Iterator[Ssm]:
    with serve(Ssm()) as found:
        yield found
        assert found.wrong == []


@pytest.fixture
def plane(tmp_path: Path, ssm: Ssm) -> Machine:
    return Machine(tmp_path, "a1", ssm, "control-plane")


def published(machine: Machine, *, minutes: float = 90, **more: str) -> None:
    """As if that machine had made the cluster, and published a token that is good for so long."""
    lab = machine.top / "lab"
    (lab / machine.hash).write_bytes((machine.root / "ca.pem").read_bytes())
    expires = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(machine.ssm.now() + minutes * 60))
    told = {"endpoint": "api.lab:6443", "ca": machine.hash, "token": "abcdef.0123456789abcdef", "expires": expires}
    machine.ssm.put(JOIN, json.dumps(told | more), kind="SecureString")


def test_the_first_makes_the_cluster_and_the_others_join(tmp_path: Path, ssm: Ssm) -> None:
    ssm.strict = True
    plane = Machine(tmp_path, "a1", ssm, "control-plane")
    plane.run("control-plane", "--once")
    assert plane.did == ["init", "token create"] and plane.done and plane.left() == []
    assert plane.published == {
        "endpoint": "api.lab:6443",
        "ca": plane.hash,
        "token": plane.published["token"],
        "expires": plane.published["expires"],
        "by": "i-a1",
    }
    assert ssm.parameters[ADMIN].value.startswith("# admin of a1\n")
    secret = {name for name, parameter in ssm.parameters.items() if parameter.kind == "SecureString"}
    assert secret == {JOIN, ADMIN, "/infra/lab/control-plane/certificate-key"}
    documents = [json.loads(text) for text in (plane.root / "config").read_text().split("\n---\n")]
    assert documents[1]["controlPlaneEndpoint"] == "api.lab:6443" and documents[1]["kubernetesVersion"] == "v1.36.2"
    assert documents[1]["apiServer"]["certSANs"] == ["api.lab", "localhost"]

    other = Machine(tmp_path, "b2", ssm, "control-plane")
    other.run("control-plane", "--once")
    assert other.did == ["join"] and other.done and not (other.root / "var/lib/infra/kube/made").exists()
    key = ssm.parameters["/infra/lab/control-plane/certificate-key"].value
    assert other.config["controlPlane"]["certificateKey"] == documents[0]["certificateKey"] == key

    node = Machine(tmp_path, "c3", ssm)
    node.place(labels={"lab/queue": "batch"}, taints=[{"key": "a", "value": "b", "effect": "NoSchedule"}])
    node.run("join", "--once")
    assert node.config["discovery"]["bootstrapToken"] == {
        "token": plane.published["token"],
        "apiServerEndpoint": "api.lab:6443",
        "caCertHashes": [plane.hash],
    }
    registration = node.config["nodeRegistration"]
    assert registration["name"] == "ip-10-40-1-3.us-west-2.compute.internal"
    assert registration["taints"] == [{"key": "a", "value": "b", "effect": "NoSchedule"}]
    assert {item["name"]: item["value"] for item in registration["kubeletExtraArgs"]} == {
        "node-labels": "lab/queue=batch,node.kubernetes.io/instance-type=p3.8xlarge,"
        "topology.kubernetes.io/region=us-west-2,topology.kubernetes.io/zone=us-west-2b",
        "provider-id": "aws:///us-west-2b/i-c3",
    }

    # Nothing is done twice.
    asked = len(ssm.asked)
    node.run("join", "--once")
    plane.run("control-plane", "--once")
    assert node.did == plane.did == [] and len(ssm.asked) == asked


def killed(machine: Machine, at: str) -> None:
    """Run it until it asks that of SSM, which does it; then all of it dies."""
    machine.ssm.after = lambda action, name: (
        os.killpg(process.pid, signal.SIGKILL) if f"{action} {name}" == at else None
    )
    process = machine.start("control-plane", "--once")
    process.communicate(timeout=60)
    machine.ssm.after = lambda action, name: None
    assert process.returncode == -signal.SIGKILL


def test_killed_between_steps_it_goes_on(plane: Machine, ssm: Ssm) -> None:
    killed(plane, f"PutParameter {LOCK}/1")
    (plane.root / "broken").touch()  # kubeadm init ends in the middle, with half a machine left behind
    plane.run("control-plane", "--once", code=1)
    assert "it is broken" in plane.said and JOIN not in ssm.parameters
    (plane.root / "broken").unlink()
    killed(plane, f"PutParameter {JOIN}")
    assert [line for line in plane.did if line != "token create"][-2:] == ["reset", "init"] and not plane.done
    plane.run("control-plane", "--once")
    assert plane.did == [] and plane.done and plane.left() == []  # it was made already
    assert ssm.parameters[ADMIN].value.startswith("# admin of a1\n") and plane.published["ca"] == plane.hash


def test_of_two_at_once_one_makes_it(plane: Machine, ssm: Ssm, tmp_path: Path) -> None:
    other = Machine(tmp_path, "b2", ssm, "control-plane")
    both = threading.Barrier(2, timeout=30)

    def meet(action: str, name: str) -> None:
        if (action, name) == ("PutParameter", f"{LOCK}/1"):
            both.wait()

    ssm.before = meet
    running = [machine.start("control-plane", "--once") for machine in (plane, other)]
    said = [process.communicate(timeout=60)[0] for process in running]
    codes = {machine.name: process.returncode for machine, process in zip((plane, other), running, strict=True)}
    assert sorted(codes.values()) == [0, 75], said
    first, second = sorted((plane, other), key=lambda machine: codes[machine.name])
    assert first.published["ca"] == first.hash and "init" not in second.did
    second.run("control-plane", "--once")
    assert second.did == ["join"] and second.done


def test_a_first_that_died_is_followed_and_one_that_comes_back_late_joins(
    plane: Machine, ssm: Ssm, tmp_path: Path
) -> None:
    ssm.put(f"{LOCK}/1", "i-dead", age=600)
    plane.run("control-plane", "--once", code=75)
    assert "i-dead makes the cluster, since 60" in plane.said and plane.did == []
    ssm.put(f"{LOCK}/1", "i-dead", age=1300)
    other = Machine(tmp_path, "b2", ssm, "control-plane")

    def overtaken(action: str, name: str) -> None:  # while it made its own, another has published its cluster
        if (action, name) == ("PutParameter", JOIN):
            published(other)

    ssm.before = overtaken
    plane.run("control-plane", "--once", code=75)
    ssm.before = lambda action, name: None
    assert (
        plane.did[0] == "init" and ssm.parameters[f"{LOCK}/2"].value == "i-a1" and plane.published["ca"] == other.hash
    )
    plane.run("control-plane", "--once")
    assert plane.did == ["reset", "join"] and plane.done
    assert (plane.etc / "pki/ca.crt").read_bytes() == (other.root / "ca.pem").read_bytes()


def test_what_an_earlier_cluster_left_is_not_joined(plane: Machine) -> None:
    published(plane, endpoint="older.lab:6443")
    plane.run("control-plane", "--once", code=78)
    assert "older.lab:6443" in plane.said and "infra destroy" in plane.said and plane.did == []


def test_the_token_is_renewed_when_it_is_an_hour_old(plane: Machine, ssm: Ssm) -> None:
    plane.run("control-plane", "--renew")
    assert "not one of the control plane yet" in plane.said
    (plane.root / "var/lib/infra/kube/done").touch()
    (plane.etc / "pki").mkdir(parents=True)
    (plane.etc / "pki/ca.crt").write_bytes((plane.root / "ca.pem").read_bytes())
    (plane.etc / "admin.conf").write_text("mine")
    published(plane, minutes=90)
    plane.run("control-plane", "--renew")
    assert plane.did == []
    old = {"token": "aaaaaa.1", "expires": "2020-01-01T00:00:00Z", "description": "infra: machines join"}
    good = {"token": "bbbbbb.1", "expires": "2090-01-01T00:00:00Z", "description": "infra: by hand"}
    others = {"token": "cccccc.1", "expires": "2020-01-01T00:00:00Z", "description": "somebody's"}
    (plane.top / "lab/tokens").write_text("\n".join(map(json.dumps, (old, good, others))))
    published(plane, minutes=50)
    plane.run("control-plane", "--renew")
    assert plane.did == ["init phase upload-certs", "token create", "token list -o json", "token delete aaaaaa"]
    assert plane.published["token"] != "abcdef.0123456789abcdef" and ssm.parameters[ADMIN].value == "mine"


@pytest.mark.parametrize(
    ("given", "code", "says"),
    [
        (None, 66, "nothing is published"),
        ({"token": "nonsense"}, 66, "damaged"),
        ({"minutes": 0.2}, 66, "past its time"),
        ({"ca": "sha256:" + "0" * 64}, 1, "is not the one pinned"),
        ({"refuse": "AccessDeniedException"}, 77, "SSM says no (AccessDeniedException)"),
        ({"refuse": "ThrottlingException"}, 69, "SSM answered 400 ThrottlingException"),
        ({"endpoint": "http://127.0.0.1:1"}, 69, "SSM cannot be reached"),
    ],
)
def test_a_node_that_cannot_join_says_why(
    tmp_path: Path, ssm: Ssm, given: dict[str, str] | None, code: int, says: str
) -> None:
    node = Machine(tmp_path, "c3", ssm)
    told = dict(given or {})
    if "refuse" in told:
        ssm.refuse["GetParameter"] = told["refuse"]
    elif "endpoint" in told:
        node.place(endpoint=told["endpoint"])
    elif given is not None:
        published(node, minutes=float(told.pop("minutes", "90")), **told)
    node.run("join", "--once", code=code)
    assert says in node.said and "fix: " in node.said and node.left() == []
    assert node.did == (["join"] if code == 1 else [])


def test_a_join_that_was_cut_off_is_begun_anew(tmp_path: Path, ssm: Ssm) -> None:
    node = Machine(tmp_path, "c3", ssm)
    published(node)
    node.etc.mkdir()
    (node.etc / "bootstrap-kubelet.conf").write_text("half")
    (node.root / "var/lib/infra/policy/current/bin/aws").rename(node.root / "aws")
    node.run("join", "--once", code=78)
    assert "the policy of this machine is not in place" in node.said
    # Tried again and again, first after some seconds.
    (node.root / "aws").rename(node.root / "var/lib/infra/policy/current/bin/aws")
    node.program("sleep", "#!/bin/sh\necho slept >>$INFRA_PREFIX/did\nrm -f $INFRA_PREFIX/broken\n")
    (node.root / "broken").touch()
    node.run("join")
    assert node.did == ["reset", "join", "slept", "reset", "join"]


@pytest.mark.parametrize(("answers", "ill"), [(2, False), (1, True)])
def test_a_node_whose_driver_does_not_answer_gets_a_taint(tmp_path: Path, ssm: Ssm, answers: int, ill: bool) -> None:
    """Handed over SSH, as to a machine on the floor: no SSM is asked, and no metadata."""
    node = Machine(tmp_path, "c3", ssm)
    for slot in range(2):
        device = node.root / f"sys/bus/pci/devices/0000:0{slot}:00.0"
        device.mkdir(parents=True)
        (device / "vendor").write_text("0x10de\n")
        (device / "class").write_text("0x030000\n")
    node.program("nvidia-smi", f'#!/bin/sh\nfor n in $(seq {answers}); do echo "GPU $n: x"; done\n')
    published(node, endpoint=ssm.url.removeprefix("http://"))  # somebody answers there; who, kubeadm looks at
    given = tmp_path / "given"
    given.write_text(json.dumps({**node.published, "labels": {"lab/queue": "interactive"}}))
    (node.root / "etc/infra/place.json").unlink()
    node.run("join", "--once", "--given", str(given))
    registration = node.config["nodeRegistration"]
    taint = {"key": "infra/ill", "value": "GpuMissing", "effect": "NoSchedule"}
    assert registration["taints"] == ([taint] if ill else []) and ssm.asked == []
    labels = [item["value"] for item in registration["kubeletExtraArgs"]]
    assert labels == ["lab/queue=interactive,nvidia.com/gpu.present=true"]
    assert registration["name"] == os.uname().nodename.lower()


def test_what_is_no_node_is_left_alone(tmp_path: Path, ssm: Ssm, plane: Machine) -> None:
    host = Machine(tmp_path, "c3", ssm, "")
    for script in ("join", "control-plane"):
        host.run(script, "--once")
        assert "is not to be" in host.said
    plane.run("join", "--once")
    assert ssm.asked == [] and plane.did == host.did == []


@pytest.mark.parametrize("script", ["join", "control-plane", "kube-upgrade"])
def test_each_says_how_it_is_used(script: str) -> None:
    for word, code in (("--help", 0), ("--nonsense", 64)):
        done = subprocess.run(
            [SHELL, str(SCRIPTS / script), word], capture_output=True, text=True, timeout=30, check=False
        )
        assert done.returncode == code and (script in done.stdout + done.stderr)
