"""The autoscaler's process, killed between any two of its calls: nothing is bought twice, cordoned for ever, or left.

Real: the process, both drivers. Doubles: AWS is the embedded one; the API server, its scheduler and the kubelets are
the suite's. Reads change nothing, so a death between two reads is one before the next request that does.
"""

from __future__ import annotations

import contextlib
import random
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.e2e import embedded
from tests.e2e.autoscaled import embedded as embedded_aws
from tests.e2e.autoscaled import world_at
from tests.e2e.autoscaler_lives import REQUESTS, Life, Point, kinds
from tests.e2e.faulty_aws import serve
from tests.e2e.test_autoscale_burst import FIRST, SECOND, job

pytestmark = pytest.mark.engine

LIVES, POINTS, SEED = 4, 20, 5
CLUSTER = f"""\
version: 1
cluster: life%d
aws: {{regions: [{FIRST}, {SECOND}], endpoint: local}}
profiles:
  cpu: {{}}
  gpu: {{run_list: ["role[gpu-node]"], nvidia: {{driver: "580", cuda: "12.9"}}}}
pools:
  cpu: {{profile: cpu, instance_types: [m5.2xlarge], size: {{max: 4}}}}
  gpu:
    profile: gpu
    instance_types: [p3.8xlarge]
    regions: [{FIRST}, {SECOND}]
    size: {{max: 4}}
    taints: [{{key: nvidia.com/gpu, value: present, effect: NoSchedule}}]
kubernetes:
  version: "1.36"
  autoscale: {{pools: [cpu, gpu]}}
"""
GANG = {
    "apiVersion": "scheduling.volcano.sh/v1beta1",
    "kind": "PodGroup",
    "metadata": {"name": "train"},
    "spec": {"minMember": 2},
}


def points() -> list[list[Point]]:
    """For each life its points, in the order of a life: each kind of request is met before and after it is done."""
    draw = random.Random(SEED)
    found = []
    for kind in REQUESTS:
        # Some requests come once in a life.
        several = kind in ("buy", "nominate", "note", "leave", "terminate", "forget")
        sides = [False, True]
        draw.shuffle(sides)
        found += [Point(kind, draw.randrange(2) if several else 0, after) for after in sides]
    assert len(found) == POINTS
    return [found[number::LIVES] for number in range(LIVES)]


def begin(stack: contextlib.ExitStack, url: str, shared: Path, number: int, environment: dict[str, str]) -> Life:
    """A cluster of its own on an embedded AWS that all share, behind a door of its own."""
    folder, held = shared / f"life{number}", threading.Event()
    (folder / "aws").mkdir(parents=True)
    text = CLUSTER % number
    (folder / "cluster.yaml").write_text(text, encoding="utf-8")
    place = stack.enter_context(world_at(url, text, folder, zones=1, never=lambda _: held.is_set()))
    faulty = stack.enter_context(serve([], url))
    kept = (shared / "aws" / "server.json").read_text(encoding="utf-8")
    embedded.point(folder / "aws" / "server.json", kept, faulty)
    env = {"INFRA_LOCAL_DIR": str(folder / "aws"), "KUBECONFIG": str(place.kubectl.config)}
    return Life(place, faulty, folder, {**environment, **env}, held)


def test_killed_at_every_kind_of_request_of_its_life(tmp_path: Path, session_environment: dict[str, str]) -> None:
    with contextlib.ExitStack() as stack:
        url = stack.enter_context(embedded_aws(tmp_path))
        lives = [begin(stack, url, tmp_path, number, session_environment) for number in range(LIVES)]
        lives[0].place.limits({"region": FIRST, "type": "p3.*", "machines": 0}, retry_seconds=3600)
        for life in lives:
            for thing in (GANG, job("prepare", 10, cpu="1200m"), job("train", 2, "train", cpu="8", gpu="4")):
                life.place.kube.put(thing)
        with ThreadPoolExecutor(LIVES) as pool:
            runs = [pool.submit(life.live, some, 300) for life, some in zip(lives, points(), strict=True)]
            for run in runs:
                run.result()
        for life in lives:
            print(f"{life.place.cluster.cluster}: {', '.join(life.died)}\n  {dict(kinds(life.said))}")
            assert not life.wrong, f"cordoned, and nobody knows why: {life.wrong}"
            assert "Traceback" not in life.said, life.said
            assert len(life.place.machines.known) == 4, life.died
        # A machine that is gone does not say any more whose it was.
        once = {("m5.2xlarge", f"{FIRST}a"): 2, ("p3.8xlarge", f"{SECOND}a"): 2}
        there = Counter(lives[0].place.launched())
        assert there == {key: LIVES * count for key, count in once.items()}, [life.said for life in lives]
