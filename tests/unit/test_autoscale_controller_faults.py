"""The controller under faults: gangs that come in part, two controllers, lost leases, death between any two calls."""

from __future__ import annotations

import json
import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.autoscale.controller import Controller, LoopResult, Settings
from infra.autoscale.controller.notes import IDLE_SINCE, LEAVING, leaving_of, seconds_of
from infra.autoscale.controller.state import State, loads
from infra.autoscale.ports import Cloud, FleetId, Kube
from infra.errors import KubeUnreachable
from tests.unit.doubles import Fragile, Killed, price
from tests.unit.test_autoscale_controller import controller, kinds
from tests.unit.worlds import World

WEST, EAST = "us-west-2/gang", "us-east-1/gang"
STATE = "/api/v1/namespaces/kube-system/configmaps/infra-autoscaler"
LEASE = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/infra-autoscaler"


def gangs(capacity: int) -> World:
    world = World()
    world.cloud.add(WEST, "g5.48xlarge")
    world.cloud.add(EAST, "g5.48xlarge")
    world.cloud.capacity["us-west-2", "g5.48xlarge"] = capacity
    return world


def test_a_gang_that_came_in_part_is_given_back_and_planned_elsewhere_as_a_whole() -> None:
    world = gangs(3)
    world.pods("gang", 4, gpus=8, owner="Job", gang=("g", 4))
    one = controller(world)
    assert kinds(one.once()) == ["buy"]
    world.tick()
    result = one.once()
    assert Counter(kinds(result)) == {"back-off": 1, "lower": 1, "give-back": 3, "buy": 1}
    assert world.desired() == {EAST: 4}
    for _ in range(15):
        assert set(kinds(one.once())) <= {"forget"}
        world.tick()
    assert len(world.running()) == 4 and not world.machines(WEST)
    state, _ = loads(world.kube.objects[STATE]["data"]["state"])
    assert not state.gangs


def test_a_partial_gang_whose_machines_joined_already_is_given_back_too() -> None:
    world = gangs(3)
    world.pods("gang", 4, gpus=8, owner="Job", gang=("g", 4))
    one = controller(world)
    one.once()
    for _ in range(9):
        world.tick()
    assert len(world.kube.nodes()) == 3
    assert Counter(kinds(one.once())) == {"back-off": 1, "lower": 1, "give-back": 3, "buy": 1}
    for _ in range(20):
        one.once()
        world.tick()
    assert len(world.running()) == 4 and world.desired() == {EAST: 4}
    assert set(world.running().values()) == set(world.kube.nodes())


def test_what_other_work_needs_of_a_partial_gang_stays() -> None:
    world = gangs(3)
    world.pods("gang", 4, gpus=8, owner="Job", gang=("g", 4))
    one = controller(world)
    one.once()
    world.tick()
    world.pods("single", 2, gpus=8, owner="Job")
    result = one.once()
    assert Counter(kinds(result)) == {"back-off": 1, "lower": 1, "give-back": 1, "buy": 1}
    assert world.desired() == {WEST: 2, EAST: 4}


def test_a_partial_gang_that_fits_nowhere_costs_nothing() -> None:
    world = gangs(3)
    world.cloud.capacity["us-east-1", "g5.48xlarge"] = 2
    world.pods("gang", 4, gpus=8, owner="Job", gang=("g", 4))
    one = controller(world)
    for _ in range(8):
        result = one.once()
        world.tick()
    assert not world.running() and not world.machines() and not world.desired()
    assert "has no capacity now" in result.explain("default/gang-0")
    tried: Counter[str] = Counter()
    for _ in range(120):
        world.tick(30)
        tried.update(kinds(one.once()))
    assert 4 <= tried["buy"] <= 10, "it is tried again, less and less often"
    assert tried["give-back"] <= 3 * tried["buy"]


