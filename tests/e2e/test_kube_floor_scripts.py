"""A control plane on physical machines: the real scripts in folders, with stand-ins for kubeadm and the system."""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from infra.errors import InfraError, NodeError
from infra.node.bring.floor import admin
from infra.proc import SECRETS
from tests.unit.kube_floor import VIRTUAL, Box, Lab
from tests.unit.kube_machine import NEEDS

MISSING = [name for name in NEEDS if shutil.which(name) is None]
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")
THREE = ["t-01", "t-02", "t-03"]


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path, [*THREE, "w-01"], THREE)


def refused(lab: Lab, name: str) -> str:
    """All of what is said when it fails."""
    with pytest.raises(NodeError) as caught:
        lab.join(name)
    return caught.value.text()


def up(lab: Lab, *names: str) -> None:
    for name in names:
        assert lab.join(name) == ("joined", ""), lab.room.said[-1]


def test_the_first_makes_the_cluster_and_the_others_join_it(lab: Lab) -> None:
    up(lab, "t-01", "t-02", "t-03", "w-01")
    assert lab.parts == {"t-01": "plane", "t-02": "plane", "t-03": "plane", "w-01": "node"}
    first, second, worker = lab.boxes["t-01"], lab.boxes["t-02"], lab.boxes["w-01"]
    assert [call for call in first.calls if not call.startswith("token")] == [
        "init",
        "init phase upload-certs",
        "init phase upload-certs",
    ]
    assert second.calls == worker.calls == ["join"]
    found = second.config
    assert found["controlPlane"]["localAPIEndpoint"]["advertiseAddress"] == "192.0.2.2"
    assert len(found["controlPlane"]["certificateKey"]) == 64
    assert found["discovery"]["bootstrapToken"]["apiServerEndpoint"] == f"{VIRTUAL}:6443"
    assert found["nodeRegistration"]["taints"] == [], "pods run on them, too"
    extra = {item["name"]: item["value"] for item in found["nodeRegistration"]["kubeletExtraArgs"]}
    assert extra == {"node-labels": "lab/queue=mine", "node-ip": "192.0.2.2"}
    assert "controlPlane" not in worker.config and worker.config["nodeRegistration"]["name"] == "w-01"
    # No secret was said, or stood on a command line.
    token = lab.boxes["w-01"].config["discovery"]["bootstrapToken"]["token"]
    key = lab.boxes["t-02"].config["controlPlane"]["certificateKey"]
    assert token not in SECRETS.redact(token) and key not in SECRETS.redact(key)
    said = "\n".join(lab.room.said)
    assert token not in said and key not in said
    for name in ("t-01", "t-02", "w-01"):
        did = (lab.boxes[name].root / "did").read_text()
        assert token not in did and key not in did
    # Again: nothing.
    assert [lab.join(name)[0] for name in THREE] == ["there"] * 3
    assert second.calls == ["join"]
    for box in lab.boxes.values():
        assert box.left() == [] and not list((box.root / "run/infra").glob("given.*"))


def test_who_may_schedule_and_where_the_address_was_first(tmp_path: Path) -> None:
    lab = Lab(tmp_path, THREE, THREE, schedule="false")
    up(lab, "t-01", "t-02")
    documents = (lab.boxes["t-01"].root / "config").read_text().split("\n---\n")
    init, cluster = json.loads(documents[0]), json.loads(documents[1])
    key = "node-role.kubernetes.io/control-plane"
    assert lab.boxes["t-02"].config["nodeRegistration"]["taints"] == [{"key": key, "effect": "NoSchedule"}]
    assert init["localAPIEndpoint"]["advertiseAddress"] == "192.0.2.1"
    assert cluster["controlPlaneEndpoint"] == f"{VIRTUAL}:6443" and VIRTUAL in cluster["apiServer"]["certSANs"]
    assert VIRTUAL in (lab.boxes["t-01"].root / "addresses").read_text()
    assert VIRTUAL not in (lab.boxes["t-02"].root / "addresses").read_text()


def test_one_machine_needs_no_address(tmp_path: Path) -> None:
    lab = Lab(tmp_path, ["left", "right"], ["left"])
    assert lab.join("right")[1].startswith("the control plane is not up: infra node bootstrap left")
    up(lab, "left", "right")
    assert lab.boxes["right"].config["discovery"]["bootstrapToken"]["apiServerEndpoint"] == "192.0.2.1:6443"
    text, where = admin(lab.loaded, lab.room)  # type: ignore[arg-type]
    assert "server: https://192.0.2.1:6443" in text and where.endswith("on left")


