"""The controller in a world in memory: bursts, overflow, scale-in, blindness, spot, machines that never join."""

from __future__ import annotations

from collections import Counter

import pytest

from infra.autoscale.controller import Controller, LoopResult, Settings
from infra.autoscale.ports import Failure
from infra.errors import KubeUnreachable
from tests.unit.doubles import price
from tests.unit.worlds import World

WEST, EAST = "us-west-2/gpu", "us-east-1/gpu"


def controller(world: World, identity: str = "one", **more: float) -> Controller:
    return Controller(world.kube, world.cloud, price, world.clock, Settings(identity=identity, **more))  # type: ignore[arg-type]


def kinds(result: LoopResult) -> list[str]:
    return [one.kind for one in result.decisions if one.kind not in ("lead", "warn", "nominate")]


def until(world: World, some: Controller, done: object, loops: int = 100) -> list[LoopResult]:
    """Loops until ``done()``; every loop must go through."""
    results = []
    for _ in range(loops):
        results.append(some.once())
        assert not results[-1].error, results[-1].error
        world.tick()
        if done():  # type: ignore[operator]
            return results
    raise AssertionError("it did not come to pass")


JOINED = 120.0


def test_one_burst_is_one_launch_and_goes_away_again() -> None:
    world = World()
    world.cloud.add("us-west-2/cpu", "m5.xlarge")
    world.pods("web", 30)
    one = controller(world)
    first = one.once()
    assert kinds(first) == ["buy"]
    assert first.decisions[-1].count == 8 and first.decisions[-1].gap is not None
    assert world.desired() == {"us-west-2/cpu": 8}
    world.tick()
    results = until(world, one, lambda: len(world.running()) == 30)
    assert not [kind for result in results for kind in kinds(result)], "a launch on its way is not bought again"
    world.finish("web")
    results = until(world, one, lambda: not world.machines() and not world.kube.nodes())
    found = Counter(kind for result in results for kind in kinds(result))
    assert found == {"leave": 8, "terminate": 8, "forget": 8}
    assert len(world.cloud.launched) == 8


def test_a_burst_of_two_minutes_is_one_launch() -> None:
    world = World()
    world.cloud.add("us-west-2/cpu", "m5.xlarge")
    one = controller(world, settle=15)
    seen: list[str] = []
    for part in range(12):
        world.pods(f"burst{part}", 3)
        seen += kinds(one.once())
        world.tick(10)
    assert seen == ["gather"] * 12 and not world.cloud.launched
    world.tick(10)
    assert kinds(one.once()) == ["buy"]
    assert world.desired() == {"us-west-2/cpu": 9}
    world.pod("late")
    assert kinds(one.once()) == ["gather"]


def test_work_that_arrives_for_ever_is_bought_for_all_the_same() -> None:
    world = World()
    world.cloud.add("us-west-2/cpu", "m5.xlarge")
    one = controller(world, settle=15)
    seen: list[str] = []
    for part in range(32):
        world.pod(f"steady{part}")
        seen += kinds(one.once())
        world.tick(10)
    assert seen.index("buy") == 15, "150 seconds after the first"
    assert seen.count("buy") == 2


def test_a_dry_run_writes_nothing_and_tells_everything() -> None:
    world = World()
    world.cloud.add("us-west-2/cpu", "m5.xlarge")
    world.pods("web", 3)
    world.pod("big", cpu="500")
    result = controller(world).once(dry_run=True)
    assert kinds(result) == ["refuse", "buy"] and not any(one.done for one in result.decisions)
    assert not world.kube.writes and not world.cloud.calls
    assert "cpu too small" in result.explain("default/big")
    assert "us-west-2/cpu: new" in result.explain("default/web-0")
    assert "is not there" in result.explain("default/nobody")


def test_metal_is_used_first_and_stays() -> None:
    world = World()
    world.cloud.add("us-west-2/cpu", "m5.xlarge")
    world.node("titan", "m5.xlarge", "lab")
    world.pods("web", 3)
    one = controller(world)
    assert kinds(one.once()) == []
    world.tick()
    world.finish("web")
    for _ in range(60):
        assert kinds(one.once()) == []
        world.tick()
    assert "titan" in world.kube.nodes()


