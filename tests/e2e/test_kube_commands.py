"""``infra kube`` on the tests' API server and the embedded AWS; what came of it is the real kubectl's word."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from infra.cli.main import run
from infra.kube.manifests import bundle
from infra.kube.tokens import authority
from infra.spec.load import load
from tests.conftest import OURS, Infra, Ran
from tests.e2e.aws import Hand
from tests.e2e.kube_objects import node
from tests.e2e.kubectl import Kubectl
from tests.e2e.test_kube_api import until
from tests.e2e.test_kube_client import certificate
from tests.kube import KubeServer
from tests.kube.rights import refused
from tests.unit.test_json_docs import table

FLOOR = """\
version: 1
cluster: floor
aws: {regions: [us-west-2], endpoint: local}
profiles: {gpu: {nvidia: {}}}
metal: {titan: {profile: gpu, hosts: ["titan-[01-02].lab"], gpus: {model: titan-x-pascal, count: 4}}}
storage: {home: {nfs: {host: files.lab, export: /export/home}, mount: /home}}
kubernetes: {version: "1.37"}
"""
CLOUD = """\
version: 1
cluster: lab
aws: {regions: [us-west-2], endpoint: local}
kubernetes: {version: "1.37"}
storage: {data: {efs: {}, mount: /data}}
"""


class Here(Infra):
    """``infra`` in this very process: thirty starts of Python would take longer than all that is tested."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch, said: pytest.CaptureFixture[str]) -> None:
        super().__init__(folder)
        self.patch, self.said = patch, said

    def __call__(self, *args: str, code: int | None = 0, timeout: float = 300, **env: str) -> Ran:
        self.said.readouterr()
        got = run(list(args))
        ran = Ran(got, *self.said.readouterr())
        assert code is None or got == code, f"infra {' '.join(args)} gave {got}, not {code}\n{ran.all}"
        return ran


@pytest.fixture
def infra(
    tmp_path: Path,
    session_environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Infra]:
    folder = tmp_path / "lab"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for name in os.environ:
        if name.startswith(OURS):
            monkeypatch.delenv(name)
    for name in ("HOME", "XDG_CACHE_HOME", "COLUMNS"):
        monkeypatch.setenv(name, session_environment[name])
    monkeypatch.setenv("INFRA_LOCAL_DIR", str(tmp_path / "aws"))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    yield Here(folder, monkeypatch, capsys)
    if (tmp_path / "aws").exists():
        run(["local", "down"])


@pytest.fixture
def kubectl(kube: KubeServer, infra: Infra) -> Kubectl:
    """kubectl, and infra with the same kubeconfig; its context is called as the cluster."""
    made = Kubectl.of(kube, infra.folder.parent)
    made("config", "rename-context", "test", "floor")
    infra.write(FLOOR)
    return made


def states(ran: Ran) -> dict[str, str]:
    table(ran.json, "infra kube manifests")
    return {item["title"]: item["state"] for item in ran.json["objects"]}


