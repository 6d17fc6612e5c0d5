"""An upgrade carried out: order, drains by the real kubectl, what stops it, and how it goes on.

A double stands for SSH and the machine: ``kube-upgrade`` there only changes what the node says of its kubelet. The
script itself is tried in the cookbook's tests.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from infra.cli import kube_upgrade as command
from infra.cli.main import run
from infra.errors import NodeFailed, Refused
from infra.kube.api import Api, Limits, connect
from infra.kube.members import members
from infra.kube.upgrading import COMMAND, Upgrade, plan
from infra.node.bring import kube_upgrade
from infra.node.bring.drain import Kubectl as Drainer
from infra.node.model import Node
from infra.node.ssh.channel import Ran
from infra.spec.load import load
from infra.spec.models import Cluster
from tests.e2e.kube_objects import budget, node, pod, replica_set
from tests.e2e.kubectl import Kubectl, executable
from tests.kube import KubeServer
from tests.kube.worker import Worker
from tests.unit.test_json_docs import table

FLOOR = """\
version: 1
cluster: test
aws: {regions: [us-west-2], endpoint: local}
profiles: {gpu: {}}
metal: {titan: {profile: gpu, hosts: ["titan-[1-3]"], max_unavailable: 2}}
kubernetes: {version: "1.36"}
"""
PLANE = "node-role.kubernetes.io/control-plane"


class Machines:
    """The double: every machine, by the name of its node."""

    parallel = 4

    def __init__(self, kube: KubeServer, kubectl: Kubectl) -> None:
        self.kube, self.kubectl = kube, kubectl
        self.done: list[str] = []
        self.broken: set[str] = set()
        self.marks: set[str] = set()
        self.drains = True
        self.lock = threading.Lock()

    def connect(self, machine: Node) -> Link:
        return Link(self, machine)


class Link:
    def __init__(self, machines: Machines, machine: Node) -> None:
        self.machines, self.node = machines, machine

    def close(self) -> None:
        pass

    def run(self, script: str, *args: str, check: bool = True, **how: Any) -> Ran:
        name, all_ = self.node.name, self.machines
        if script.startswith("test -e"):
            return Ran(0 if name in all_.marks else 1, "", "", 0.0)
        if script.startswith("mkdir"):
            all_.marks.add(name)
        elif script.startswith("rm"):
            all_.marks.discard(name)
        else:
            assert script.startswith(COMMAND)
            aside = all_.kubectl("get", "node", name, "-o", "jsonpath={.spec.unschedulable}").out == "true"
            assert aside is all_.drains
            with all_.lock:
                all_.done.append(f"{name} {' '.join(args)}")
            if name in all_.broken:
                raise NodeFailed(f"{name}: a script failed with exit code 1", why="kubeadm upgrade node: it failed")
            info = json.dumps({"status": {"nodeInfo": {"kubeletVersion": f"v{args[1]}.0"}}})
            all_.kubectl("patch", "node", name, "--subresource=status", "-p", info)
        return Ran(0, "", "", 0.0)


@pytest.fixture
def kube(kube: KubeServer) -> Iterator[KubeServer]:
    with Worker(kube):
        yield kube


@pytest.fixture
def kubectl(kube: KubeServer, tmp_path: Path) -> Kubectl:
    for name in ("cp-1", "cp-2", "cp-3", "titan-1", "titan-2", "titan-3"):
        found = node(name, **({PLANE: ""} if name.startswith("cp") else {}))
        found["status"]["nodeInfo"]["kubeletVersion"] = "v1.36.1"
        kube.put(found)
    return Kubectl.of(kube, tmp_path)


class World:
    def __init__(self, kube: KubeServer, kubectl: Kubectl) -> None:
        self.machines = Machines(kube, kubectl)
        self.cluster: Cluster = load(Path("cluster.yaml"), text=FLOOR).cluster
        self.api: Api = connect(kubectl.config, limits=Limits(deadline=5.0))
        self.nodes = {
            name: Node(name, "metal" if name.startswith("t") else "control-plane", name[:5], "gpu", "ops")
            for name in ("cp-1", "cp-2", "cp-3", "titan-1", "titan-2", "titan-3")
        }
        for name, machine in self.nodes.items():
            group = "titan" if name.startswith("t") else "control-plane"
            self.nodes[name] = Node(name, machine.kind, group, "gpu", "ops")
        drainer = Drainer(executable(), ("--kubeconfig", str(kubectl.config)), deadline=8)
        self.said: list[str] = []
        self.ways = kube_upgrade.Ways(
            self.machines,  # type: ignore[arg-type]
            self.api,
            drainer,
            lambda who, what: self.said.append(f"{who}: {what}"),
            ready=5,
            pause=lambda seconds: None,
        )

    def plan(self, to: str = "1.37", server: str = "v1.36.1") -> Upgrade:
        rows = members(self.api.list("/api/v1/nodes"), list(self.nodes.values()), datetime.now(UTC))
        return plan(rows, server, to)

    def go(self) -> dict[str, Any]:
        return kube_upgrade.carry_out(self.cluster, self.plan().steps, self.nodes, "1.37", self.ways)


def test_machine_after_machine(kube: KubeServer, kubectl: Kubectl) -> None:
    kubectl("apply", "-f", "-", stdin=replica_set("web", 1))
    kubectl("wait", "pod", "-l", "app=web", "--for", "condition=Ready", "--timeout=15s")
    before = kubectl("get", "pods", "-o", "name").out
    world = World(kube, kubectl)
    assert set(world.go().values()) == {None}
    done = world.machines.done
    assert done[:3] == ["cp-1 apply 1.37", "cp-2 node 1.37", "cp-3 node 1.37"]
    assert sorted(done[3:]) == [f"titan-{number} node 1.37" for number in (1, 2, 3)]
    versions = kubectl("get", "nodes", "-o", "jsonpath={.items[*].status.nodeInfo.kubeletVersion}").out
    assert set(versions.split()) == {"v1.37.0"}
    assert "SchedulingDisabled" not in kubectl("get", "nodes").out and not world.machines.marks
    assert before not in kubectl("get", "pods", "-o", "name").out, "it was drained away"
    assert world.plan(server="v1.37.0").empty


def test_it_stops_at_the_control_plane_and_goes_on_there(kube: KubeServer, kubectl: Kubectl) -> None:
    world = World(kube, kubectl)
    world.machines.broken = {"cp-2"}
    results = world.go()
    assert isinstance(results["cp-2"], NodeFailed) and list(results) == ["cp-1", "cp-2"]
    assert world.machines.done == ["cp-1 apply 1.37", "cp-2 node 1.37"], "nothing more is taken away"
    assert "SchedulingDisabled" not in kubectl("get", "nodes").out
    world.machines.broken.clear()
    world.machines.done.clear()
    assert set(world.go().values()) == {None}
    assert world.machines.done[:2] == ["cp-2 node 1.37", "cp-3 node 1.37"] and len(world.machines.done) == 5


def test_a_budget_that_forbids_the_drain(kube: KubeServer, kubectl: Kubectl) -> None:
    world = World(kube, kubectl)
    kube.put(budget("web", minAvailable=1))
    running = {**pod("web"), "spec": {**pod("web")["spec"], "nodeName": "titan-1"}}
    running["metadata"]["labels"] = {"app": "web"}
    kube.put(running)
    kubectl("wait", "pod/web", "--for", "condition=Ready", "--timeout=15s")
    results = world.go()
    assert isinstance(results["titan-1"], Refused) and "could not be drained" in results["titan-1"].text()
    assert "titan-1 node 1.37" not in world.machines.done
    assert "SchedulingDisabled" not in kubectl("get", "node", "titan-1").out
    world.machines.drains = False
    undrained = replace(world.ways, kubectl=None)
    left = world.plan().steps
    assert set(kube_upgrade.carry_out(world.cluster, left, world.nodes, "1.37", undrained).values()) == {None}
    assert "titan-1 node 1.37" in world.machines.done and world.plan(server="v1.37.0").empty


def test_the_command(
    kube: KubeServer,
    kubectl: Kubectl,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What it shows before anything is done; and that it does nothing without being told to."""
    (tmp_path / "cluster.yaml").write_text(FLOOR)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("INFRA_LOCAL_DIR", str(tmp_path / "aws"))
    monkeypatch.setenv("KUBECONFIG", str(kubectl.config))
    for name in ("cp-1", "cp-2", "cp-3"):
        kubectl("delete", "node", name)
    kube.put(node("cp", **{PLANE: ""}))
    info = json.dumps({"status": {"nodeInfo": {"kubeletVersion": "v1.37.0"}}})
    kubectl("patch", "node", "cp", "--subresource=status", "-p", info)

    def said(*words: str, code: int) -> str:
        capsys.readouterr()
        assert run(["kube", "upgrade", *words]) == code
        found = capsys.readouterr()
        return found.out + found.err

    text = said("--to", "1.37", "--dry-run", code=2)
    assert "1. titan-1: node, has 1.36.1; drained" in text and "cluster.yaml says 1.36" in text
    found = json.loads(said("--to", "1.37", "--dry-run", "--json", code=2))
    table(found, "infra kube upgrade")
    assert [step["machine"] for step in found["steps"]] == ["titan-1", "titan-2", "titan-3"] and not found["done"]
    assert "say so: --yes" in said("--to", "1.37", "--json", code=1)
    assert "does not go back" in said(code=1), "the file says 1.36, the server 1.37"
    assert "is 2 minor versions" in said("--to", "1.39", code=1)
    assert "is no version" in said("--to", "next", code=1)

    world = World(kube, kubectl)
    chosen = type("Chosen", (), {"nodes": list(world.nodes.values()), "fleet": world.machines})
    monkeypatch.setattr("infra.cli.node_choose.choose", lambda *args, **more: chosen)
    monkeypatch.setenv("PATH", f"{Path(executable()).parent}:/usr/bin:/bin")
    text = said("--to", "1.37", "--yes", code=0)
    assert "titan-1: has Kubernetes 1.37" in text
    assert "every machine that is upgraded in place has it" in said("--to", "1.37", code=0)
    assert command.command.name == "upgrade"
