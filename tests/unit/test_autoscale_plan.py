"""The plan as a whole: what it may never do, over random clusters, and what it does in small ones."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from infra.autoscale.plan import plan
from infra.autoscale.snapshot import HOSTNAME, ZONE, Expression, Gang, Place, Pod, Snapshot, Spread, Taint
from tests.unit.clusters import GPU_TAINT, TOLERATE_GPU, ZONES, Judge, group, node, offer, pod, pods, snapshots

SLOW = settings(deadline=None, max_examples=60, suppress_health_check=list(HealthCheck))


@SLOW
@given(snapshots())
def test_a_plan_is_what_kubernetes_would_do_within_every_limit_and_no_gang_is_split(snapshot: Snapshot) -> None:
    Judge(snapshot, plan(snapshot)).check()


@SLOW
@given(snapshots())
def test_the_bound_never_exceeds_the_cost(snapshot: Snapshot) -> None:
    found = plan(snapshot)
    assert 0 <= found.certificate.bound <= found.cost + 1e-9
    assert found.cost == pytest.approx(sum(one.cost for one in found.purchases))


@SLOW
@given(snapshots(), st.randoms(use_true_random=False))
def test_equal_snapshots_give_equal_plans_in_whatever_order(snapshot: Snapshot, chance: random.Random) -> None:
    some, nodes = list(snapshot.pods), list(snapshot.nodes)
    chance.shuffle(some)
    chance.shuffle(nodes)
    assert plan(replace(snapshot, pods=tuple(some), nodes=tuple(nodes))) == plan(snapshot)


@SLOW
@given(snapshots(), st.floats(0.01, 5))
def test_of_two_equal_offers_the_dearer_gets_nothing_while_the_cheaper_may_grow(
    snapshot: Snapshot, more: float
) -> None:
    snapshot = replace(snapshot, groups=tuple(replace(one, pool="") for one in snapshot.groups))
    twins = tuple(
        replace(
            one,
            name=f"{one.name}-dear",
            desired=0,
            offers=tuple(replace(two, price=two.price + more, in_flight=0) for two in one.offers),
        )
        for one in snapshot.groups
    )
    found = plan(replace(snapshot, groups=snapshot.groups + twins))
    bought = {(one.group, one.place) for one in found.purchases}
    for one in snapshot.groups:
        dear = [place for name, place in bought if name == f"{one.name}-dear"]
        room_left = found.desired[one.name] < one.maximum
        assert not dear or not room_left


@SLOW
@given(snapshots())
def test_every_decision_has_a_reason(snapshot: Snapshot) -> None:
    found = plan(snapshot)
    assert all(one.reason for one in (*found.purchases, *found.waiting))
    for one in snapshot.pods:
        assert one.key in found.explain(one.key)


def test_one_burst_over_selector_classes_is_bought_in_one_round() -> None:
    some = pods("a", 8, 4000, selector=(("pool", "p"),)) + pods("b", 8, 4000)
    found = plan(Snapshot(some, groups=(group("p", offer("large"), maximum=50),)))
    assert sum(one.count for one in found.purchases) == 4
    assert len(found.placements) == 16


def test_what_is_there_and_what_is_in_flight_comes_first() -> None:
    flying = group("p", offer("small", flying=1), maximum=5)
    found = plan(Snapshot(pods("a", 8), (node("metal"),), (flying,)))
    assert not found.purchases
    assert sum("metal" in name for name in found.placements.values()) == 4


def test_a_gpu_machine_is_left_alone_by_work_without_gpus() -> None:
    found = plan(Snapshot(pods("a", 4), (node("big", "g8"), node("small"))))
    assert set(found.placements.values()) == {"small"}


def test_gpus_are_filled_up_before_a_whole_machine_is_broken_into() -> None:
    old = replace(pod("old-1", gpus=4), node="b")
    found = plan(Snapshot((old, *pods("a", 4, gpus=1)), (node("a", "g8"), node("b", "g8"))))
    assert set(found.placements.values()) == {"b"}


def test_a_starved_place_is_passed_over_in_the_same_plan() -> None:
    cheap, dear = offer("g8", ZONES[0], 1.0), offer("g8", ZONES[1], 2.0)
    snapshot = Snapshot(pods("a", 3, gpus=8), groups=(group("p", cheap), group("q", dear)))
    assert {one.group for one in plan(snapshot).purchases} == {"p"}
    found = plan(replace(snapshot, starved=frozenset({cheap.place})))
    assert {(one.group, one.count) for one in found.purchases} == {("q", 3)}


def test_priorities_buy_first_when_there_is_not_enough() -> None:
    low, high = pods("low", 8, 4000), pods("zhigh", 2, 4000, priority=10)
    found = plan(Snapshot(low + high, groups=(group("p", offer("small"), maximum=3),)))
    assert {key for key in found.placements if "zhigh" in key} == {"default/zhigh-0", "default/zhigh-1"}
    assert len(found.placements) == 3
    assert "at its maximum of 3" in found.explain("default/low-7")


def test_groups_of_one_pool_share_its_maximum() -> None:
    groups = tuple(
        replace(group(f"p{zone}", offer("small", zone), maximum=5, desired=1), pool="us-west-2/p") for zone in ZONES
    )
    found = plan(Snapshot(pods("a", 9, 4000), groups=groups))
    assert sum(one.count for one in found.purchases) == 3
    assert "the pool us-west-2/p is at its maximum of 5" in found.explain("default/a-8")


def test_a_gang_waits_whole_when_its_zone_is_too_small() -> None:
    gang = Gang("default/train", 6, "zone")
    groups = tuple(group(f"p{zone}", offer("g8", zone), maximum=4) for zone in ZONES)
    snapshot = Snapshot(pods("train", 6, gpus=8, gang=gang), groups=groups)
    found = plan(snapshot)
    assert not found.purchases and not found.placements
    assert "fits into no single zone; 4 would fit" in found.explain("default/train-0")
    wide = replace(snapshot, pods=pods("train", 6, gpus=8, gang=gang._replace(within="region")))
    assert sum(one.count for one in plan(wide).purchases) == 6


def test_a_gang_waits_for_its_members() -> None:
    gang = Gang("default/train", 6, "zone")
    found = plan(Snapshot(pods("train", 5, gpus=8, gang=gang), groups=(group("p", offer("g8")),)))
    assert found.explain("default/train-0").startswith("default/train-0 waits: its gang has 5 of 6 pods")


def test_the_rest_of_a_gang_goes_where_its_first_members_run() -> None:
    gang = Gang("default/train", 2, "zone")
    old = replace(pod("train-9", gpus=8, gang=gang), node="b")
    groups = tuple(group(f"p{zone}", offer("g8", zone)) for zone in ZONES)
    found = plan(Snapshot((old, *pods("train", 1, gpus=8, gang=gang)), (node("b", "g8", ZONES[1]),), groups))
    assert [one.place.zone for one in found.purchases] == [ZONES[1]]


def test_spread_over_zones_buys_in_each() -> None:
    own = (Expression("app", "In", ("web",)),)
    web = pods("web", 6, 4000, spreads=(Spread(ZONE, 1, own, 1),))
    groups = tuple(
        group(f"p{zone}", offer("small", zone, price)) for zone, price in zip(ZONES, (0.1, 0.9), strict=True)
    )
    found = plan(Snapshot(web, groups=groups))
    assert [one.count for one in found.purchases] == [3, 3]


def test_pods_that_stay_apart_get_a_machine_each() -> None:
    own = (Expression("app", "In", ("db",)),)
    found = plan(Snapshot(pods("db", 3, 500, apart=(own,)), groups=(group("p", offer("small")),)))
    assert sum(one.count for one in found.purchases) == 3


def test_ten_thousand_pods_that_never_fit_are_told_once() -> None:
    found = plan(Snapshot(pods("huge", 10_000, 500_000), groups=(group("p", offer("large")),)))
    assert len(found.waiting) == 1 and len(found.waiting[0].pods) == 10_000
    assert "cpu too small" in found.waiting[0].reason


def test_a_taint_is_named() -> None:
    groups = (group("p", offer("g8"), gpu_taint=True),)
    found = plan(Snapshot(pods("a", 1, gpus=8), (node("n", taints=(Taint("sick", "", "NoExecute"),)),), groups))
    text = found.explain("default/a-0")
    assert "taint sick:NoExecute" in text and f"taint {GPU_TAINT.key}:NoSchedule" in text
    assert plan(Snapshot(pods("a", 1, gpus=8, tolerations=TOLERATE_GPU), groups=groups)).purchases


def test_a_node_name_is_no_reason_to_buy() -> None:
    asked = ((Expression(HOSTNAME, "In", ("gone",)),),)
    found = plan(Snapshot(pods("a", 1, affinity=asked), groups=(group("p", offer("large")),)))
    assert not found.purchases


def test_the_pod_of_a_daemonset_is_never_bought_for() -> None:
    found = plan(Snapshot((replace(pod("d-1"), owner="DaemonSet"),), groups=(group("p", offer("large")),)))
    assert not found.purchases and not found.waiting


def test_a_malformed_pod_waits_with_its_problem_and_harms_nobody() -> None:
    bad = Pod("default", "bad", pod("x").needs, problem="its manifest is malformed: cpu: 'x' is not a quantity")
    found = plan(Snapshot((bad, *pods("a", 1)), groups=(group("p", offer("large")),)))
    assert found.purchases and "malformed" in found.explain("default/bad")


def test_places_read_well() -> None:
    assert str(Place("us-west-2", "us-west-2a", "g8", "spot")) == "g8 spot in us-west-2a"
