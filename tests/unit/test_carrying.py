"""What an apply says of the steps that were not begun."""

from __future__ import annotations

from infra.errors import Interrupted, NodeFailed, Refused
from infra.orchestration.carrying import errors
from infra.plan.execute import Outcome
from infra.plan.steps import Step

GRAPH = [
    Step("bake:gpu", "bake", "gpu"),
    Step("converge:a", "converge", "a", ("bake:gpu",), (), "metal.rack", 1),
    Step("converge:b", "converge", "b", ("converge:a",), (), "metal.rack", 1),
    Step("converge:c", "converge", "c", ("converge:a",), (), "metal.rack", 1),
]


def test_nothing_went_wrong() -> None:
    assert errors(Outcome(done=["bake:gpu"]), GRAPH) == []


def test_what_waits_and_what_has_no_place_left_is_said_to() -> None:
    bake = NodeFailed("no")
    first, second = errors(Outcome(failed={"bake:gpu": bake}, skipped={"converge:b": "bake:gpu"}), GRAPH)
    assert first is bake and isinstance(second, Refused)
    assert second.problems[0].what == "converge b was not begun"
    assert second.problems[0].why == "it waits for bake gpu, which failed"
    _, full = errors(Outcome(failed={"converge:b": NodeFailed("no")}, skipped={"converge:c": "converge:b"}), GRAPH)
    assert full.problems[0].why == "converge b failed, and no more of metal.rack may be away at once"


def test_what_was_left_at_ctrl_c() -> None:
    (stopped,) = errors(Outcome(left=[step.id for step in GRAPH]), GRAPH)
    assert isinstance(stopped, Interrupted) and "bake gpu, converge a" in stopped.problems[0].what
