"""Which machines go, and which never do."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from infra.autoscale.shrink import shrink
from infra.autoscale.snapshot import Gang, Node, Pod, Snapshot
from tests.unit.clusters import group, node, offer, pod

NOW = 10_000.0


def idle(name: str, **more: object) -> Node:
    return replace(node(name, "small", group="p", idle_since=0.0), **more)  # type: ignore[arg-type]


def on(name: str, machine: str, owner: str = "ReplicaSet", **more: object) -> Pod:
    return replace(pod(name), node=machine, owner=owner, **more)  # type: ignore[arg-type]


def cluster(*nodes: Node, pods: tuple[Pod, ...] = (), minimum: int = 0) -> Snapshot:
    some = replace(group("p", offer("small"), desired=sum(one.group == "p" for one in nodes)), minimum=minimum)
    return Snapshot(pods, nodes, (some,), now=NOW)


def test_an_idle_machine_goes_up_to_the_cap_and_the_minimum() -> None:
    some = [idle(f"n{place}") for place in range(5)]
    assert [one.node for one in shrink(cluster(*some), cap=2).departures] == ["n0", "n1"]
    found = shrink(cluster(*some, minimum=4))
    assert [one.node for one in found.departures] == ["n0"]
    assert found.stays["n4"] == "the group p is at its minimum of 4"


def test_metal_a_joining_machine_and_one_that_was_busy_just_now_stay() -> None:
    found = shrink(
        cluster(idle("metal", group=""), idle("new", joining=True), idle("busy", idle_since=NOW - 60), idle("ours"))
    )
    assert [one.node for one in found.departures] == ["ours"]
    assert set(found.stays) == {"metal", "new", "busy"}


def test_a_batch_pod_keeps_its_machine_unless_it_is_annotated() -> None:
    for owner in ("Job", "PyTorchJob", ""):
        held = cluster(idle("a"), idle("b", idle_since=None), pods=(on("x", "a", owner),))
        assert "is running" in shrink(held).stays["a"]
        free = cluster(idle("a"), idle("b", idle_since=None), pods=(on("x", "a", owner, evictable=True),))
        assert [one.evict for one in shrink(free).departures] == [("default/x",)]
    gang = pod("x", gang=Gang("default/g", 1, "zone")).needs
    assert "of the gang" in shrink(cluster(idle("a"), idle("b"), pods=(on("x", "a", needs=gang),))).stays["a"]
    assert "annotated" in shrink(cluster(idle("a"), pods=(on("x", "a", evictable=False),))).stays["a"]


def test_service_pods_move_only_where_there_is_room() -> None:
    pods = tuple(on(f"x{place}", machine) for place, machine in enumerate(("a", "a", "b", "b", "b")))
    found = shrink(cluster(idle("a"), idle("b"), pods=pods))
    assert found.stays["a"] == "its 2 pods have no room elsewhere"
    found = shrink(cluster(idle("a"), idle("b"), pods=pods[1:4]))
    assert [(one.node, one.evict) for one in found.departures] == [("a", ("default/x1",))]


def test_a_machine_that_waiting_pods_need_stays() -> None:
    assert "waiting pods" in shrink(cluster(idle("a")), needed={"a"}).stays["a"]


@settings(deadline=None, max_examples=30, suppress_health_check=list(HealthCheck))
@given(
    st.lists(st.tuples(st.sampled_from(["p", ""]), st.booleans(), st.integers(0, 4)), max_size=6),
    st.integers(0, 3),
    st.integers(0, 3),
    st.data(),
)
def test_the_limits_hold(machines: list[tuple[str, bool, int]], minimum: int, cap: int, data: st.DataObject) -> None:
    nodes = [idle(f"n{place}", group=home, joining=joining) for place, (home, joining, _) in enumerate(machines)]
    pods = tuple(
        on(f"x{place}-{number}", f"n{place}", data.draw(st.sampled_from(["ReplicaSet", "Job"])))
        for place, (_, _, count) in enumerate(machines)
        for number in range(count)
    )
    snapshot = cluster(*nodes, pods=pods, minimum=minimum)
    found = shrink(snapshot, cap=cap)
    gone = {one.node for one in found.departures}
    assert len(gone) <= cap
    assert not gone or snapshot.groups[0].desired - len(gone) >= minimum
    assert gone | set(found.stays) == {one.name for one in nodes} and not gone & set(found.stays)
    for one in nodes:
        assert one.name not in gone or (one.group and not one.joining)
    assert not [one for one in pods if one.owner == "Job" and one.node in gone]
