"""``infra autoscale``: what its commands print and how they end, without a cluster."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from infra.cli.main import run
from tests.conftest import Infra
from tests.unit.test_json_docs import table
from tests.unit.test_simulate import DATA

GOLDEN = Path(__file__).parent / "golden"
TYPES = "m5.16xlarge,c5.18xlarge,g4dn.2xlarge,g5.12xlarge,g5.48xlarge,p5.48xlarge"
CLUSTER = """\
version: 1
cluster: lab
aws: {regions: [us-west-2], endpoint: local}
profiles:
  cpu: {}
  gpu: {run_list: ["role[gpu-node]"], nvidia: {driver: "580", cuda: "12.9"}}
pools:
  cpu: {profile: cpu, instance_types: [m5.2xlarge], size: {max: 4}, zone: us-west-2a}
  gpu:
    profile: gpu
    instance_types: [g4dn.12xlarge]
    size: {max: 2}
    zone: us-west-2b
    labels: {team: vision}
    taints: [{key: nvidia.com/gpu, value: present, effect: NoSchedule}]
kubernetes: {version: "1.36", autoscale: {pools: [cpu, gpu]}}
"""


def pod(name: str, **spec: Any) -> dict[str, Any]:
    asked = {"cpu": "4", "memory": "8Gi", **spec.pop("asks", {})}
    containers = [{"name": "main", "resources": {"requests": asked}}]
    meta = {"name": name, "namespace": "research", "annotations": spec.pop("notes", {})}
    return {"kind": "Pod", "metadata": meta, "spec": {"containers": containers, **spec}, "status": {"phase": "Pending"}}


def titan() -> dict[str, Any]:
    has = {"cpu": "8", "memory": "64Gi", "pods": "110", "nvidia.com/gpu": "2"}
    conditions = [{"type": "Ready", "status": "True", "lastHeartbeatTime": "2026-11-22T10:00:00Z"}]
    return {
        "kind": "Node",
        "metadata": {"name": "titan-01", "labels": {"infra/kind": "metal"}},
        "spec": {},
        "status": {"allocatable": has, "conditions": conditions},
    }


TOLERATE = [{"key": "nvidia.com/gpu", "operator": "Exists"}]
DUMP = {
    "kind": "List",
    "items": [
        titan(),
        pod("old", nodeName="titan-01", asks={"nvidia.com/gpu": "2"}),
        pod("small"),
        pod("tune", asks={"nvidia.com/gpu": "4"}, tolerations=TOLERATE, nodeSelector={"team": "vision"}),
        pod("lost", nodeSelector={"team": "nobody"}),
        *[
            pod(
                f"train-{number}",
                asks={"nvidia.com/gpu": "4"},
                tolerations=TOLERATE,
                notes={"infra/gang": "train", "infra/gang-size": "3"},
            )
            for number in range(3)
        ],
        pod("huge", asks={"cpu": "900"}),
        pod("strange", asks={"memory": "much"}),
    ],
}


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cluster.yaml").write_text(CLUSTER)
    (tmp_path / "now.json").write_text(json.dumps(DUMP))
    return tmp_path


def said(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> str:
    capsys.readouterr()
    assert run(["autoscale", *words]) == code
    found = capsys.readouterr()
    return found.out if not code else found.err


def test_the_table_of_a_simulation(infra: Infra) -> None:
    ran = infra(
        *("autoscale", "simulate", str(DATA / "lab.csv"), "--types", TYPES, "--vs", "per-pod", "--vs", "reference"),
        *("--plot", "course.svg"),
    )
    assert ran.out == (GOLDEN / "simulate.txt").read_text()
    assert ran.err == ""
    assert ElementTree.parse(infra.folder / "course.svg").getroot().tag.endswith("svg")


def test_every_pod_of_a_dump_is_explained(lab: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = ("old", "small", "tune", "lost", "train-0", "huge", "strange")
    texts = [said(capsys, "explain", f"research/{name}", "--dump", "now.json") for name in names]
    assert "\n".join(texts) == (GOLDEN / "explain.txt").read_text()


def test_explain_says_the_same_as_json(lab: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = json.loads(said(capsys, "explain", "tune", "--dump", "now.json", "--json"))
    table(data, "infra autoscale explain")
    assert (data["pod"], data["state"]) == ("research/tune", "is-bought-for")
    other = json.loads(said(capsys, "explain", "tune", "--dump", "now.json", "--types", "m5.large", "--json"))
    assert other["state"] == "waits"


def test_a_dump_is_simulated_with_the_pools_of_the_file(lab: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(said(capsys, "simulate", "now.json", "--json"))
    table(found, "infra autoscale simulate")
    (result,) = found["results"]
    assert (found["pods"], result["started"], result["waiting"]) == (7, 2, 5)
    assert (result["machines"], result["launch_rounds"]) == (1, 1)
    # A g4dn.12xlarge at $3.912/h for one hour, the time to start it, and ten idle minutes.
    assert 3.912 * 70 / 60 < result["dollars"] < 3.912 * 74 / 60


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["simulate", "none.csv"], "none.csv"),
        (["simulate", "now.json", "--types", "m5.nano9"], "m5.nano9"),
        (["simulate", "now.json", "--types", "m5.large", "--region", "mars-1"], "mars-1"),
        (["simulate", "now.json", "--capacity", "m5.2xlarge"], "no TYPE=N"),
        (["simulate", "now.json", "--capacity", "p9.large=1"], "p9.large is no type"),
        (["simulate", "now.json", "-f", "other.yaml"], "which machines may be bought"),
        (["simulate", "broken.json"], "no JSON"),
        (["simulate", "empty.json"], "no pods in it"),
        (["explain", "smal", "--dump", "now.json"], "did you mean small?"),
        (["explain", "small"], "embedded AWS is not running"),
        (["run", "--dry-run"], "--dry-run wants --once"),
        (["run", "--once", "-f", "metal.yaml"], "no cloud part"),
    ],
)
def test_what_is_wrong_is_said(lab: Path, capsys: pytest.CaptureFixture[str], words: list[str], what: str) -> None:
    (lab / "broken.json").write_text("{")
    (lab / "empty.json").write_text("{}")
    (lab / "metal.yaml").write_text("version: 1\ncluster: metal\n")
    assert what in said(capsys, *words, code=1)


def test_what_a_running_controller_needs_is_said_before_it_runs(lab: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = said(capsys, "run", "--once", code=1)
    assert "embedded AWS is not running" in told
    assert "fix: start it: infra local up" in told
