"""The controller on the real drivers when things go wrong: machines that never join, spot machines taken back, AWS that
throttles, an API server that is away."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from infra.autoscale.controller.decisions import Decision, LoopResult
from infra.autoscale.controller.loop import Controller
from infra.local import capacity
from tests.e2e.autoscaled import Time, World, world
from tests.e2e.faulty_aws import Refusal, serve
from tests.e2e.kube_objects import replica_set
from tests.kube.resources import NODES, PODS, REPLICASETS

pytestmark = pytest.mark.engine

CLUSTER = """\
version: 1
cluster: trouble
aws: {regions: [us-west-2], endpoint: local}
profiles:
  cpu: {}
pools:
  cpu: {profile: cpu, instance_types: [m5.2xlarge], size: {max: 3}}
  spot: {profile: cpu, instance_types: [c5.2xlarge], capacity: spot, size: {max: 3}, labels: {"lab/market": spot}}
kubernetes:
  version: "1.36"
  autoscale: {pools: [cpu, spot]}
"""
MINUTE = 60.0


class Rig:
    """One world for all tests here; each has a controller of its own, and starts without pods and machines."""

    def __init__(self, place: World) -> None:
        self.place = place
        self.clock = Time()
        self.stuck: set[str] = set()
        self.decisions: list[Decision] = []

    def want(self, name: str, replicas: int, **spec: Any) -> None:
        made = replica_set(name, replicas)
        made["spec"]["template"]["spec"].update(spec)
        made["spec"]["template"]["spec"]["containers"][0]["resources"] = {"requests": {"cpu": "3"}}
        self.place.kube.put(made)

    def loop(self, controller: Controller) -> LoopResult:
        result = controller.once()
        self.decisions += result.decisions
        for one in result.decisions:
            print(f"  {one.kind} {one.subject}: {one.reason}", flush=True)
        return result

    def until(self, controller: Controller, condition: Callable[[], Any], seconds: float = 30) -> None:
        limit = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < limit, [(one.kind, one.subject, one.reason) for one in self.decisions]
            result = self.loop(controller)
            assert not result.error, result.error
            time.sleep(0.1)

    def running(self, name: str) -> set[str]:
        """The nodes on which the pods of a ReplicaSet run."""
        with self.place.kube.store.lock:
            pods = list(self.place.kube.store.items(PODS))
        found = [item.obj for item in pods if (item.obj["metadata"].get("labels") or {}).get("app") == name]
        alive = [pod for pod in found if not pod["metadata"].get("deletionTimestamp")]
        return {pod["spec"]["nodeName"] for pod in alive if pod["status"].get("phase") == "Running"}

    def machines(self) -> dict[str, str]:
        """Id and state of all machines that there are."""
        sight = self.place.fleets.look()
        return {machine.id: machine.state for fleet in sight.fleets for machine in fleet.machines}

    def told(self, *kinds: str) -> list[Decision]:
        return [one for one in self.decisions if one.kind in kinds]

    def clear(self) -> None:
        """Everything goes at once, as it never does; what the last test left is not the next one's."""
        for item in list(self.place.kube.store.items(REPLICASETS)):
            self.place.kube.delete(f"/apis/apps/v1/namespaces/default/replicasets/{item.obj['metadata']['name']}")
        for path in (
            "api/v1/namespaces/kube-system/configmaps",
            "apis/coordination.k8s.io/v1/namespaces/kube-system/leases",
        ):
            self.place.kube.delete(f"/{path}/infra-autoscaler")
        for fleet in self.place.fleets.look().fleets:
            client = self.place.machines.client("autoscaling", fleet.id.region)
            for machine in fleet.machines:
                client.terminate_instance_in_auto_scaling_group(
                    InstanceId=machine.id, ShouldDecrementDesiredCapacity=True
                )
            client.set_desired_capacity(AutoScalingGroupName=fleet.id.name, DesiredCapacity=0)
        for name in [item.obj["metadata"]["name"] for item in self.place.kube.store.items(NODES)]:
            self.place.kube.delete(f"/api/v1/nodes/{name}")
        self.decisions.clear()
        self.stuck.clear()
        self.clock = Time()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    stuck: set[str] = set()
    with world(CLUSTER, tmp_path_factory.mktemp("trouble"), never=lambda one: one["InstanceId"] in stuck) as place:
        rig = Rig(place)
        rig.stuck = stuck
        yield rig


