"""Random lives of a controller: whatever happens, some things never do, and in the end all is well."""

from __future__ import annotations

from collections import Counter

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from infra.autoscale.controller import Controller, Settings
from infra.errors import KubeUnreachable
from tests.unit.doubles import Fragile, Killed, price
from tests.unit.worlds import World

GANG = 3
EVENTS = st.sampled_from(
    [
        *("web", "job", "gang", "finish web", "finish job", "finish gang", "no gpus", "few gpus", "gpus"),
        *("interrupt", "blind", "see", "refuse", "accept", "away", "kill", "budget", "cordon", "wait", "wait"),
    ]
)


class Life:
    def __init__(self) -> None:
        self.world = world = World()
        world.cloud.add("us-west-2/cpu", "m5.xlarge", minimum=1, desired=1, maximum=4)
        world.cloud.add("us-west-2/spot", "m5.xlarge", market="spot", maximum=3)
        world.cloud.add("us-west-2/gpu", "g5.48xlarge", maximum=4)
        world.cloud.add("us-east-1/gpu", "g5.48xlarge", maximum=4)
        world.node("titan", "g5.xlarge", "lab")
        self.number = 0
        self.fragile: Fragile | None = None
        self.one = self.born()
        self.interrupted: set[str] = set()

    def born(self, kills: int = 0) -> Controller:
        world = self.world
        fragile = Fragile(kills)
        chosen = Settings(identity="one", idle_minutes=1, join_minutes=5)
        return Controller(fragile.wrap(world.kube), fragile.wrap(world.cloud), price, world.clock, chosen)

    def happen(self, event: str, chance: int) -> None:
        world, (what, _, app) = self.world, event.partition(" ")
        self.number += 1
        if what in ("web", "job"):
            owner = "Job" if what == "job" else "ReplicaSet"
            for place in range(1 + chance % 5):
                world.pod(f"{what}-{self.number}-{place}", owner=owner)
        if what == "gang":
            for place in range(GANG):
                world.pod(f"gang-{self.number}-{place}", gpus=8, owner="Job", gang=(f"g{self.number}", GANG))
        if what == "finish":
            world.finish(app)
        if event.endswith("gpus"):
            for region in ("us-west-2", "us-east-1")[chance % 2 :]:
                world.cloud.capacity[region, "g5.48xlarge"] = {"no": 0, "few": 2}.get(what, 100)
        if what == "interrupt" and (machines := world.machines("us-west-2/spot")):
            name = min(machines)
            world.cloud.interrupt(next(one for one in world.cloud.groups if one.endswith("spot")), name)
            self.interrupted.add(f"ip-{name[2:]}")
        if what in ("blind", "see"):
            world.cloud.blind = {"us-west-2": "no answer"} if what == "blind" else {}
        if what in ("refuse", "accept"):
            world.cloud.refuses = {"us-east-1"} if what == "refuse" else set()
        if what == "away":
            world.kube.broken = KubeUnreachable("no answer")
        if what == "budget":
            world.kube.budgets["web"] = chance % 3
        if what == "cordon" and (names := sorted(world.kube.nodes())):
            path = f"/api/v1/nodes/{names[chance % len(names)]}"
            node = world.kube.objects[path]
            if not node["spec"].get("unschedulable"):
                node["spec"]["unschedulable"] = True
                node["metadata"].setdefault("annotations", {})["mine"] = "yes"
                world.kube.put(path, node)
        if what == "kill":
            self.one = self.born(kills=1 + chance)

    def loop(self) -> None:
        # A spot machine that was to go goes.
        for name, group in self.world.cloud.groups.items():
            for machine, one in list(group.machines.items()):
                if one.state == "interrupted" and self.number % 4 == 0:
                    self.world.cloud.end(name, machine)
        try:
            self.one.once()
        except Killed:
            self.one = self.born()
        self.world.kube.broken = None
        self.check()
        self.world.tick(30)

    def check(self) -> None:
        world = self.world
        for name, node in world.kube.nodes().items():
            notes = node["metadata"].get("annotations", {})
            cordoned = node["spec"].get("unschedulable")
            assert not cordoned or "infra/leaving" in notes or "mine" in notes, f"the cordon of {name} is lost"
            assert cordoned or "mine" not in notes, f"somebody's cordon of {name} was taken"
        assert "titan" in world.kube.nodes() and "infra/leaving" not in str(world.kube.nodes()["titan"])
        bound = Counter(name.split("-")[1] for name in world.running("gang"))
        assert not set(bound.values()) - {GANG}, "half a gang runs"
        if not self.interrupted:
            assert not [one for one in world.kube.writes if one.startswith(("evict default/job", "evict default/gang"))]

    def heal(self) -> None:
        world = self.world
        world.cloud.blind, world.cloud.refuses, world.kube.budgets = {}, set(), {}
        world.cloud.capacity.clear()
        for path in [f"/api/v1/nodes/{name}" for name in world.kube.nodes()]:
            if world.kube.objects[path]["metadata"].get("annotations", {}).pop("mine", None):
                world.kube.objects[path]["spec"].pop("unschedulable", None)
                world.kube.put(path, world.kube.objects[path])
        for app in ("web", "job", "gang"):
            world.finish(app)


@settings(deadline=None, max_examples=15, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(EVENTS, st.integers(0, 40)), min_size=5, max_size=30))
def test_whatever_happens(events: list[tuple[str, int]]) -> None:
    life = Life()
    for event, chance in events:
        life.happen(event, chance)
        life.loop()
    life.heal()
    for _ in range(30):
        life.loop()
    world = life.world
    assert world.desired() == {"us-west-2/cpu": 1}
    assert len(world.machines()) == 1 and len(world.kube.nodes()) == 2
    assert not any("infra/leaving" in str(node) for node in world.kube.nodes().values())