def test_all_at_once_and_by_two_operators(lab: Lab) -> None:
    ends: list[Any] = []

    def operator() -> None:
        joining = lab.joining()
        assert joining.floor is not None
        joining.floor.patience = 20
        for name in lab.boxes:
            joining.begun(name)

        def one(name: str) -> None:
            try:
                ends.append(lab.join(name, joining)[0])
            except InfraError as error:
                ends.append(error)
            finally:
                joining.ended(name)

        threads = [threading.Thread(target=one, args=(name,)) for name in reversed(lab.boxes)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    two = [threading.Thread(target=operator) for _ in range(2)]
    for thread in two:
        thread.start()
    for thread in two:
        thread.join()
    assert lab.parts == {"t-01": "plane", "t-02": "plane", "t-03": "plane", "w-01": "node"}
    assert [name for name, box in lab.boxes.items() if "init" in box.calls] == ["t-01"]
    assert all(box.calls.count("init") + box.calls.count("join") == 1 for box in lab.boxes.values())
    assert not [end for end in ends if not isinstance(end, str)], ends


def test_the_cluster_is_not_made_while_a_machine_that_may_have_it_is_silent(lab: Lab) -> None:
    lab.room.away = {"t-03"}
    state, why = lab.join("t-01")
    assert state == "left" and "t-03 may have it (t-03: t-03 does not answer)" in why
    lab.room.away = set()
    assert lab.join("t-02") == ("left", "t-01 makes the cluster, and has not: infra node bootstrap t-01")
    lab.stand("t-01", "t-02")
    # The first, installed anew, joins those that have the cluster, and while none of them answers it waits.
    lab.boxes["t-01"] = lab.room.boxes["t-01"] = anew(lab.boxes["t-01"])
    lab.room.away = {"t-02", "t-03"}
    assert lab.join("t-01")[0] == "left" and lab.boxes["t-01"].calls == []
    lab.room.away = {"t-03"}
    up(lab, "t-01")
    assert lab.boxes["t-01"].calls == ["join"]


def anew(box: Box) -> Box:
    """The same machine with a new disk."""
    shutil.rmtree(box.root)
    return Box.of(box.top, box.name, box.address, ["192.0.2.1", "192.0.2.2", "192.0.2.3"], VIRTUAL)


def test_another_file_says_that_another_makes_it(lab: Lab) -> None:
    state = lab.boxes["t-02"].root / "var/lib/infra/kube"
    state.mkdir(parents=True)
    (state / "maker").write_text("t-03\n")
    found, why = lab.join("t-01")
    assert found == "left" and "t-02 was told that t-03 makes the cluster" in why and "rm /var/lib" in why
    assert lab.boxes["t-01"].calls == []


def test_what_failed_or_was_cut_off_is_gone_on_with(lab: Lab) -> None:
    broken = lab.boxes["t-01"].root / "broken"
    broken.touch()
    assert "it is broken" in refused(lab, "t-01")
    assert lab.boxes["t-01"].part == "none"
    broken.unlink()
    up(lab, "t-01")
    # A join of the control plane that left all but its end.
    box = lab.boxes["t-02"]
    (box.etc / "manifests").mkdir(parents=True)
    (box.etc / "kubelet.conf").write_text("half")
    (box.etc / "manifests/kube-apiserver.yaml").write_text("half")
    assert box.part == "half"
    up(lab, "t-02")
    assert box.calls == ["reset", "join"], "it was cleaned before it was invited"


def test_killed_while_it_makes_the_cluster(lab: Lab) -> None:
    box = lab.boxes["t-01"]
    (box.root / "sleep").write_text("1")
    given = box.root / "given"
    given.write_text(json.dumps({"cluster": "lab", "api": f"{VIRTUAL}:6443", "labels": {}, "member": None}))
    process = box.start("control-plane", "--given", str(given), INFRA_ADDRESS_PATIENCE="2")
    end = time.monotonic() + 30
    while "init" not in box.calls:
        assert time.monotonic() < end and process.poll() is None
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    # What it had started has the machine's lock until it ends; then all is made anew, and nothing is left of it.
    up(lab, "t-01")
    assert [call for call in box.calls if not call.startswith("token")] == ["init", "reset", "init"]
    assert box.left() == []


def test_a_node_is_not_made_one_of_the_control_plane(lab: Lab) -> None:
    lab.stand("t-01")
    lab.path.write_text(lab.path.read_text().replace("t-02, t-03]", "t-02, w-01]"))
    (lab.boxes["w-01"].etc).mkdir(parents=True)
    (lab.boxes["w-01"].etc / "kubelet.conf").write_text("of a worker")
    state, why = lab.join("w-01")
    assert state == "left" and "kubeadm reset" in why and lab.boxes["w-01"].calls == []


def test_the_address_of_a_cluster_does_not_change(lab: Lab) -> None:
    lab.stand("t-01")
    lab.path.write_text(lab.path.read_text().replace("address: 192.0.2.9", "address: 192.0.2.8"))
    assert "the cluster has its API at 192.0.2.9:6443" in refused(lab, "t-02")
    assert lab.boxes["t-02"].calls == []


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("neighbours", "192.0.2.9 dev eth0 lladdr 02:00:00:00:00:01 REACHABLE\n", "somebody has the address"),
        ("via", "via 192.0.2.254", "is not of this machine's network"),
        ("addresses", "198.51.100.7\n", "is not one of the control plane"),
    ],
)
def test_an_address_that_cannot_be_is_said_before_anything_is_made(lab: Lab, file: str, text: str, said: str) -> None:
    (lab.boxes["t-01"].root / file).write_text(text)
    assert said in refused(lab, "t-01")
    assert lab.boxes["t-01"].calls == []


