"""What was bought for a pod stays its own: the next plans, and what the scheduler is told of them."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from infra.autoscale.controller import Controller, LoopResult, Settings
from infra.autoscale.controller.promises import keeps_nominations
from infra.autoscale.nominations import PATIENCE, Nominations
from infra.autoscale.plan import Plan, plan
from infra.autoscale.seating import Seating
from infra.autoscale.snapshot import TYPE, Group, Offer, Snapshot
from tests.unit.clusters import Judge, group, node, offer, pod, pods, shops, snapshots
from tests.unit.doubles import price
from tests.unit.worlds import World


def launched(snapshot: Snapshot, found: Plan, named: int) -> Snapshot:
    """The same with the plan's machines on their way; the first ``named`` of each kind have a name already."""
    counts = {(one.group, one.place): one.count for one in found.purchases}

    def flying(group: Group, one: Offer) -> Offer:
        count = one.in_flight + counts.get((group.name, one.place), 0)
        names = tuple(f"{group.name}-{one.place.type}-{one.place.zone}-{number}" for number in range(count))
        return replace(one, in_flight=count, coming=names[:named])

    groups = tuple(
        replace(one, offers=tuple(flying(one, two) for two in one.offers), desired=found.desired[one.name])
        for one in snapshot.groups
    )
    return replace(snapshot, groups=groups)


@settings(deadline=None, max_examples=80, suppress_health_check=list(HealthCheck))
@given(st.one_of(shops(gangs=True), shops(gangs=True), snapshots()), st.integers(0, 3))
def test_the_next_plan_deals_out_what_was_bought_as_it_was_planned(snapshot: Snapshot, named: int) -> None:
    """Spread pods are planned anew each time, by what stands where; all others sit."""
    snapshot = replace(snapshot, pods=tuple(one for one in snapshot.pods if not one.needs.spreads))
    seating = Seating()
    seating.seats(snapshot)
    first = plan(snapshot)
    seating.keep(snapshot, first, first.purchases)
    second = launched(snapshot, first, named)
    second = replace(second, seats=seating.seats(second))
    again = plan(second)
    Judge(second, again).check()
    assert not again.purchases
    assert set(again.placements) >= set(first.placements)
    machines: dict[str, set[str]] = {}
    for key, row in first.placements.items():
        machines.setdefault(row, set()).add(again.placements[key])
    assert all(len(rows) == 1 for rows in machines.values()), "what was planned on one machine is on one still"


def test_a_machine_that_gets_its_name_keeps_the_load_it_was_bought_for() -> None:
    snapshot = Snapshot(pods("a", 3, 3000), groups=(group("p", offer("small"), maximum=9),))
    seating = Seating()
    found = plan(snapshot)
    seating.keep(snapshot, found, found.purchases)
    flying = launched(snapshot, found, 2)
    assert Counter(seating.seats(flying).values()) == {
        "p-small-us-west-2a-0": 1,
        "p-small-us-west-2a-1": 1,
        "p: in flight, small on-demand in us-west-2a #3": 1,
    }
    # One joins, one gets its name, and the third is refused.
    one = node("p-small-us-west-2a-1", group="p", joining=True)
    one = replace(one, labels={**one.labels, TYPE: "small"})
    left = replace(
        flying,
        nodes=(one,),
        groups=(group("p", replace(offer("small", flying=1), coming=("p-small-us-west-2a-0",)), maximum=9),),
    )
    assert sorted(seating.seats(left).values()) == ["p-small-us-west-2a-0", "p-small-us-west-2a-1"]


def test_what_was_not_bought_is_not_promised() -> None:
    snapshot = Snapshot(pods("a", 2, 3000), groups=(group("p", offer("small"), maximum=9),))
    seating = Seating()
    seating.keep(snapshot, plan(snapshot), ())
    stranger = replace(snapshot, groups=(group("p", replace(offer("small", flying=2), coming=("x",)), maximum=9),))
    assert not seating.seats(stranger)


def seen(*coming: str, told: str = "", **more: object) -> Snapshot:
    waiting = replace(pod("a"), nominated=told)
    groups = (group("p", replace(offer("small", flying=len(coming)), coming=coming), maximum=9),)
    return replace(Snapshot((waiting,), groups=groups), **more)  # type: ignore[arg-type]


def test_pods_are_nominated_for_machines_that_come_and_for_no_others() -> None:
    told = Nominations()
    assert told.changes(seen("m"), {"default/a": "m"}) == {"default/a": "m"}
    assert told.changes(seen("m", told="m"), {"default/a": "m"}) == {}
    # A node that was always there needs no hint: the scheduler has looked at it.
    assert Nominations().changes(seen(nodes=(node("old"),)), {"default/a": "old"}) == {}


def test_a_nomination_goes_when_its_machine_does_not_come_or_the_plan_has_changed() -> None:
    told = Nominations()
    told.said(told.changes(seen("m", "n"), {"default/a": "m"}))
    assert told.changes(seen("m", "n", told="m"), {"default/a": "n"}) == {"default/a": "n"}
    assert told.changes(seen("n", told="m"), {}) == {"default/a": ""}
    # Also one of a life before this one, of which nobody remembers anything.
    assert Nominations().changes(seen("n", told="m"), {}) == {"default/a": ""}


