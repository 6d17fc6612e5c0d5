"""The graph of a plan and its execution: order, parallelism, limits, and what a failure stops."""

from __future__ import annotations

import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.errors import NodeFailed
from infra.plan import execute, steps
from infra.plan.model import Change, ImageStep, NodeStep, Plan, RegionPlan, from_data
from infra.plan.steps import Step

AMI = "ami-0000000000000000a"


def plan(**given: object) -> Plan:
    return Plan("lab", "2026-11-22T00:00:00Z", "ada@lab", "spec", "cluster.yaml", {}, **given)  # type: ignore[arg-type]


def region(name: str, *addresses: str, awaits: dict[str, str] | None = None) -> RegionPlan:
    changes = tuple(Change(address, "aws_vpc", "create") for address in addresses)
    return RegionPlan(name, changes, awaits=awaits or {})


def node(name: str, profile: str = "gpu", **given: object) -> NodeStep:
    return NodeStep(name, "converge", profile, "d" * 64, "metal.titan", **given)  # type: ignore[arg-type]


def test_what_is_made_of_an_image_waits_for_it_and_nothing_else_does() -> None:
    made = plan(
        images=(ImageStep("bake", "gpu", "d" * 64, ("us-west-2",)),),
        regions=(
            region("us-west-2", "module.pool_gpu.a", awaits={AMI: "gpu"}),
            region("us-east-1", "module.network.b"),
        ),
        nodes=(node("titan-01"), node("titan-02"), node("desk", "cpu")),
    )
    found = {step.id: step.after for step in steps.of(made)}
    assert found == {
        "bake:gpu": (),
        "terraform:us-west-2": ("bake:gpu",),
        "terraform:us-east-1": (),
        "converge:titan-01": ("bake:gpu",),
        "converge:titan-02": ("converge:titan-01",),
        "converge:desk": (),
    }
    assert steps.levels(steps.of(made))["converge:titan-02"] == 3


def test_machines_wait_for_a_control_plane_that_is_made() -> None:
    made = plan(regions=(region("us-west-2", "module.control_plane.x"),), nodes=(node("titan-01"),))
    assert steps.of(made)[-1].after == ("terraform:us-west-2",)


def test_physical_machines_of_a_control_plane_come_one_after_the_other_and_then_what_joins_it() -> None:
    made = plan(
        nodes=(
            node("worker", joins="node"),
            node("t-01", joins="control-plane"),
            node("t-02", "cpu", joins="control-plane"),
            node("other", "cpu"),
        )
    )
    assert [(step.name, step.after) for step in steps.of(made)] == [
        ("t-01", ()),
        ("t-02", ("converge:t-01",)),
        ("worker", ("converge:t-01", "converge:t-02")),
        ("other", ("converge:t-02",)),
    ]


def test_a_plan_with_machines_is_read_back_as_it_was() -> None:
    made = plan(nodes=(node("titan-01", reasons=("cuda 12.8 → 12.9",), reboot=True),), settled=("titan-02",))
    assert from_data(made.data()) == made
    assert made.data()["steps"][0]["reasons"] == ("cuda 12.8 → 12.9", "reboot")
    assert not made.empty


@st.composite
def graphs(draw: st.DrawFn) -> tuple[list[Step], set[str]]:
    """Some steps, each after some earlier ones, in groups with limits; and those that fail."""
    count = draw(st.integers(0, 12))
    names = [f"converge:{place}" for place in range(count)]
    limits = {"a": draw(st.integers(1, 3)), "b": draw(st.integers(1, 3)), "": 0}
    made = []
    for place, name in enumerate(names):
        after = tuple(draw(st.lists(st.sampled_from(names[:place]), unique=True, max_size=3))) if place else ()
        group = draw(st.sampled_from(["", "a", "b"]))
        made.append(Step(name, "converge", name, after, (), group, limits[group]))
    return made, set(draw(st.lists(st.sampled_from(names), unique=True, max_size=3))) if names else set()


@settings(max_examples=60, deadline=None)
@given(graphs(), st.integers(1, 5))
def test_every_step_has_one_end_in_the_right_order_and_within_its_limits(
    drawn: tuple[list[Step], set[str]], parallel: int
) -> None:
    graph, bad = drawn
    lock, busy, begun = threading.Lock(), {"": 0, "a": 0, "b": 0}, []
    ended: list[str] = []
    lost: list[str] = []
    limits = {step.id: step.at_once for step in graph}

    def work(step: Step) -> None:
        with lock:
            assert set(step.after) <= set(ended)
            begun.append(step.id)
            busy[step.group] += 1
            assert not step.at_once or busy[step.group] <= step.at_once
            assert sum(busy.values()) - sum(bool(limits[name]) for name in lost) <= parallel
        time.sleep(0.0005)
        with lock:
            if step.id in bad:  # it keeps its place in its group, not its thread
                if not step.at_once:
                    busy[step.group] -= 1
                lost.append(step.id)
                raise NodeFailed(step.id)
            busy[step.group] -= 1
            ended.append(step.id)

    outcome = execute.run(graph, work, parallel=parallel)
    assert sorted([*outcome.done, *outcome.failed, *outcome.skipped]) == sorted(step.id for step in graph)
    assert not outcome.left and len(begun) == len(set(begun))
    assert sorted(outcome.done) == sorted(ended)
    for name, because in outcome.skipped.items():
        assert because in outcome.failed and name not in begun
    for step in graph:  # nothing is skipped without a reason of its own
        if step.id in outcome.skipped:
            full = sum(other.group == step.group and other.id in outcome.failed for other in graph) >= step.at_once > 0
            assert full or any(one in outcome.failed or one in outcome.skipped for one in step.after)


def test_steps_that_need_not_wait_run_side_by_side() -> None:
    meet = threading.Barrier(3, timeout=10)
    graph = [Step(f"bake:{name}", "bake", name) for name in "abc"]
    assert len(execute.run(graph, lambda _: meet.wait() and None).done) == 3


def test_a_stop_begins_nothing_more_and_lets_what_runs_end() -> None:
    graph = [Step("bake:a", "bake", "a"), Step("converge:b", "converge", "b", ("bake:a",))]
    stop = threading.Event()
    outcome = execute.run(graph, lambda _: stop.set(), stopped=stop.is_set)
    assert (outcome.done, outcome.left) == (["bake:a"], ["converge:b"])


def test_a_fault_of_our_own_is_not_swallowed() -> None:
    def work(step: Step) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        execute.run([Step("bake:a", "bake", "a"), Step("bake:b", "bake", "b", ("bake:a",))], work)


def test_a_group_with_no_place_left_is_not_begun_any_further() -> None:
    def work(step: Step) -> None:
        if step.name == "b":
            raise NodeFailed(step.id)

    graph = [Step(name, "converge", name, (), (), "rack", 1) for name in "abcd"]
    outcome = execute.run([*graph, Step("e", "converge", "e")], work)
    assert (sorted(outcome.done), outcome.skipped) == (["a", "e"], {"c": "b", "d": "b"})