def test_what_a_region_cannot_give_comes_from_the_next_in_the_same_loop() -> None:
    world = World()
    world.cloud.add(WEST, "g5.xlarge")
    world.cloud.add(EAST, "g5.xlarge")
    world.cloud.capacity["us-west-2", "g5.xlarge"] = 3
    world.pods("train", 8, gpus=1, owner="Job")
    one = controller(world)
    one.once()
    assert world.desired() == {WEST: 8}
    world.tick()
    result = one.once()
    assert kinds(result) == ["back-off", "lower", "buy"]
    assert world.desired() == {WEST: 3, EAST: 5}
    assert "g5.xlarge on-demand in us-west-2a" in result.backoffs
    until(world, one, lambda: len(world.running()) == 8)
    assert len(world.cloud.launched) == 8


def test_a_place_rests_twice_as_long_each_time_and_is_tried_again() -> None:
    world = World()
    world.cloud.add(WEST, "g5.xlarge")
    world.cloud.capacity["us-west-2", "g5.xlarge"] = 0
    world.pod("train", gpus=1)
    one, begun, rests = controller(world), world.clock.now(), []
    while world.clock.now() - begun < 3 * 3600:
        for decision in one.once().decisions:
            if decision.kind == "back-off":
                assert decision.until is not None
                rests.append((decision.until - world.clock.now()) / 60)
        world.tick(30)
    assert rests[:5] == [3, 6, 12, 24, 48] and set(rests[5:]) == {60}
    world.cloud.capacity.clear()
    until(world, one, lambda: bool(world.running()), loops=400)
    assert len(world.cloud.launched) == 1


def test_a_group_that_cannot_launch_rests_alone() -> None:
    world = World()
    world.cloud.add(WEST, "g5.xlarge")
    world.cloud.add("us-west-2/other", "g5.xlarge")
    world.cloud.code = "InvalidAMIID.NotFound"
    world.cloud.capacity["us-west-2", "g5.xlarge"] = 0
    world.pod("train", gpus=1, nodeSelector={"pool": "gpu"})
    one = controller(world)
    one.once()
    world.tick()
    result = one.once()
    assert list(result.backoffs) == [WEST]
    assert "does not launch: there is no capacity" in result.explain("default/train")


def test_a_group_over_several_zones_rests_when_all_of_them_refused() -> None:
    world = World()
    wide = world.cloud.add("us-west-2/wide", "g5.xlarge", zones=("us-west-2a", "us-west-2b"))
    world.cloud.add(EAST, "g5.xlarge")
    world.pod("train", gpus=1)
    one = controller(world)
    one.once()
    group = world.cloud.groups[wide]
    for number, zone in enumerate(("us-west-2a", "us-west-2b")):
        world.clock.time += 15
        failed = Failure(f"a{number}", world.clock.now(), world.cloud.code, "no capacity", zone, "g5.xlarge")
        group.failures.append(failed)
        # The group tries its other zone by itself, so the first refusal takes nothing from it.
        assert kinds(one.once()) == [["back-off"], ["back-off", "lower", "buy"]][number]
    assert world.desired() == {EAST: 1}


def test_the_next_type_of_a_group_is_reckoned_with_when_the_first_is_out() -> None:
    world = World()
    world.cloud.add("us-west-2/big", ("p4d.24xlarge", "g5.48xlarge"))
    world.cloud.capacity["us-west-2", "p4d.24xlarge"] = 1
    world.pods("train", 3, gpus=8)
    # The group tells of its failure before it tries its next type.
    world.cloud.lazy = True
    one = controller(world)
    one.once()
    world.tick()
    result = one.once()
    assert kinds(result) == ["back-off", "lower", "buy"] and world.desired() == {"us-west-2/big": 3}
    assert [some.place.type for some in result.decisions if some.kind == "buy" and some.place] == ["g5.48xlarge"]
    assert not kinds(one.once()), "what was asked for just now is on its way, though its first type rests"
    until(world, one, lambda: len(world.running()) == 3)
    assert Counter(one.type for one in world.machines().values()) == {"p4d.24xlarge": 1, "g5.48xlarge": 2}
    assert len(world.cloud.launched) == 3


