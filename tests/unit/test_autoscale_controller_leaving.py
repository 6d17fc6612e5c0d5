"""How machines leave: budgets, batch pods, the cap, the minimum, cordons that are taken back."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from infra.autoscale.controller import LoopResult
from infra.autoscale.ports import FleetId
from tests.unit.test_autoscale_controller import JOINED, controller, kinds, until
from tests.unit.worlds import World


def test_scale_in_honours_budgets_and_goes_on_each_loop() -> None:
    world = World()
    world.cloud.add("us-west-2/cpu", "m5.xlarge", desired=3, minimum=1)
    world.tick()
    world.tick(JOINED)
    world.pods("web", 2)
    world.bind(dict(zip(("web-0", "web-1"), sorted(world.kube.nodes()), strict=False)))
    world.kube.budgets["web"] = 2
    one = controller(world)
    seen: list[LoopResult] = []
    for _ in range(80):
        seen.append(one.once())
        world.tick()
    found = Counter(kind for result in seen for kind in kinds(result))
    assert found["hold"] > 3 and not found["evict"] and len(world.machines()) == 2
    world.kube.budgets["web"] = 0
    until(world, one, lambda: len(world.machines()) == 1)
    assert not [write for write in world.kube.writes if write.startswith("delete") and "/pods/" in write]
    until(world, one, lambda: len(world.running()) == 2 and len(world.kube.nodes()) == 1)
    for _ in range(50):
        one.once()
        world.tick()
    assert len(world.machines()) == 1, "the minimum stays"


def test_a_running_batch_pod_is_never_evicted_unless_it_is_annotated() -> None:
    for notes, gone in (({}, False), ({"infra/safe-to-evict": "true"}, True)):
        world = World()
        world.cloud.add("us-west-2/cpu", "m5.xlarge", desired=2)
        world.tick()
        world.tick(JOINED)
        world.pods("job", 2, owner="Job", cpu="2", notes=notes)
        world.bind(dict(zip(("job-0", "job-1"), sorted(world.kube.nodes()), strict=True)))
        one = controller(world)
        for _ in range(100):
            one.once()
            world.tick()
        assert (len(world.machines()) == 1) is gone
        assert any(write.startswith("evict") for write in world.kube.writes) is gone


def test_no_more_machines_leave_at_once_than_the_cap() -> None:
    world = World()
    world.cloud.add("us-west-2/cpu", "m5.xlarge", desired=9)
    world.tick()
    world.tick(JOINED)
    one = controller(world, cap=4, idle_minutes=1)
    most = 0
    for _ in range(30):
        result = one.once()
        most = max(most, kinds(result).count("leave"))
        assert (
            sum("infra/leaving" in node["metadata"].get("annotations", {}) for node in world.kube.nodes().values()) <= 4
        )
        world.tick()
    assert most == 4 and not world.machines()


def held_up() -> tuple[World, FleetId]:
    """Two machines with a pod each that a budget holds."""
    world = World()
    fleet = world.cloud.add("us-west-2/cpu", "m5.xlarge", desired=2)
    world.tick()
    world.tick(JOINED)
    world.pods("web", 2)
    world.bind(dict(zip(("web-0", "web-1"), sorted(world.kube.nodes()), strict=True)))
    world.kube.budgets["web"] = 2
    return world, fleet


def test_a_machine_that_is_held_up_counts_for_the_cap() -> None:
    world, fleet = held_up()
    one = controller(world, cap=1, idle_minutes=1)
    for _ in range(10):
        result = one.once()
        world.tick()
    assert kinds(result) == ["hold"]
    world.cloud.resize(fleet, 3)
    for _ in range(30):
        result = one.once()
        world.tick()
    assert kinds(result) == ["hold"] and len(world.machines()) == 3
    assert result.stays[max(world.kube.nodes())] == "as many machines as may go at once are going"


def test_a_machine_that_is_needed_again_is_uncordoned() -> None:
    world = World()
    world.cloud.add("us-west-2/cpu", "m5.xlarge", desired=1)
    world.tick()
    world.tick(JOINED)
    one = controller(world, idle_minutes=1)
    until(world, one, lambda: any(node["spec"].get("unschedulable") for node in world.kube.nodes().values()))
    world.pods("web", 2)
    result = one.once()
    assert kinds(result) == ["uncordon"]
    (node,) = world.kube.nodes().values()
    assert not node["spec"].get("unschedulable") and "infra/leaving" not in node["metadata"]["annotations"]
    world.tick()
    assert len(world.running()) == 2 and len(world.cloud.launched) == 1


def test_somebody_elses_cordon_is_not_touched() -> None:
    world = World()
    world.cloud.add("us-west-2/cpu", "m5.xlarge", desired=1)
    world.tick()
    world.tick(JOINED)
    (name,) = world.kube.nodes()
    world.kube.objects[f"/api/v1/nodes/{name}"]["spec"]["unschedulable"] = True
    one = controller(world, idle_minutes=1)
    for _ in range(30):
        result = one.once()
        assert not kinds(result)
        world.tick()
    assert result.stays[name] == "somebody cordoned it"
    assert world.kube.nodes()[name]["spec"]["unschedulable"]


def test_a_node_that_fell_silent_goes_when_no_batch_pod_can_be_running_there() -> None:
    world = World()
    world.cloud.add("us-west-2/cpu", "m5.xlarge", desired=1)
    world.tick()
    world.tick(JOINED)
    world.pod("job", owner="Job")
    world.tick()
    one = controller(world)
    one.once()
    (name,) = world.kube.nodes()
    world.fall_silent(name)
    for _ in range(40):
        assert not kinds(one.once())
        world.tick(30)
    # Kubernetes gives its pod up; the kubelet never says that it is over.
    path = "/api/v1/namespaces/default/pods/job"
    world.kube.objects[path]["metadata"]["deletionTimestamp"] = "2023-11-14T23:00:00Z"
    world.kube.put(path, world.kube.objects[path])
    assert kinds(one.once()) == ["leave"]
    world.tick()
    assert kinds(one.once()) == ["terminate", "forget"]
    assert not [write for write in world.kube.writes if write.startswith("evict")]


def test_machines_that_are_held_up_count_for_the_minimum() -> None:
    world, fleet = held_up()
    one = controller(world, idle_minutes=1)
    for _ in range(10):
        one.once()
        world.tick()
    group = world.cloud.groups[fleet]
    group.fleet = replace(group.fleet, minimum=2, desired=3)
    for _ in range(30):
        result = one.once()
        world.tick()
    assert kinds(result) == ["hold"] and len(world.machines()) == 3
    assert result.stays[max(world.kube.nodes())] == f"the group {fleet} is at its minimum of 2"