def test_manifests_are_compared_and_applied(infra: Infra, kubectl: Kubectl) -> None:
    first = infra("kube", "manifests", "--diff", code=2).out
    assert "+ DaemonSet kube-flannel/kube-flannel" in first and "Next: infra kube manifests --apply" in first
    assert "No resources found" in kubectl("get", "ds", "-A").err, "nothing was done"
    assert set(states(infra("kube", "manifests", "--apply", "--json")).values()) == {"create"}
    assert "all are as they should be" in infra("kube", "manifests", "--diff").out
    assert "nvidia-device-plugin" in kubectl("get", "ds", "-n", "kube-system").out
    assert "titan-01 4" in kubectl("get", "cm", "-n", "kube-system", "node-problem-detector", "-o", "yaml").out

    printed = infra("kube", "manifests").out
    assert kubectl("diff", "--server-side", "--field-manager=infra", "-f", "-", stdin=printed).out == "", (
        "kubectl sees no difference either"
    )
    # Somebody changes something of ours, and something that is none of ours.
    kubectl("set", "image", "-n", "kube-flannel", "ds/kube-flannel", "kube-flannel=elsewhere/flannel:1")
    kubectl("annotate", "-n", "kube-flannel", "ds/kube-flannel", "note=theirs")
    found = infra("kube", "manifests", "--diff", "--json", code=2)
    assert [title for title, state in states(found).items() if state != "same"] == [
        "DaemonSet kube-flannel/kube-flannel"
    ]
    changed = next(item for item in found.json["objects"] if item["state"] == "change")["changes"]
    assert changed == [
        "spec.template.spec.containers[0].image: elsewhere/flannel:1 → ghcr.io/flannel-io/flannel:v0.28.9"
    ]
    # And the file no longer has the storage: what was for it goes, what others put there stays.
    infra.write(FLOOR.replace("storage:", "# storage:"))
    meta = {"name": "mine", "labels": {"app.kubernetes.io/managed-by": "infra"}}
    kubectl("apply", "-f", "-", stdin={"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta})
    gone = {
        title for title, state in states(infra("kube", "manifests", "--apply", "--json")).items() if state == "remove"
    }
    assert "StorageClass home" in gone and "DaemonSet kube-system/csi-nfs-node" in gone and len(gone) == 10
    assert "No resources found" in kubectl("get", "storageclasses").err
    assert "mine" in kubectl("get", "cm", "mine").out
    image = "-o=jsonpath={.spec.template.spec.containers[0].image} {.metadata.annotations.note}"
    assert (
        kubectl("get", "-n", "kube-flannel", "ds/kube-flannel", image).out
        == "ghcr.io/flannel-io/flannel:v0.28.9 theirs"
    )


def test_a_server_in_trouble_is_no_half_cluster(infra: Infra, kube: KubeServer, kubectl: Kubectl) -> None:
    """What is asked twice does no harm; what fails says so, and the same command goes on."""
    kube.fault(method="PATCH", path="/daemonsets/", cut="after")
    kube.fault(method="PATCH", path="/configmaps/", code=503, retry_after=1)
    kube.fault(method="PATCH", path="/deployments/", code=403, times=None)
    assert "we may not PATCH" in infra("kube", "manifests", "--apply", code=1).err
    assert "kube-flannel" in kubectl("get", "ns").out, "what came before is there"
    kube.faults.clear()
    left = states(infra("kube", "manifests", "--diff", "--json", code=2))
    assert {left["Namespace kube-flannel"], left["DaemonSet kube-flannel/kube-flannel"]} == {"same", "create"}
    infra("kube", "manifests", "--apply")
    infra("kube", "manifests", "--diff", code=0)


def test_nodes_stand_beside_machines(infra: Infra, kube: KubeServer, kubectl: Kubectl) -> None:
    kube.put(node("titan-01"))
    kube.put(node("laptop", ready=False))
    kubectl("taint", "node", "titan-01", "lab/mine=x:NoSchedule")
    kubectl("cordon", "titan-01")
    patch = '{"status":{"allocatable":{"nvidia.com/gpu":"4"}}}'
    kubectl("patch", "node", "titan-01", "--subresource=status", "-p", patch)
    found = infra("kube", "nodes", "--json").json
    table(found, "infra kube nodes")
    rows = {row["node"] or row["machine"]: row for row in found["nodes"]}
    assert list(rows) == ["titan-01", "laptop", "titan-02"]
    titan = rows["titan-01"]
    assert (titan["machine"], titan["origin"], titan["group"], titan["ready"]) == ("titan-01", "metal", "titan", "yes")
    assert (titan["version"], titan["gpus"], titan["cordoned"]) == ("1.37.0", 4, True)
    assert "lab/mine=x:NoSchedule" in titan["taints"] and titan["age"] < 60
    assert (rows["laptop"]["origin"], rows["laptop"]["ready"]) == ("stranger", "no")
    assert rows["titan-02"]["node"] == ""
    text = infra("kube", "nodes").out
    assert "2 nodes, 1 ready, 4 GPUs" in text and "Not joined: titan-02" in text


def test_an_ill_node_gets_a_taint(infra: Infra, kube: KubeServer, kubectl: Kubectl) -> None:
    def say(status: str) -> None:
        condition = {"type": "GpuFault", "status": status, "message": "NVRM: Xid (PCI:0000:2b:00): 79"}
        patch = json.dumps({"status": {"conditions": [condition]}})
        kubectl("patch", "node", "one", "--subresource=status", "-p", patch)

    def taints() -> str:
        return kubectl("get", "node", "one", "-o", "jsonpath={.spec.taints[*].key}").out

    kube.put(node("one"))
    kubectl("taint", "node", "one", "other:NoSchedule")
    assert "every node is as its conditions say" in infra("kube", "health").out
    say("True")
    found = infra("kube", "health", "--dry-run", "--json", code=2).json
    table(found, "infra kube health")
    assert found["changes"] == [{"node": "one", "reason": "GpuFault", "message": "NVRM: Xid (PCI:0000:2b:00): 79"}]
    assert taints() == "other"
    assert "one gets infra/ill=GpuFault: NVRM" in infra("kube", "health").out
    assert taints() == "other infra/ill"
    infra("kube", "health")
    say("Unknown")
    infra("kube", "health")
    assert taints() == "other infra/ill", "a detector that is gone makes nobody well"
    say("False")
    assert "one loses infra/ill" in infra("kube", "health").out
    assert taints() == "other"
    granted = bundle.objects(load(infra.folder / "cluster.yaml").cluster)
    assert refused(kube.seen, granted, "infra-node-health") == [], "as a pod it may do this and no more"
    assert refused(kube.seen, granted, "flannel") == ["patch nodes one"]


def test_the_keeper_of_taints_as_it_runs_in_the_cluster(kube: KubeServer, kubectl: Kubectl, tmp_path: Path) -> None:
    """A process of its own, an API server that goes away and comes back, and an end when it is told to."""
    kube.put(node("one"))
    words = [sys.executable, "-m", "infra", "kube", "health", "--watch", "--every", "1"]
    config = ["--kubeconfig", str(kubectl.config)]
    with (tmp_path / "said").open("w") as out:
        keeper = subprocess.Popen([*words, *config], stdout=out, stderr=out, stdin=subprocess.DEVNULL)
    try:
        until(lambda: any(seen.path.endswith("/nodes") and seen.agent.startswith("infra/") for seen in kube.seen), 60)
        with kube.away():
            until(lambda: "does not answer" in (tmp_path / "said").read_text(), 60)
        condition = {"type": "GpuMissing", "status": "True", "message": "3 of 4 GPUs on the bus"}
        patch = json.dumps({"status": {"conditions": [condition]}})
        kubectl("patch", "node", "one", "--subresource=status", "-p", patch)
        until(lambda: "infra/ill" in kubectl("get", "node", "one", "-o", "jsonpath={.spec.taints[*].key}").out, 60)
        keeper.terminate()
        assert keeper.wait(30) == 0
    finally:
        keeper.kill()
    said = (tmp_path / "said").read_text()
    assert said.count("does not answer") == 1 and "answers again" in said and "Traceback" not in said
    assert "one gets infra/ill=GpuMissing: 3 of 4 GPUs on the bus" in said


def test_a_token_for_a_machine_by_hand(infra: Infra, kube: KubeServer, kubectl: Kubectl, tmp_path: Path) -> None:
    assert "does not say how to join" in infra("kube", "join-token", code=1).err
    pem = certificate(tmp_path / "ca.pem").read_bytes()
    cluster = {"server": "https://api.lab:6443", "certificate-authority-data": base64.b64encode(pem).decode()}
    data = {"kubeconfig": yaml.safe_dump({"clusters": [{"name": "", "cluster": cluster}]})}
    meta = {"name": "cluster-info", "namespace": "kube-public"}
    kube.put({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data})
    found = infra("kube", "join-token", "--ttl", "15", "--json").json
    table(found, "infra kube join-token")
    assert found["new"] and found["endpoint"] == "api.lab:6443" and found["ca"] == authority(pem)
    assert found["command"].startswith("kubeadm join api.lab:6443 --token ")
    left = datetime.fromisoformat(found["expires"]) - datetime.now(UTC)
    assert timedelta(minutes=13) < left <= timedelta(minutes=15)
    ident, _, secret = found["token"].partition(".")
    kept = kubectl("get", "secret", "-n", "kube-system", f"bootstrap-token-{ident}", "-o", "json").json
    assert kept["type"] == "bootstrap.kubernetes.io/token"
    given = kept.get("stringData") or {key: base64.b64decode(value).decode() for key, value in kept["data"].items()}
    assert given["token-secret"] == secret and given["usage-bootstrap-authentication"] == "true"


def test_what_the_control_plane_left_in_aws(infra: Infra, tmp_path: Path) -> None:
    """The kubeconfig comes from SSM and leads kubectl to the API; so does the token that is published."""
    infra.write(CLOUD)
    infra("local", "up")
    ssm = Hand(infra).client("ssm")
    mine = {"clusters": [{"name": "w", "cluster": {"server": "https://work"}}], "contexts": [], "users": []}
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(mine))
    assert "has left no kubeconfig" in infra("kube", "config", code=1).err
    assert "no context of your kubeconfig is called lab" in infra("kube", "nodes", code=1).err

    with KubeServer(certificate(tmp_path / "server.pem"), token="let-me-in") as kube:
        text = kube.kubeconfig(tmp_path / "admin.conf").read_text()
        ssm.put_parameter(Name="/infra/lab/control-plane/admin.conf", Value=text, Type="SecureString")
        found = infra("kube", "config", "--json").json
        table(found, "infra kube config")
        assert found["written"] and found["path"] == str(tmp_path / "kubeconfig") and found["server"] == kube.url
        assert "was there already" in infra("kube", "config").out
        assert (tmp_path / "kubeconfig").stat().st_mode & 0o777 == 0o600
        kubectl = Kubectl(tmp_path / "kubeconfig", tmp_path)
        assert kubectl("config", "current-context").out == "lab\n"
        assert "https://work" in kubectl("config", "view").out
        kube.put(node("ip-10-40-1-7"))
        assert "ip-10-40-1-7" in kubectl("get", "nodes").out
        assert [row["node"] for row in infra("kube", "nodes", "--json").json["nodes"]] == ["ip-10-40-1-7"]

        notes = infra("kube", "manifests", "--diff", "--json", code=2).json["notes"]
        assert notes == ["no storage class for data in us-west-2 yet: there is no EFS (infra apply)"]
        tags = {"infra:cluster": "lab", "infra:address": "module.storage_data.aws_efs_file_system.this"}
        listed = [{"Key": key, "Value": value} for key, value in tags.items()]
        made = Hand(infra).client("efs").create_file_system(CreationToken="x", Tags=listed)["FileSystemId"]
        infra("kube", "manifests", "--apply")
        server = kubectl("get", "storageclass", "data", "-o", "jsonpath={.parameters.server}").out
        assert server == f"{made}.efs.us-west-2.amazonaws.com"

        expires = (datetime.now(UTC) + timedelta(hours=2)).strftime("%Y-%m-%dT%H:%M:%SZ")
        body = {"endpoint": "api:6443", "ca": "sha256:" + "a" * 64, "token": "abcdef." + "0" * 16, "expires": expires}
        ssm.put_parameter(Name="/infra/lab/join", Value=json.dumps(body), Type="SecureString")
        said = infra("kube", "join-token", "--json").json
        assert not said["new"] and said["token"] == body["token"] and said["expires"] == expires
    assert "does not answer" in infra("kube", "nodes", code=1).err
    (tmp_path / "kubeconfig").write_text("x: [")
    assert "the kubeconfig cannot be used" in infra("kube", "nodes", code=1).err