def test_a_gang_in_one_zone_is_not_sent_to_a_group_over_several() -> None:
    world = World()
    world.cloud.add("us-west-2/wide", "g5.48xlarge", zones=("us-west-2a", "us-west-2b"))
    world.pods("gang", 4, gpus=8, gang=("g", 4))
    assert kinds(controller(world).once()) == ["refuse"]
    world.pods("single", 4, gpus=8)
    assert kinds(controller(world).once()) == ["buy"]


def test_of_two_controllers_one_acts_and_the_other_takes_over_by_its_own_clock() -> None:
    world = World()
    world.cloud.add("us-west-2/cpu", "m5.xlarge")
    world.pods("web", 4)
    first, second = controller(world, "one"), controller(world, "two")
    assert kinds(first.once()) == ["buy"] and kinds(second.once()) == ["follow"]
    for _ in range(10):
        world.tick(20)
        assert first.once().leading and not second.once().leading
    # The first falls silent. What its clock says in the lease is of no account.
    world.kube.objects[LEASE]["spec"]["renewTime"] = "2099-01-01T00:00:00.000000Z"
    second.once()
    world.tick(50)
    assert not second.once().leading
    world.tick(20)
    assert second.once().leading
    assert first.once().decisions[-1].kind == "follow"
    assert world.kube.objects[LEASE]["spec"]["leaseTransitions"] == 1
    assert len(world.cloud.launched) == 1


def test_who_was_held_up_for_too_long_stops_before_its_next_write() -> None:
    world = World()
    fleet = world.cloud.add("us-west-2/cpu", "m5.xlarge")
    world.pods("web", 4)
    first, second = controller(world, "one"), controller(world, "two")
    second.lead.acquire()
    second.lead.release()
    look = world.cloud.look

    def slow() -> object:
        world.cloud.look = look  # type: ignore[method-assign]
        found = look()
        second.once()
        world.clock.time += 100
        assert kinds(second.once()) == ["buy"]
        return found

    world.cloud.look = slow  # type: ignore[method-assign, assignment]
    result = first.once()
    assert not result.leading and kinds(result)[-1] == "follow"
    assert world.cloud.calls == [("resize", fleet, 1)]


def test_who_was_held_up_sends_no_machine_off_either() -> None:
    world = World()
    world.cloud.add("us-west-2/cpu", "m5.xlarge", desired=1)
    world.tick()
    world.tick(120)
    first, second = controller(world, "one", idle_minutes=2), controller(world, "two")
    first.once()
    world.clock.time += 115
    first.once()
    look = world.cloud.look

    def slow() -> object:
        world.cloud.look = look  # type: ignore[method-assign]
        second.once()
        world.clock.time += 100
        assert second.once().leading
        world.kube.writes.clear()
        return look()

    world.cloud.look = slow  # type: ignore[method-assign, assignment]
    world.clock.time += 10
    assert kinds(first.once())[-1] == "follow"
    assert not world.kube.writes
    assert kinds(controller(world, "two", idle_minutes=2).once()) == ["leave"], "there was something to do"


def test_a_node_whose_machine_went_while_nobody_looked_is_forgotten() -> None:
    world = World()
    fleet = world.cloud.add("us-west-2/cpu", "m5.xlarge", desired=2)
    world.node("host", "m5.xlarge", "us-west-2a", providerID="aws:///us-west-2a/i-host")
    world.tick()
    world.tick(120)
    controller(world).once()
    world.cloud.end(fleet, "i-00001")
    world.tick(60)
    world.tick(60)
    world.tick(60)
    world.tick(120)
    assert "i-00001" not in world.cloud.groups[fleet].machines and world.kube.nodes()["ip-00001"]
    assert kinds(controller(world).once()) == ["forget"]
    assert set(world.kube.nodes()) == {"ip-00002", "ip-00003", "host"}, "a machine of no group is nobody's to forget"


def test_a_lease_that_cannot_be_renewed_is_lost_after_a_while() -> None:
    world = World()
    world.cloud.add("us-west-2/cpu", "m5.xlarge")
    one = controller(world)
    one.once()
    world.pods("web", 4)
    look = world.cloud.look

    def slow() -> object:
        world.clock.time += 50
        world.kube.broken = KubeUnreachable("the API server does not answer")
        return look()

    world.cloud.look = slow  # type: ignore[method-assign, assignment]
    result = one.once()
    assert kinds(result) == ["follow"] and "renewed in time" in result.error
    assert not world.cloud.calls


