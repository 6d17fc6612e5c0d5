"""A burst of CPU, GPU and gang jobs over two regions, the first out of GPUs: nodes come, pods bind, nodes go.

Real: the controller, both drivers, kubectl. Doubles: AWS is the embedded one, with capacity that ends; the API server,
its scheduler and the kubelets are the suite's. ``pytest -s`` shows kubectl's own view at each step.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from infra.autoscale.controller.decisions import Decision, LoopResult
from infra.autoscale.controller.loop import Controller
from tests.e2e.autoscaled import Time, World, world

pytestmark = pytest.mark.engine

FIRST, SECOND = "us-west-2", "eu-west-1"
CLUSTER = f"""\
version: 1
cluster: burst
aws: {{regions: [{FIRST}, {SECOND}], endpoint: local}}
profiles:
  cpu: {{}}
  gpu: {{run_list: ["role[gpu-node]"], nvidia: {{driver: "580", cuda: "12.9"}}}}
pools:
  cpu: {{profile: cpu, instance_types: [m5.2xlarge], regions: [{FIRST}, {SECOND}], size: {{max: 4}}}}
  gpu:
    profile: gpu
    instance_types: [p3.2xlarge, p3.8xlarge]
    regions: [{FIRST}, {SECOND}]
    size: {{max: 6}}
    taints: [{{key: nvidia.com/gpu, value: present, effect: NoSchedule}}]
kubernetes:
  version: "1.36"
  autoscale: {{pools: [cpu, gpu]}}
