"""Many machines at a time: the canary, the places of a group, what is shown."""

from __future__ import annotations

import json
import re
import threading
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.cli.main import run
from infra.errors import InfraError, NodeFailed, Problem, Refused
from infra.node.bring.bring import Brought
from infra.node.bring.rolling import group_of, limits, roll
from infra.node.model import Node
from infra.spec.load import load
from infra.spec.machines import at_a_time
from infra.ui import bring_view as view
from tests.unit.test_json_docs import table


def box(number: int, group: str = "titan", profile: str = "gpu") -> Node:
    return Node(f"{group}-{number}", "metal", group, profile, "ops")


BOXES = [box(number) for number in range(6)]


class Work:
    """Fails for the names in ``bad``; keeps who was at work together."""

    def __init__(self, *bad: str, seconds: float = 0.01) -> None:
        self.bad, self.seconds = bad, seconds
        self.order: list[str] = []
        self.most: Counter[str] = Counter()
        self._now: Counter[str] = Counter()
        self._lock = threading.Lock()

    def __call__(self, node: Node) -> str:
        with self._lock:
            self.order.append(node.name)
            self._now[node.group] += 1
            self.most[node.group] = max(self.most[node.group], self._now[node.group])
        time.sleep(self.seconds)
        with self._lock:
            self._now[node.group] -= 1
        if node.name in self.bad:
            raise NodeFailed(f"{node.name} failed")
        return node.name


def test_the_canary_first_then_so_many_at_once() -> None:
    work, told = Work(), list[str]()
    results = roll(
        BOXES, work, max_unavailable={("metal", "titan"): 2}, done=lambda node, _result: told.append(node.name)
    )
    assert list(results.values()) == [node.name for node in BOXES]
    assert work.order[0] == "titan-0" and work.most["titan"] == 2 and sorted(told) == sorted(results)


def test_a_canary_that_fails_stops_its_profile_alone() -> None:
    others = [box(number, "desk", "cpu") for number in range(3)]
    work = Work("titan-0")
    results = roll([*BOXES, *others], work, max_unavailable={group_of(BOXES[0]): 3, group_of(others[0]): 3})
    assert sorted(work.order) == ["desk-0", "desk-1", "desk-2", "titan-0"]
    left = results["titan-3"]
    assert isinstance(left, Refused) and "titan-0, the first of gpu, failed" in left.text()
    assert isinstance(results["titan-0"], NodeFailed) and results["desk-2"] == "desk-2"


def test_who_failed_keeps_its_place() -> None:
    work = Work("titan-1", "titan-2")
    results = roll(BOXES, work, max_unavailable={("metal", "titan"): 2})
    assert sorted(work.order) == ["titan-0", "titan-1", "titan-2"]
    left = results["titan-5"]
    assert isinstance(left, Refused) and " failed, and no more may be away at once" in left.text()
    assert "titan-1" in left.text() and "titan-4" not in left.text()


def test_without_a_canary() -> None:
    work = Work()
    roll(BOXES, work, max_unavailable={("metal", "titan"): 6}, parallel=3, canary=False)
    assert work.most["titan"] == 3
    assert roll([], work, max_unavailable={}) == {}


@given(bad=st.sets(st.integers(0, 7)), places=st.integers(1, 8), parallel=st.integers(1, 8))
def test_every_node_has_a_result_and_none_is_away_too_many(bad: set[int], places: int, parallel: int) -> None:
    nodes = [box(number) for number in range(8)]
    work = Work(*(f"titan-{number}" for number in bad), seconds=0)
    results = roll(nodes, work, max_unavailable={("metal", "titan"): places}, parallel=parallel)
    assert list(results) == [node.name for node in nodes]
    assert len(set(work.order)) == len(work.order) and work.most["titan"] <= min(places, parallel)
    failed = sum(isinstance(result, NodeFailed) for result in results.values())
    assert failed <= places + 1, "a broken policy stops"
    for node in nodes:
        refused = isinstance(results[node.name], Refused)
        assert refused == (node.name not in work.order)


def test_where_the_limit_comes_from(tmp_path: Path) -> None:
    text = (
        "version: 1\ncluster: lab\nprofiles: {gpu: {}}\nmetal:\n"
        "  titan: {profile: gpu, hosts: ['titan-[0-7]'], max_unavailable: 25%}\n  desk: {profile: gpu, hosts: [left]}\n"
    )
    cluster = load(tmp_path / "cluster.yaml", text=text).cluster
    pool = [Node(f"gpu-{name}", "pool", "gpu", "gpu", "ubuntu") for name in "abcd"]
    nodes = [*BOXES[:2], box(0, "desk"), *pool]
    assert limits(cluster, nodes) == {("metal", "titan"): 2, ("metal", "desk"): 1, ("pool", "gpu"): 1}
    assert limits(cluster, nodes, "50%") == {("metal", "titan"): 4, ("metal", "desk"): 1, ("pool", "gpu"): 2}
    assert limits(cluster, nodes, "3")[("pool", "gpu")] == 3


@pytest.mark.parametrize(
    ("share", "machines", "count"), [("1", 8, 1), ("3", 2, 3), ("25%", 8, 2), ("25%", 3, 1), ("100%", 5, 5)]
)
def test_shares(share: str, machines: int, count: int) -> None:
    assert at_a_time(share, machines) == count


# --- What is shown