def test_run_ends_when_it_is_told_and_lets_the_lead_go() -> None:
    world = World()
    world.clock.stop_after = 3
    told: list[LoopResult] = []
    controller(world).run(told.append)
    assert len(told) == 3 and world.kube.objects[LEASE]["spec"]["holderIdentity"] == ""
    assert controller(world, "two").once().leading


@pytest.mark.parametrize("text", ["{", "[]", "7", '{"version": 9}', '{"version": 1, "backoffs": 3}', "\x00" * 9])
def test_a_state_that_cannot_be_read_is_begun_anew(text: str) -> None:
    world = World()
    world.cloud.add("us-west-2/cpu", "m5.xlarge")
    world.pod("web")
    world.kube.put(STATE, {"metadata": {"name": "infra-autoscaler"}, "data": {"state": text, "mine": "kept"}})
    result = controller(world).once()
    assert any("begun anew" in one.reason for one in result.decisions if one.kind == "warn")
    assert kinds(result) == ["buy"]
    assert loads(world.kube.objects[STATE]["data"]["state"])[1] == ""
    assert world.kube.objects[STATE]["data"]["mine"] == "kept"


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda some: st.lists(some, max_size=3) | st.dictionaries(st.text(max_size=5), some, max_size=3),
    max_leaves=8,
)
PARTS = ("backoffs", "failures", "unready", "unfilled", "flights", "gangs", "told")


@settings(deadline=None, max_examples=100)
@given(st.dictionaries(st.sampled_from(PARTS), ANY), ANY)
def test_whatever_stands_in_a_state_or_an_annotation_is_no_crash(parts: dict[str, object], other: object) -> None:
    text = json.dumps({"version": 1, **{key: {} for key in PARTS}, **parts})
    state, why = loads(text)
    assert why or loads(state.dumps())[0] == state
    node = {"metadata": {"annotations": {LEAVING: json.dumps(other), IDLE_SINCE: str(other)}}}
    found = leaving_of(node)
    assert found is not None and json.loads(found.dumps())
    assert seconds_of(node, IDLE_SINCE) is None or isinstance(other, int | float | str)


def test_the_state_is_read_back_as_it_was_written() -> None:
    world = gangs(3)
    world.pods("gang", 4, gpus=8, gang=("g", 4))
    world.pod("big", cpu="900")
    one = controller(world)
    one.once()
    world.tick()
    one.once()
    text = world.kube.objects[STATE]["data"]["state"]
    state, why = loads(text)
    assert not why and state.dumps() == text
    assert state.backoffs and state.failures and state.flights and state.gangs and state.told
    assert state != State()


def test_a_conflict_is_answered_with_a_fresh_read() -> None:
    world = World()
    world.cloud.add("us-west-2/cpu", "m5.xlarge", desired=1)
    world.tick()
    world.tick(120)
    others = iter(range(100))

    def meddle(path: str) -> None:
        if next(others) % 3 and path in world.kube.objects and "lease" not in path:
            world.kube.put(path, world.kube.objects[path])

    world.kube.meddle = meddle
    one = controller(world, idle_minutes=1)
    for _ in range(20):
        assert not one.once().error
        world.tick()
    assert not world.machines() and not world.kube.nodes()


def dies_when_it_has_resized(world: World) -> None:
    resize = world.cloud.resize

    def last(fleet: FleetId, desired: int) -> None:
        resize(fleet, desired)
        raise Killed

    world.cloud.resize = last  # type: ignore[method-assign]
    with pytest.raises(Killed):
        controller(world).once()
    world.cloud.resize = resize  # type: ignore[method-assign]