"""
GPU = "nvidia.com/gpu"


def job(name: str, pods: int, gang: str = "", **requests: str) -> dict[str, Any]:
    asked = {key.replace("gpu", GPU): value for key, value in requests.items()}
    container = {"name": "main", "image": "busybox", "resources": {"requests": asked, "limits": asked}}
    notes = {"test/seconds": "3", **({"scheduling.k8s.io/group-name": gang} if gang else {})}
    tolerations = [{"key": GPU, "operator": "Exists"}] if GPU in asked else []
    spec = {"restartPolicy": "Never", "containers": [container], "tolerations": tolerations}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name},
        "spec": {
            "parallelism": pods,
            "completions": pods,
            "template": {"metadata": {"labels": {"job": name}, "annotations": notes}, "spec": spec},
        },
    }


BURST = [
    {
        "apiVersion": "scheduling.volcano.sh/v1beta1",
        "kind": "PodGroup",
        "metadata": {"name": "train"},
        "spec": {"minMember": 2},
    },
    job("prepare", 12, cpu="1", memory="2Gi"),
    job("tune", 3, cpu="2", memory="8Gi", gpu="1"),
    job("train", 2, "train", cpu="8", memory="64Gi", gpu="4"),
]


class Story:
    """The loops of one controller, and kubectl's view whenever the stage of things changes."""

    def __init__(self, place: World, controller: Controller) -> None:
        self.place, self.controller = place, controller
        self.decisions: list[Decision] = []
        self.results: list[LoopResult] = []
        self.stages: list[str] = []

    def loop(self) -> LoopResult:
        result = self.controller.once()
        assert not result.error, result.error
        self.results.append(result)
        self.decisions += result.decisions
        for one in result.decisions:
            print(f"  {one.kind} {one.subject}: {one.reason}", flush=True)
        return result

    def show(self, stage: str) -> None:
        """Print what kubectl sees, once for each stage."""
        if stage in self.stages:
            return
        self.stages.append(stage)
        kubectl = self.place.kubectl
        nodes = kubectl("get", "nodes", "-L", "topology.kubernetes.io/zone,node.kubernetes.io/instance-type")
        pods = kubectl("get", "pods", "-o", "wide")
        print(f"\n=== {stage}\n$ kubectl get nodes\n{nodes.all}$ kubectl get pods\n{pods.all}", flush=True)

    def until(self, stage: str, seconds: float) -> None:
        """Loop until it is so, as ``stage_of`` says."""
        limit = time.monotonic() + seconds
        while stage not in self.stages:
            assert time.monotonic() < limit, f"{stage} was never reached: {self.stages}"
            self.loop()
            self.show(self.stage())
            time.sleep(0.2)

    def stage(self) -> str:
        pods = self.pods()
        phases = Counter(pod["status"]["phase"] for pod in pods)
        there = self.nodes()
        if phases["Succeeded"] == len(pods):
            cordoned = any(node["spec"].get("unschedulable") for node in there)
            return "nodes go" if cordoned else "work has ended" if there else "all is gone"
        if all(pod["spec"].get("nodeName") for pod in pods):
            return "every pod is bound"
        if any(pod["spec"].get("nodeName") for pod in pods):
            return "pods bind"
        return "nodes come" if there else "the burst waits"

    def pods(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.controller.kube.list("/api/v1/pods")
        return found

    def nodes(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.controller.kube.list("/api/v1/nodes")
        return found

    def of(self, *kinds: str) -> list[Decision]:
        return [one for one in self.decisions if one.kind in kinds]


def where(pods: Iterable[dict[str, Any]], nodes: dict[str, dict[str, Any]], name: str) -> list[tuple[str, str]]:
    """(type, zone) of the nodes that the pods of a job are on."""
    found = []
    for pod in pods:
        if pod["metadata"]["labels"]["job"] == name:
            labels = nodes[pod["spec"]["nodeName"]]["metadata"]["labels"]
            found.append((labels["node.kubernetes.io/instance-type"], labels["topology.kubernetes.io/zone"]))
    return found


def test_a_burst_over_two_regions(tmp_path: Path) -> None:
    with world(CLUSTER, tmp_path, ready_after=1.0) as place:
        place.limits({"region": FIRST, "type": "p3.*", "machines": 0}, pending_seconds=0.3, retry_seconds=3600)
        place.kubectl(
            "apply", "--validate=false", "-f", "-", stdin={"apiVersion": "v1", "kind": "List", "items": BURST}
        )
        story = Story(place, place.controller(Time(), idle_minutes=0.02, backoff_minutes=5))
        limit = time.monotonic() + 10
        while len(story.pods()) < 17:
            assert time.monotonic() < limit
            time.sleep(0.05)
        story.show("the burst waits")
        story.until("every pod is bound", 40)
        pods, nodes = story.pods(), {node["metadata"]["name"]: node for node in story.nodes()}
        assert {zone[:-1] for _, zone in where(pods, nodes, "prepare")} == {FIRST}, "the first region has CPUs"
        tune, train = where(pods, nodes, "tune"), where(pods, nodes, "train")
        assert {(kind, zone[:-1]) for kind, zone in tune} == {("p3.2xlarge", SECOND)}
        assert train[0] == train[1] and train[0][0] == "p3.8xlarge", "a gang is in one zone"
        assert train[0][1].startswith(SECOND)
        story.until("all is gone", 40)

        assert [
            stage for stage in story.stages if stage in ("the burst waits", "every pod is bound", "all is gone")
        ] == [
            "the burst waits",
            "every pod is bound",
            "all is gone",
        ]
        assert Counter(kind for kind, _ in place.launched()) == {"m5.2xlarge": 2, "p3.2xlarge": 3, "p3.8xlarge": 2}
        refused = {one.place.region for one in story.of("back-off") if one.place is not None}
        assert refused == {FIRST}
        assert sum(one.kind == "buy" and "m5" in str(one.place) for one in story.decisions) <= 2, "one launch round"
        assert len(story.of("terminate")) == 7
        assert sum(one.count for one in story.of("nominate") if one.done) >= 5, "the scheduler heard of what comes"
        assert {fleet.desired for fleet in place.fleets.look().fleets} == {0}
        assert all(job["status"]["conditions"][0]["type"] == "Complete" for job in jobs(story))


def jobs(story: Story) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = story.place.kubectl("get", "jobs", "-o", "json").json["items"]
    return found
