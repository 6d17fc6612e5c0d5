"""The steps of an upgrade, and the ways that Kubernetes does not take."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.errors import Refused, UsageError
from infra.kube.members import Member
from infra.kube.upgrading import parsed, plan


def member(name: str, version: str, origin: str = "cloud", plane: bool = False, ready: str = "yes") -> Member:
    machine = "" if origin == "stranger" else name
    return Member(name, machine, origin, "g", ready, version, 0, (), False, 60, plane)  # type: ignore[arg-type]


def planes(*versions: str, **more: Any) -> list[Member]:
    return [member(f"control-plane-{place}", version, plane=True, **more) for place, version in enumerate(versions, 1)]


def test_the_control_plane_first_then_metal() -> None:
    rest = [member("titan-1", "1.36.1", "metal"), member("gpu-1", "1.36.1"), member("box", "1.35.0", "stranger")]
    found = plan([*rest, *planes("1.36.1", "1.36.1", "1.36.1")], "v1.36.1", "1.37")
    assert [(step.machine, step.how) for step in found.steps] == [
        ("control-plane-1", "apply"),
        ("control-plane-2", "node"),
        ("control-plane-3", "node"),
        ("titan-1", "node"),
    ]
    assert [item.node for item in found.images] == ["gpu-1"]
    assert [item.node for item in found.strangers] == ["box"]


def test_a_control_plane_on_physical_machines_goes_before_the_other_machines() -> None:
    rest = [member("titan-4", "1.36.1", "metal")]
    found = plan([*rest, *planes("1.36.1", "1.36.1", "1.36.1", origin="metal")], "v1.36.1", "1.37")
    assert [(step.part, step.machine, step.how) for step in found.steps] == [
        ("control-plane", "control-plane-1", "apply"),
        ("control-plane", "control-plane-2", "node"),
        ("control-plane", "control-plane-3", "node"),
        ("node", "titan-4", "node"),
    ]


def test_it_goes_on_where_it_stopped() -> None:
    found = plan([*planes("1.37.0", "1.36.1"), member("titan-1", "1.37.0", "metal")], "v1.37.0", "1.37")
    assert [(step.machine, step.how) for step in found.steps] == [("control-plane-2", "node")]
    # Killed after kubeadm and before kubelet: the API server is new, the machine is not; kube-upgrade knows its step.
    found = plan(planes("1.36.1"), "v1.37.0", "1.37")
    assert [(step.machine, step.how) for step in found.steps] == [("control-plane-1", "apply")]
    assert plan(planes("1.37.1"), "v1.37.1", "1.37").empty
    assert [step.how for step in plan(planes("1.37.1"), "v1.37.1", "1.37.2").steps] == ["apply"]


@pytest.mark.parametrize(
    ("members", "server", "to", "why"),
    [
        (planes("1.35.0"), "v1.35.0", "1.37", "infra kube upgrade --to 1.36"),
        (planes("1.36.0"), "v1.36.0", "1.35", "does not go back"),
        # One API server is new already, another is two behind what is asked.
        (planes("1.37.0", "1.36.0"), "v1.37.0", "1.38", "is 2 minor versions"),
        ([*planes("1.36.0"), member("t", "1.38.0", "metal")], "v1.36.0", "1.37", "may not be newer"),
        ([*planes("1.36.0"), member("t", "1.33.0", "metal")], "v1.36.0", "1.37", "kubectl delete node t"),
        ([*planes("1.36.0"), member("g", "1.33.0")], "v1.36.0", "1.37", "infra image bake"),
        ([member("x", "1.36.0", "stranger", plane=True)], "v1.36.0", "1.37", "no machine of ours"),
        (planes("1.36.0", "1.36.0", ready="no"), "v1.36.0", "1.37", "is not well"),
    ],
)
def test_ways_that_are_refused(members: list[Member], server: str, to: str, why: str) -> None:
    with pytest.raises(Refused) as refused:
        plan(members, server, to)
    assert why in refused.value.text()
    assert refused.value.problems[0].why and refused.value.problems[0].fix


def test_versions() -> None:
    assert parsed("v1.37.2+k3s1") == (1, 37, 2) and parsed("1.37") == (1, 37)
    for text in ("", "latest", "2.0", "37"):
        with pytest.raises(UsageError):
            parsed(text)


MEMBERS = st.lists(
    st.builds(
        lambda minor, origin, plane: (minor, origin, plane),
        st.integers(33, 38),
        st.sampled_from(["cloud", "metal", "stranger"]),
        st.booleans(),
    ),
    max_size=6,
)


@given(MEMBERS, st.integers(34, 38), st.integers(34, 39))
def test_no_plan_ever_breaks_the_skew(given: list[tuple[int, str, bool]], server: int, to: int) -> None:
    """Walk the steps: no kubelet is newer than the oldest API server, none more than three behind the newest."""
    members = [member(f"n{place}", f"1.{minor}.0", origin, plane) for place, (minor, origin, plane) in enumerate(given)]
    if not all(parsed(item.version)[1] <= server for item in members):
        return  # not a cluster that could be
    try:
        found = plan(members, f"v1.{server}.0", f"1.{to}")
    except Refused:
        return
    has = {item.node: parsed(item.version)[1] for item in members}
    apis = {item.node: has[item.node] for item in members if item.control_plane} or {"api": server}
    for step in found.steps:
        assert to - has[step.node] <= 3
        if step.part == "control-plane":
            assert to - apis[step.node] <= 1
            apis[step.node] = to
        elif "api" not in apis:
            assert min(apis.values()) >= to, "nodes come after the whole control plane"
        has[step.node] = to
    behind = {item.node for item in (*found.images, *found.strangers)}
    assert all(minor >= to or name in behind for name, minor in has.items())