@pytest.fixture
def rig(shared: Rig) -> Iterator[Rig]:
    yield shared
    shared.clear()


def test_a_machine_that_never_joins_gives_way_to_another(rig: Rig) -> None:
    rig.place.limits(pending_seconds=3600)
    controller = rig.place.controller(rig.clock, join_minutes=10)
    rig.want("work", 1)
    rig.until(controller, lambda: rig.machines())
    (lost,) = rig.machines()
    rig.stuck.add(lost)
    rig.place.limits()
    rig.until(controller, lambda: rig.machines() == {lost: "in-service"})
    rig.loop(controller)
    assert not rig.told("terminate", "replace") and len(rig.machines()) == 1, "it is waited for, and bought once"
    rig.clock.ahead = 11 * MINUTE
    rig.until(controller, lambda: rig.running("work"))
    assert lost not in rig.machines() and len(rig.machines()) == 1
    assert any("did not join within 10 minutes" in one.reason for one in rig.told("back-off"))


def test_a_spot_machine_that_is_taken_back_is_left_in_time(rig: Rig) -> None:
    rig.place.limits(notice_seconds=3600)
    controller = rig.place.controller(rig.clock)
    rig.want("work", 1, nodeSelector={"lab/market": "spot"})
    rig.until(controller, lambda: rig.running("work"))
    (before,), (machine,) = rig.running("work"), rig.machines()
    capacity.interrupt([machine])
    rig.until(controller, lambda: rig.running("work") - {before})
    assert [one.node for one in rig.told("interrupted")] == [before]
    assert rig.told("evict"), "it was asked to go, not lost"
    rig.until(controller, lambda: machine not in rig.machines())
    assert set(rig.machines().values()) == {"in-service"} and len(rig.machines()) == 1
    assert not controller.kube.get(f"/api/v1/nodes/{before}")


def test_aws_that_throttles_is_waited_for(rig: Rig) -> None:
    with serve([], rig.place.url) as faulty:
        fleets = rig.place.fleets_at(faulty.url, rig.clock.now)
        controller = rig.place.controller(rig.clock, fleets)
        rig.want("work", 2)
        refusal = Refusal("Throttling", "Rate exceeded", when=lambda call: call.action == "SetDesiredCapacity")
        faulty.refusals.append(refusal)
        result = rig.loop(controller)
        assert "could-not" in {one.kind for one in result.decisions} and not rig.machines()
        faulty.refusals[:] = [Refusal("Throttling", "Rate exceeded", when=lambda call: call.service == "autoscaling")]
        rig.loop(controller)
        assert rig.told("blind")[0].subject == "us-west-2"
        faulty.refusals.clear()
        rig.clock.ahead = 10 * MINUTE
        rig.until(controller, lambda: rig.running("work"))
        assert len(rig.machines()) == 1, "bought once, after all"


def test_an_api_server_that_is_away_or_slow_is_waited_for(rig: Rig) -> None:
    controller = rig.place.controller(rig.clock)
    rig.want("work", 2)
    with rig.place.kube.away():
        result = rig.loop(controller)
    assert "does not answer" in result.error and not rig.machines()
    for trouble in ({"code": 500}, {"code": 429, "retry_after": 1}, {"cut": "before"}, {"slow": 0.3}):
        rig.place.kube.fault(method="GET", path="/api/v1/(nodes|pods)$", **trouble)
    rig.until(controller, lambda: rig.running("work"))
    assert len(rig.machines()) == 1