def test_a_minimum_that_cannot_be_had_holds_no_work_up() -> None:
    world = World()
    world.cloud.add(WEST, "g5.xlarge", minimum=2, desired=2)
    world.cloud.add(EAST, "g5.xlarge")
    world.cloud.capacity["us-west-2", "g5.xlarge"] = 0
    world.pods("train", 2, gpus=1)
    world.tick()
    assert "buy" in kinds(controller(world).once())
    assert world.desired() == {WEST: 2, EAST: 2}


def test_a_region_that_is_blind_is_left_alone_and_counted() -> None:
    world = World()
    world.cloud.add(WEST, "g5.xlarge")
    world.cloud.add(EAST, "g5.xlarge")
    world.pods("train", 4, gpus=1)
    controller(world).once()
    world.tick()
    world.cloud.blind["us-west-2"] = "no answer"
    # A new controller, too, knows what is on its way.
    for one in (controller(world), controller(world)):
        assert kinds(one.once()) == ["blind"]
    world.pods("more", 2, gpus=1)
    result = one.once()
    assert kinds(result) == ["blind", "buy"] and world.desired() == {WEST: 4, EAST: 2}
    until(world, one, lambda: len(world.running()) == 6)
    assert world.desired() == {WEST: 4, EAST: 2}
    world.finish("train")
    for _ in range(60):
        one.once()
        world.tick()
    assert len(world.machines(WEST)) == 4
    world.cloud.blind.clear()
    world.finish("more")
    until(world, one, lambda: not world.machines())


def test_what_never_came_of_a_blind_region_is_bought_elsewhere_after_a_while() -> None:
    world = World()
    world.cloud.add(WEST, "g5.xlarge")
    world.cloud.add(EAST, "g5.xlarge")
    world.pods("train", 4, gpus=1)
    one = controller(world)
    one.once()
    world.cloud.blind["us-west-2"] = "no answer"
    world.never_join.add(WEST)
    until(world, one, lambda: len(world.running()) == 4)
    assert world.desired() == {WEST: 4, EAST: 4}


def test_a_region_that_refuses_changes_does_not_hold_work_up() -> None:
    world = World()
    world.cloud.add(WEST, "g5.xlarge")
    world.cloud.add(EAST, "g5.xlarge")
    world.cloud.refuses.add("us-west-2")
    world.pods("train", 4, gpus=1)
    one = controller(world)
    assert kinds(one.once()) == ["buy", "could-not", "back-off"]
    assert kinds(one.once()) == ["buy"]
    assert world.desired() == {EAST: 4}


def test_spot_that_is_taken_back_is_drained_at_once_and_its_work_planned_for() -> None:
    world = World()
    spot = world.cloud.add("us-west-2/spot", "m5.xlarge", market="spot", desired=1)
    world.tick()
    world.tick(JOINED)
    world.pods("web", 3)
    world.pod("job", cpu="100m", owner="Job")
    world.tick()
    one = controller(world)
    assert not kinds(one.once())
    (machine,) = world.machines()
    world.cloud.interrupt(spot, machine)
    first = one.once()
    assert kinds(first) == ["interrupted"]
    assert first.counts.waiting == 4 and first.counts.placed == 4, "its work is planned for in the same loop"
    assert Counter(kinds(one.once())) == {"evict": 4}
    assert kinds(one.once()) == ["replace", "forget"]
    until(world, one, lambda: len(world.running()) == 4 and len(world.kube.nodes()) == 1)
    assert len(world.cloud.launched) == 2


def test_machines_that_never_join_go_and_their_group_rests_longer_each_time() -> None:
    world = World()
    world.cloud.add(WEST, "g5.xlarge")
    world.cloud.add(EAST, "g5.xlarge")
    world.never_join.add(WEST)
    world.pods("train", 2, gpus=1)
    one = controller(world)
    results = until(world, one, lambda: len(world.running()) == 2)
    found = Counter(kind for result in results for kind in kinds(result))
    assert found == {"buy": 2, "back-off": 1, "terminate": 2}
    assert world.desired() == {EAST: 2}