def test_an_api_server_that_is_ill_invites_nobody(lab: Lab) -> None:
    lab.stand("t-01", "t-02")
    (lab.boxes["t-01"].root / "ill").touch()
    asked = len(lab.boxes["t-01"].calls)
    up(lab, "w-01")
    assert len(lab.boxes["t-01"].calls) == asked and lab.boxes["t-02"].calls[-1] == "token create"
    (lab.boxes["t-02"].root / "ill").touch()
    assert "no API server answers on t-01, t-02" in lab.join("t-03")[1]


def members(lab: Lab, *names: str, alive: str = "") -> None:
    shared = lab.top / "lab"
    lines = [
        f"{number}f0e1d2c3b4a596, started, {name}, https://{place}:2380, https://{place}:2379, false\n"
        for number, (name, place) in enumerate((name, place_of(lab, name)) for name in names)
    ]
    (shared / "etcd").write_text("".join(lines))
    shutil.rmtree(shared / "alive", ignore_errors=True)
    (shared / "alive").mkdir()
    for name in alive.split():
        (shared / "alive" / place_of(lab, name)).touch()


def place_of(lab: Lab, name: str) -> str:
    strangers = {"old": "192.0.2.77", "older": "192.0.2.78"}
    return strangers.get(name) or lab.boxes[name].address


def removed(lab: Lab) -> list[str]:
    path = lab.top / "lab/removed"
    return path.read_text().splitlines() if path.exists() else []


def test_the_member_of_etcd_that_a_machine_had_before_is_removed_and_no_other(lab: Lab) -> None:
    lab.stand("t-01", "t-02")
    members(lab, "t-01", "t-02", "t-03", alive="t-01")  # t-02 is away for a while, and stays a member
    up(lab, "t-03")
    assert removed(lab) == ["removed 2f0e1d2c3b4a596", "delete node t-03 --ignore-not-found"]


def test_the_member_of_a_machine_that_the_file_has_no_more_is_removed_when_it_is_silent(lab: Lab) -> None:
    lab.stand("t-01", "t-02")
    members(lab, "t-01", "t-02", "old", "older", alive="t-01 t-02 old")
    up(lab, "t-03")
    assert removed(lab) == ["removed 3f0e1d2c3b4a596", "delete node older --ignore-not-found"], "old answers yet"
    assert "exec etcd-t-01.lab -- etcdctl" in (lab.top / "lab/kubectl").read_text()


def test_a_member_is_retired_by_hand_when_it_is_gone(lab: Lab) -> None:
    lab.stand("t-01")
    first = lab.boxes["t-01"]
    members(lab, "t-01", "t-02", "old", alive="t-01 t-02")
    first.run("control-plane", "--retire", "192.0.2.2", code=75)
    assert "that machine is not gone" in first.said
    first.run("control-plane", "--retire", "192.0.2.77")
    assert removed(lab) == ["removed 2f0e1d2c3b4a596", "delete node old --ignore-not-found"]
    lab.boxes["w-01"].run("control-plane", "--retire", "192.0.2.2", code=66)


def test_a_machine_whose_etcd_still_runs_is_not_taken_for_a_new_one(lab: Lab) -> None:
    lab.stand("t-01", "t-02")
    members(lab, "t-01", "t-02", "t-03", alive="t-01 t-02 t-03")
    assert "etcd on 192.0.2.3 answers" in refused(lab, "t-03")
    assert removed(lab) == [] and lab.boxes["t-03"].calls == []