DONE = Brought("titan-1", "gpu", "converged", "b" * 64, "a" * 64, updated=2, total=40, seconds=61.2, changed=("x", "y"))
RESULTS: dict[str, Brought | InfraError] = {
    "titan-0": NodeFailed("titan-0 failed at package[a]", why="E: no such package", fix="mend it"),
    "titan-1": DONE,
    "titan-2": replace(DONE, node="titan-2", state="nothing", digest_before="b" * 64, seconds=0.4),
    "titan-3": Refused("titan-3 was left as it is", why="titan-0, the first of gpu, failed"),
    "titan-4": replace(DONE, node="titan-4", state="reboot"),
    "titan-5": replace(DONE, node="titan-5", state="would"),
}


def test_the_summary() -> None:
    lines = view.summary(RESULTS).splitlines()
    assert len({line.index(word) for line, word in zip(lines, ("what", "✗", "conv", "at", "–"), strict=False)}) == 1
    assert [re.split("  +", line) for line in lines] == [
        ["node", "profile", "policy", "what came of it", "time"],
        ["titan-0", "✗ FAILED: failed at package[a]"],
        ["titan-1", "gpu", f"{'a' * 12} → {'b' * 12}", "converged, 2 of 40 resources changed", "61 s"],
        ["titan-2", "gpu", "b" * 12, "at its policy already: nothing to do", "0 s"],
        ["titan-3", "– left as it is: titan-0, the first of gpu, failed"],
        [
            "titan-4",
            "gpu",
            f"{'a' * 12} → {'b' * 12}",
            "2 of 40 resources changed; NOT DONE: it must be restarted",
            "61 s",
        ],
        ["titan-5", "gpu", f"{'a' * 12} → {'b' * 12}", "would change 2 of 40 resources", "61 s"],
    ]
    failed = view.failures(RESULTS)
    assert failed.startswith("error: titan-0 failed at package[a]\n  why: E: no such package\n  fix: mend it")
    assert view.would(DONE).splitlines() == ["titan-1  would change x", "titan-1  would change y"]


def test_the_next_command() -> None:
    assert view.next_command({"titan-1": DONE}) == "Next: infra node verify titan-1"
    assert view.next_command(RESULTS) == "Next: the same command without --no-reboot"
    assert "infra node verify" in view.next_command({"titan-1": replace(DONE, drift_left=("a",))})
    assert view.next_command({"titan-2": RESULTS["titan-2"]}) == ""


def test_plain_lines() -> None:
    stage = {"type": "stage", "stage": "reboot", "text": ""}
    assert view.line(stage) == "restarting" and view.line({**stage, "text": "12 s"}) == ""
    assert view.line({"type": "line", "text": "a"}) == "" and view.line({"type": "line", "text": "a"}, True) == "  a"
    assert view.line({"type": "stage", "stage": "smoke", "text": ""}) == ""
    assert view.line({"type": "stage", "stage": "away", "text": "trying again"}) == "LINK DOWN: trying again"
    assert view.line({"type": "beat", "stage": "converge", "text": "package[a]"}) == ""
    assert view.ended(DONE) == "✓ converged, 2 of 40 resources changed (61 s)"
    assert view.ended(RESULTS["titan-3"]) == "– titan-3 was left as it is"


def test_the_live_board() -> None:
    board = view._Board(["titan-0", "titan-1", "titan-2"])
    board.hear("titan-0", {"type": "stage", "stage": "preflight", "text": ""})
    board.hear("titan-0", {"type": "beat", "stage": "converge", "text": "package[a]"})
    board.hear("titan-1", {"type": "stage", "stage": "preflight", "text": ""})
    board.hear("titan-1", {"type": "stage", "stage": "warning", "text": "runs Debian"})
    board.end("titan-1")
    rows = board.rows()
    assert rows[0][:2] == ("titan-0", "converging") and rows[0][3] == "package[a]"
    assert len(rows) == 1 and board.foot() == "1 waiting, 1 done"
    assert len(board.__rich__().renderables) == 2


def test_a_result_as_data() -> None:
    warned = replace(DONE, warnings=(Problem("w", level="warning"),))
    assert warned.data()["changed"] == ["x", "y"] and warned.data()["seconds"] == 61.2
    assert view.warnings({"a": warned, **RESULTS}) == [Problem("w", level="warning")]


def test_the_json_is_as_documented() -> None:
    nodes = [box(number) for number in range(6)]
    found = {"format": 1, "cluster": "lab", "nodes": view.data(RESULTS, nodes), "failed": 2}
    table(json.loads(json.dumps(found)), "infra node bootstrap")
    states = [item["state"] for item in view.data(RESULTS, nodes)]
    assert states == ["failed", "converged", "nothing", "left", "reboot", "would"]


# --- The command line


@pytest.mark.parametrize(
    "words", [["bootstrap"], ["converge", "all", "--max-unavailable", "0"], ["converge", "nobody"]]
)
def test_wrong_usage(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "cluster.yaml").write_text(
        "version: 1\ncluster: lab\nprofiles: {gpu: {}}\nmetal: {titan: {profile: gpu, hosts: [titan-01]}}\n"
    )
    assert run(["node", *words]) == 1
    said = capsys.readouterr()
    assert "fix: " in said.err or "Usage" in said.err, said


def test_a_profile_that_does_not_resolve_is_said_before_anything_is_reached(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cluster.yaml").write_text(
        'version: 1\ncluster: lab\nprofiles: {gpu: {run_list: ["recipe[nowhere]"]}}\n'
        "metal: {titan: {profile: gpu, hosts: [{name: titan-01, address: 192.0.2.1}]}}\n"
    )
    assert run(["node", "bootstrap", "all"]) == 1
    assert "there is no cookbook 'nowhere'" in capsys.readouterr().err