def test_a_node_whose_gpus_never_come_is_kept_and_its_group_rests() -> None:
    world = World()
    world.cloud.add(WEST, "g5.xlarge")
    world.cloud.add(EAST, "g5.xlarge")
    world.gpu_less.add(WEST)
    world.pod("train", gpus=1)
    one = controller(world)
    until(world, one, lambda: len(world.running()) == 1)
    assert world.desired() == {WEST: 1, EAST: 1}
    until(world, one, lambda: not world.machines(WEST))
    assert len(world.cloud.launched) == 2


def test_a_minimums_machine_that_never_joins_is_replaced() -> None:
    world = World()
    world.cloud.add("us-west-2/cpu", "m5.xlarge", minimum=1, desired=1)
    world.never_join.add("us-west-2/cpu")
    world.tick()
    one = controller(world)
    until(world, one, lambda: ("replace", "us-west-2/cpu", "i-00001") in world.cloud.calls)
    assert world.desired() == {"us-west-2/cpu": 1}


@pytest.mark.parametrize("skew", [-7200.0, 7200.0])
def test_the_clouds_clock_may_be_wrong(skew: float) -> None:
    world = World()
    world.cloud.skew = skew
    world.cloud.add(WEST, "g5.xlarge")
    world.cloud.add(EAST, "g5.xlarge")
    world.cloud.capacity["us-west-2", "g5.xlarge"] = 1
    one = controller(world)
    one.once()
    world.pods("train", 3, gpus=1)
    until(world, one, lambda: len(world.running()) == 3)
    assert len(world.cloud.launched) == 3 and world.desired() == {WEST: 1, EAST: 2}


def test_ten_thousand_pods_that_can_never_fit_are_told_once() -> None:
    world = World()
    world.cloud.add("us-west-2/cpu", "m5.xlarge")
    one = controller(world)
    names = world.pods("big", 300, cpu="500")
    result = one.once()
    assert [(some.kind, some.count) for some in result.decisions if some.kind == "refuse"] == [("refuse", 300)]
    for name in names[:100]:
        del world.kube.objects[f"/api/v1/namespaces/default/pods/{name}"]
    world.pods("large", 50, cpu="500")
    assert not kinds(one.once()) and not kinds(controller(world).once())
    world.pods("huge", 50, cpu="600")
    assert kinds(one.once()) == ["refuse"]


def test_an_api_server_that_is_away_ends_the_loop_and_slows_the_next() -> None:
    world = World()
    world.cloud.add("us-west-2/cpu", "m5.xlarge")
    one = controller(world)
    world.kube.broken = KubeUnreachable("the API server does not answer", why="connection refused")
    pauses = [one.once().pause for _ in range(8)]
    assert pauses == [30, 60, 120, 240, 300, 300, 300, 300]
    assert "connection refused" in one.once().error
    world.kube.broken = None
    world.pod("web")
    assert kinds(one.once()) == ["buy"]
    assert one.once().pause == 15


def test_unknown_types_and_malformed_objects_are_warnings() -> None:
    world = World()
    fleet = world.cloud.add("us-west-2/cpu", "m5.xlarge")
    group = world.cloud.groups[fleet].fleet
    object.__setattr__(group, "types", ("x99.huge",))
    world.cloud.add("us-west-2/good", "m5.xlarge")
    world.pod("web")
    world.pod("bad", cpu="two")
    world.kube.put("/api/v1/nodes/odd", {"spec": None, "status": [], "metadata": {"name": "odd", "annotations": 7}})
    world.kube.put("/apis/apps/v1/namespaces/x/daemonsets/d", {"metadata": {"name": "d"}, "spec": {"template": 3}})
    result = controller(world).once()
    warned = [one.reason for one in result.decisions if one.kind == "warn"]
    assert any("x99.huge is not known" in text for text in warned), warned
    assert world.desired() == {"us-west-2/good": 1}
    assert "malformed" in result.explain("default/bad")
