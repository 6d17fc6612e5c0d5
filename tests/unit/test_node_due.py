"""What is due on a machine, from what it said of itself."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from infra.cloud.work import who
from infra.errors import NodeUnreachable
from infra.node.inventory.look import Look, Report
from infra.node.model import Node
from infra.node.plan import planning
from infra.node.plan.due import drifted, due, state
from infra.node.plan.planning import Found
from infra.plan.model import NodeStep, Plan, Silent
from infra.policy import of
from infra.policy.model import Policy
from infra.spec.load import load
from infra.spec.models import Cluster

NODE = Node("titan-01", "metal", "titan", "gpu", "ubuntu", "titan-01.lab")
POLICY = Policy("gpu", (), (), {}, {"nvidia.driver": "580", "cuda": "12.9"}, (), {"node.json": b"{}"}, {})
WELL = Look(
    digest=POLICY.digest,
    current=POLICY.digest,
    profile="gpu",
    converged="2026-11-22T00:00:00Z",
    report=Report("converged", digest=POLICY.digest),
    drift=(),
)


def step(**seen: Any) -> NodeStep:
    found = due(NODE, replace(WELL, **seen), POLICY, 2)
    assert found is not None
    return found


def test_nothing_is_due_on_a_machine_that_is_as_it_should_be() -> None:
    assert due(NODE, WELL, POLICY, 1) is None
    assert due(NODE, replace(WELL, drift=None), POLICY, 1) is None, "no baseline: nothing to compare with"


def test_a_new_machine_is_bootstrapped() -> None:
    found = due(NODE, Look(), POLICY, 2)
    assert found is not None
    assert (found.action, found.before, found.reasons, found.reboot) == ("bootstrap", "", ("never converged",), True)
    assert (found.group, found.at_once, found.login) == ("metal.titan", 0, "ubuntu@titan-01.lab")


@pytest.mark.parametrize(
    ("seen", "reason", "reboot"),
    [
        ({"digest": "a" * 64, "versions": {"nvidia.driver": "575", "cuda": "12.9"}}, "nvidia.driver 575 → 580", True),
        ({"digest": "a" * 64, "versions": {"nvidia.driver": "580", "cuda": "12.8"}}, "cuda 12.8 → 12.9", False),
        ({"digest": "a" * 64}, f"the policy changed: {'a' * 12} → {POLICY.short}", False),
        ({"profile": "cpu"}, "profile cpu → gpu", False),
        ({"report": Report("failed", failed="package[curl]")}, "the last converge failed at package[curl]", False),
        ({"report": Report("running")}, "a converge was cut off", False),
        ({"converged": ""}, "a converge was cut off", False),
        ({"current": ""}, "another policy is in place: none", False),
        ({"reboot_pending": True}, "a restart is due", True),
        ({"drift": ("<\tsysctl\ta\t1", ">\tsysctl\ta\t2")}, "sysctl a: 1 → 2", False),
        ({"busy": "process 7", "job": {"since": "08:00"}}, "its converge of 08:00 is still at work", False),
    ],
)
def test_each_reason_is_said(seen: dict[str, Any], reason: str, reboot: bool) -> None:
    found = step(**seen)
    assert reason in found.reasons
    assert (found.action, found.reboot) == ("converge", reboot)


def test_what_moved_by_hand_is_named_and_counted() -> None:
    lines = [f"{sign}\tpackage\tp{number}\t{sign}{number}" for number in range(5) for sign in "<>"]
    assert drifted(lines) == [
        "package p0: <0 → >0",
        "package p1: <1 → >1",
        "package p2: <2 → >2",
        "and 2 more differences",
    ]
    assert drifted([">\tuser\teve\t1000"]) == ["user eve: nothing → 1000"]
    assert drifted([f"<\tetc\t/etc/x\t{'f' * 64}"]) == [f"etc /etc/x: {'f' * 23}… → nothing"]


def test_a_plan_is_stale_when_a_machine_is_another_than_it_saw() -> None:
    shown = step(drift=("<\ta\tb\tc",))
    plan = Plan("lab", "", "", "", "", {}, nodes=(shown,))
    assert planning.moved(plan, Found((shown,))) == []
    (problem,) = planning.moved(plan, Found(settled=(shown.node,)))
    assert "already as wanted" in problem.what
    (problem,) = planning.moved(plan, Found((step(drift=("<\ta\tb\td",)),)))
    assert "changed by somebody" in problem.what and "a b: d → nothing" in problem.why
    (problem,) = planning.moved(plan, Found((replace(shown, digest="e" * 64),)))
    assert "the policy of gpu changed" in problem.what
    (problem,) = planning.moved(plan, Found(silent=(Silent(shown.node, "no answer"),)))
    assert problem.why == "no answer"


def test_equal_looks_have_equal_states() -> None:
    assert state(WELL) == state(replace(WELL, uptime=9.0, boot_id="other"))
    assert state(WELL) != state(replace(WELL, reboot_pending=True))


def test_why_a_machine_is_silent_is_said_without_its_name() -> None:
    error = NodeUnreachable("titan-01 cannot be reached", why="ubuntu@titan-01.lab: No route to host")
    assert planning.why_silent(NODE, error) == "cannot be reached: No route to host"


def test_the_parts_that_a_plan_is_about() -> None:
    profile = {"run_list": ["recipe[base]"]}
    cluster = Cluster.model_validate(
        {
            "version": 1,
            "cluster": "lab",
            "aws": {"regions": ["us-west-2", "us-east-1"]},
            "profiles": {"gpu": profile, "plain": {}, "theirs": {**profile, "image": "ami-0123456789abcdef0"}},
            "metal": {
                "dev": {"profile": "gpu", "hosts": ["a-[1-2]"]},
                "plain": {"profile": "plain", "hosts": ["b"]},
            },
            "hosts": {
                "dev": {"profile": "gpu", "instance_type": "m5.large", "region": "us-east-1"},
                "own": {"profile": "theirs", "instance_type": "m5.large"},
            },
        }
    )
    assert planning.covers(cluster) == (("metal", "dev"), ("host", "dev"))
    assert planning.covers(cluster, ["us-east-1"]) == (("host", "dev"),)
    assert planning.covers(cluster, ["us-west-2"]) == ()
    assert planning.covers(cluster, only=["metal.dev"]) == (("metal", "dev"),)
    box = replace(NODE, group="dev")
    other = replace(NODE, name="dev-1", kind="host", group="dev", region="us-east-1", address="192.0.2.1")
    assert planning.among(cluster, [box, other], planning.covers(cluster), []) == [box, other]
    assert planning.among(cluster, [other], [("metal", "dev")], []) == []


def test_a_converge_of_our_own_is_gone_on_with() -> None:
    job = {"who": who(), "digest": POLICY.digest, "mode": "converge"}
    assert planning._ours(replace(WELL, job=job), POLICY)
    assert not planning._ours(replace(WELL, job={**job, "who": "grace@lab"}), POLICY)
    assert not planning._ours(replace(WELL, job={**job, "mode": "why-run"}), POLICY)


@pytest.mark.parametrize(
    ("seen", "part", "action", "reasons"),
    [
        ({}, "node", "join", ("no node of the cluster yet",)),
        ({"joined": True}, "node", "", ()),
        ({}, "control-plane", "join", ("not one of the control plane yet",)),
        ({"joined": True}, "control-plane", "join", ("not one of the control plane yet",)),
        ({"joined": True, "plane": True}, "control-plane", "", ()),
        ({"profile": "cpu"}, "node", "converge", ("profile cpu → gpu", "no node of the cluster yet")),
        ({"digest": ""}, "node", "bootstrap", ("never converged",)),
    ],
)
def test_a_machine_that_is_no_node_yet_joins(
    seen: dict[str, Any], part: Any, action: str, reasons: tuple[str, ...]
) -> None:
    found = due(NODE, replace(WELL, **seen), POLICY, 2, part)
    assert (found.action if found else "", found.reasons if found else ()) == (action, reasons)
    assert found is None or (found.joins == part and found.at_once == (2 if action == "converge" else 0))


def test_what_a_machine_is_to_be_in_kubernetes(tmp_path: Path) -> None:
    text = (
        "version: 1\ncluster: lab\nprofiles: {gpu: {run_list: ['recipe[kubernetes]']}, plain: {}}\n"
        "metal: {titan: {profile: gpu, hosts: ['titan-[01-02]']}}\n"
    )
    path = tmp_path / "cluster.yaml"
    other = replace(NODE, name="titan-02")

    def parts(more: str) -> list[str]:
        path.write_text(text + more)
        loaded = load(path)
        return [planning.becomes(loaded.cluster, node, of(loaded, "gpu")) for node in (NODE, other)]

    assert parts("") == ["", ""] and parts("kubernetes: {}\n") == ["", ""], "there is no control plane"
    assert parts("kubernetes: {control_plane: {metal: [titan-02]}}\n") == ["node", "control-plane"]
    assert parts("kubernetes: {}\naws: {regions: [us-west-2]}\n") == ["node", "node"]
    assert planning.becomes(load(path).cluster, NODE, POLICY) == "", "its profile has nothing of Kubernetes"