def test_what_somebody_else_nominated_stays() -> None:
    """The scheduler itself does so when it evicts others for a pod."""
    there = seen("m", told="old", nodes=(node("old"),))
    assert Nominations().changes(there, {"default/a": "m"}) == {}


def test_nobody_is_expected_for_ever_on_a_machine_that_is_ready() -> None:
    told, of = Nominations(), {"default/a": "m"}
    told.said(told.changes(seen("m"), of))
    ready = seen(told="m", nodes=(node("m"),))
    assert told.changes(replace(ready, now=10.0), of) == {}
    assert told.changes(replace(ready, now=10.0 + PATIENCE), of) == {"default/a": ""}


def test_who_comes_after_takes_over_what_was_told_of_young_machines() -> None:
    old = node("m", group="p", created=0.0)
    heir = Nominations()
    assert heir.changes(seen(told="m", nodes=(old,), now=100.0), {"default/a": "m"}) == {}
    late = seen(told="m", nodes=(old,), now=100.0 + PATIENCE)
    assert heir.changes(late, {"default/a": "m"}) == {"default/a": ""}
    # A node that has been there for hours was chosen by somebody else.
    stranger = Nominations()
    for now in (9000.0, 9000.0 + PATIENCE):
        assert stranger.changes(seen(told="m", nodes=(old,), now=now), {}) == {}


def test_an_older_scheduler_is_told_once_the_machine_is_ready() -> None:
    told, of = Nominations(early=False), {"default/a": "m"}
    assert told.changes(seen("m"), of) == {}
    assert told.changes(seen(nodes=(node("m", joining=True),)), of) == {}
    assert told.changes(seen(nodes=(node("m"),)), of) == {"default/a": "m"}


@pytest.mark.parametrize(
    ("version", "keeps"),
    [
        ({"major": "1", "minor": "34"}, False),
        ({"major": "1", "minor": "34+"}, False),
        ({"major": "1", "minor": "35+"}, True),
        ({"major": "2", "minor": "0"}, True),
        ({}, True),
    ],
)
def test_nominations_for_what_is_not_there_yet_are_kept_from_1_35_on(version: dict[str, str], keeps: bool) -> None:
    assert keeps_nominations(version) is keeps


# The controller


def world() -> tuple[World, Controller]:
    one = World()
    one.cloud.add("us-west-2/cpu", "m5.xlarge")
    return one, Controller(one.kube, one.cloud, price, one.clock, Settings(identity="one"))


def crowd(one: World) -> None:
    """Pods of 3 cores with one of 1 core on each machine of 4; first fit would put all small ones together."""
    one.pods("small", 4, cpu="1")
    one.pods("zlarge", 4, cpu="2900m")


def loops(one: World, some: Controller, count: int) -> list[LoopResult]:
    found = []
    for _ in range(count):
        found.append(some.once())
        assert not found[-1].error, found[-1].error
        one.tick()
    return found


def bought(results: list[LoopResult]) -> list[int]:
    return [one.count for result in results for one in result.decisions if one.kind == "buy"]


def test_a_burst_is_bought_once_though_the_scheduler_fills_machines_in_its_own_order() -> None:
    one, some = world()
    crowd(one)
    results = loops(one, some, 14)
    assert bought(results) == [4]
    assert len(one.running()) == 8
    told = [one for result in results for one in result.decisions if one.kind == "nominate"]
    assert sum(one.count for one in told) == 8


def test_without_nominations_the_same_burst_is_bought_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the test above is one: here the scheduler hears nothing."""
    one, some = world()
    monkeypatch.setattr(one.kube, "patch_all", lambda many: [None] * len(many))
    crowd(one)
    assert len(bought(loops(one, some, 14))) > 1


def test_a_dry_run_nominates_nobody_and_says_so() -> None:
    one, some = world()
    crowd(one)
    loops(one, some, 1)
    before = list(one.kube.writes)
    result = some.once(dry_run=True)
    (told,) = [one for one in result.decisions if one.kind == "nominate"]
    assert (told.count, told.done) == (8, False)
    assert one.kube.writes == before
    assert [one.count for one in some.once().decisions if one.kind == "nominate"] == [8]


def test_what_changed_meanwhile_is_not_overwritten_and_tried_again() -> None:
    one, some = world()
    crowd(one)
    loops(one, some, 1)
    path = "/api/v1/namespaces/default/pods/small-0"

    def meddle(where: str) -> None:
        if where == path:
            one.kube.meddle = lambda path: None
            one.kube.put(path, {**one.kube.objects[path]})

    one.kube.meddle = meddle
    some.once()
    assert "nominatedNodeName" not in one.kube.objects[path]["status"]
    some.once()
    assert one.kube.objects[path]["status"]["nominatedNodeName"]


def test_a_restart_reads_its_promises_off_the_pods() -> None:
    one, some = world()
    crowd(one)
    results = loops(one, some, 3)
    heir = Controller(one.kube, one.cloud, price, one.clock, Settings(identity="one"))
    results += loops(one, heir, 12)
    assert bought(results) == [4]
    assert len(one.running()) == 8