def test_who_comes_after_one_that_was_killed_knows_what_it_had_asked_for() -> None:
    world = gangs(3)
    world.pods("gang", 4, gpus=8, owner="Job", gang=("g", 4))
    dies_when_it_has_resized(world)
    world.cloud.blind["us-west-2"] = "no answer"
    assert kinds(controller(world).once()) == ["blind"], "it is on its way, in a region that nobody sees"
    world.cloud.blind.clear()
    world.tick()
    assert Counter(kinds(controller(world).once())) == {"back-off": 1, "lower": 1, "give-back": 3, "buy": 1}
    assert world.desired() == {EAST: 4}


class Story:
    """Bursts, a gang that comes in part, spot that is taken back, work that ends; told to whatever controller lives."""

    STEPS = 55

    def __init__(self) -> None:
        self.deaths = 0
        self.world = world = gangs(2)
        world.cloud.add("us-west-2/cpu", "m5.xlarge")
        self.spot = world.cloud.add("us-west-2/spot", "m5.xlarge", market="spot", desired=1, minimum=1)

    def happen(self, step: int) -> None:
        world = self.world
        if step == 0:
            world.pods("web", 9, nodeSelector={"pool": "cpu"})
            world.pods("gang", 4, gpus=8, owner="Job", gang=("g", 4))
            world.pods("cheap", 2, nodeSelector={"pool": "spot"})
        if step == 9 and (machines := world.machines(self.spot)):
            world.cloud.interrupt(self.spot, min(machines))
        if step == 12:
            for name, one in list(world.machines(self.spot).items()):
                if one.state == "interrupted":
                    world.cloud.end(self.spot, name)
        if step == 16:
            world.finish("gang")
            world.finish("web")
            world.pods("late", 3, nodeSelector={"pool": "cpu"})
        if step == 28:
            world.finish("late")
            world.finish("cheap")

    def check(self) -> None:
        world = self.world
        for name, node in world.kube.nodes().items():
            lost = node["spec"].get("unschedulable") and "infra/leaving" not in node["metadata"].get("annotations", {})
            assert not lost, f"the cordon of {name} is lost"
        bound = Counter(name.split("-")[0] for name in world.running())
        assert bound["gang"] in (0, 4)


def lived(story: Story, fragile: Fragile | None, chance: random.Random) -> Story:
    """The story, with a controller that dies whenever ``fragile`` says so, and a new one after it."""
    world = story.world
    life: Controller | None = None
    for step in range(Story.STEPS):
        story.happen(step)
        if life is None:
            kube: Kube = fragile.wrap(world.kube) if fragile else world.kube
            cloud: Cloud = fragile.wrap(world.cloud) if fragile else world.cloud
            life = Controller(kube, cloud, price, world.clock, Settings(identity="one", idle_minutes=1))
        try:
            result = life.once()
            assert not result.error, result.error
        except Killed:
            assert fragile is not None
            fragile.left, fragile.after = chance.randint(5, 60), chance.random() < 0.5
            life = None
            story.deaths += 1
        story.check()
        world.tick(30)
    return story


def ended_well(story: Story) -> None:
    world = story.world
    assert world.desired() == {story.spot: 1} and len(world.machines()) == 1
    assert len(world.kube.nodes()) == 1, "no node without a machine, no machine without a node"
    (node,) = world.kube.nodes().values()
    assert not node["spec"].get("unschedulable")


def test_the_story_without_a_fault() -> None:
    story = lived(Story(), None, random.Random(0))
    ended_well(story)
    # 3 for web, 2 of 4 for the gang and then 4 elsewhere, 1 spot and its successor.
    assert len(story.world.cloud.launched) == 11


@pytest.mark.parametrize("seed", range(20))
def test_killed_between_any_two_calls(seed: int) -> None:
    """No lost cordon, no double launch, no orphan node; and the work was done."""
    chance = random.Random(seed)
    fragile = Fragile(chance.randint(1, 40), chance.random() < 0.5)
    story = lived(Story(), fragile, chance)
    ended_well(story)
    assert story.deaths > 5
    assert len(story.world.cloud.launched) <= 11
