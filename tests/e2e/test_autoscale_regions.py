"""One region of two fails under the controller and its real drivers: work goes to the other, and nothing is lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from infra.autoscale.controller.loop import Controller
from infra.autoscale.told import Notices
from tests.e2e.autoscaled import world
from tests.e2e.faulty_aws import Call, FaultyAws, Refusal, serve
from tests.e2e.test_autoscale_trouble import MINUTE, Rig
from tests.kube.resources import NODES

pytestmark = pytest.mark.engine

FIRST, SECOND = "us-west-2", "eu-west-1"
CLUSTER = f"""\
version: 1
cluster: regions
aws: {{regions: [{FIRST}, {SECOND}], endpoint: local}}
profiles:
  cpu: {{}}
pools:
  cpu: {{profile: cpu, instance_types: [m5.2xlarge], regions: [{FIRST}, {SECOND}], size: {{max: 4}}}}
kubernetes:
  version: "1.36"
  autoscale: {{pools: [cpu]}}
"""
RATE, DOWN = "Rate exceeded", "Service is unable to handle request."


@dataclass
class Regions:
    """The rig, with a door before AWS that knows the region of a request."""

    rig: Rig
    faulty: FaultyAws
    notices: Notices = field(default_factory=Notices)
    told: list[tuple[str, str]] = field(default_factory=list)
    """(kind, subject) of what people hear."""

    def controller(self) -> Controller:
        clock = self.rig.clock
        return self.rig.place.controller(clock, self.rig.place.fleets_at(self.faulty.url, clock.now))

    def loop(self, controller: Controller) -> list[str]:
        """One loop; the kinds of its decisions."""
        result = self.rig.loop(controller)
        assert not result.error, result.error
        self.told += [(one.kind, one.subject) for one in self.notices.of(result)]
        return [one.kind for one in result.decisions]

    def trouble(self, *refusals: tuple[str, str, int, str]) -> None:
        """(service, code, status, message): what the first region answers to everything; code "" is no answer."""
        self.faulty.refusals[:] = [
            Refusal(code, message, status, hang=0.0 if code else 0.001, when=_in_first(service))
            for service, code, status, message in refusals
        ]

    def machines(self) -> Counter[str]:
        """The machines of each region; asked past the door."""
        fleets = self.rig.place.fleets.look().fleets
        return Counter(fleet.id.region for fleet in fleets for _ in fleet.machines)

    def desired(self) -> dict[str, int]:
        return {fleet.id.region: fleet.desired for fleet in self.rig.place.fleets.look().fleets}

    def homes(self, name: str) -> set[str]:
        """The regions that the pods of a ReplicaSet run in."""
        return {node.split(".")[1] for node in self.rig.running(name)}


def _in_first(service: str) -> Callable[[Call], bool]:
    return lambda call: call.region == FIRST and call.service.startswith(service)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with world(CLUSTER, tmp_path_factory.mktemp("regions"), zones=1) as place:
        yield Rig(place)


@pytest.fixture
def regions(shared: Rig) -> Iterator[Regions]:
    with serve([], shared.place.url) as faulty:
        yield Regions(shared, faulty)
    shared.clear()


@pytest.mark.parametrize(
    "refusals",
    [
        [("", "ServiceUnavailable", 503, DOWN)],
        [("ec2", "RequestLimitExceeded", 503, RATE)],  # the groups are seen, their machines are not
        [("", "", 0, "")],
    ],
    ids=["unavailable", "throttled", "connections closed"],
)
def test_a_region_that_fails_is_told_of_once_and_work_goes_to_the_other(
    regions: Regions, refusals: list[tuple[str, str, int, str]]
) -> None:
    rig = regions.rig
    controller = regions.controller()
    rig.want("work", 2)
    rig.until(controller, lambda: regions.homes("work") == {FIRST})
    regions.trouble(*refusals)
    rig.want("more", 2)
    assert [kind for kind in regions.loop(controller) if kind != "resume"] == ["blind", "buy"], "in the same loop"
    assert regions.machines() == {FIRST: 1, SECOND: 1}
    rig.until(controller, lambda: regions.homes("more") == {SECOND})
    for _ in range(2):
        assert regions.loop(controller) == ["blind"], "what is there is left as it is"
    assert regions.homes("work") == {FIRST}
    assert not any(item.obj["spec"].get("unschedulable") for item in rig.place.kube.store.items(NODES))
    assert Counter(regions.told)["blind", FIRST] == 1
    regions.faulty.refusals.clear()
    rig.clock.ahead += 10 * MINUTE
    assert regions.loop(controller) == []
    assert regions.machines() == {FIRST: 1, SECOND: 1}
    rig.want("again", 2)
    rig.until(controller, lambda: regions.homes("again") == {FIRST})
    regions.trouble(*refusals)
    assert regions.loop(controller) == ["blind"]
    assert Counter(regions.told)["blind", FIRST] == 2, "it came back in between"


def test_what_was_on_its_way_in_a_region_that_fails_is_waited_for_and_then_bought_elsewhere(regions: Regions) -> None:
    rig = regions.rig
    rig.place.limits(pending_seconds=3600)
    controller = regions.controller()
    rig.want("work", 2)
    assert "buy" in regions.loop(controller)
    regions.trouble(("", "ServiceUnavailable", 503, DOWN))
    assert regions.loop(controller) == ["blind"]
    # Who comes after a restart knows of it, too.
    controller.lead.release()
    controller = regions.controller()
    assert regions.loop(controller) == ["lead", "blind"]
    assert regions.desired() == {FIRST: 1, SECOND: 0}
    rig.clock.ahead += 16 * MINUTE
    rig.place.limits()
    assert regions.loop(controller) == ["blind", "buy"]
    assert regions.desired() == {FIRST: 1, SECOND: 1}
    rig.until(controller, lambda: rig.running("work"))
    regions.faulty.refusals.clear()
    # In whichever region it is that nothing runs: it is idle from when it is seen so.
    rig.until(controller, lambda: len(rig.place.kube.store.items(NODES)) == 2)
    regions.loop(controller)
    rig.clock.ahead += 11 * MINUTE
    rig.until(controller, lambda: sum(regions.machines().values()) == 1)
    assert len(rig.running("work")) == 1, "one of the two was given back"


def test_a_region_that_only_lets_nothing_be_bought_is_passed_over(regions: Regions) -> None:
    rig = regions.rig
    controller = regions.controller()

    def raises(call: Call) -> bool:
        return call.region == FIRST and call.action == "SetDesiredCapacity"

    regions.faulty.refusals[:] = [Refusal("Throttling", RATE, when=raises)]
    rig.want("work", 2)
    regions.loop(controller)
    assert [(one.kind, one.done) for one in rig.told("buy")] == [("buy", False)]
    rig.until(controller, lambda: regions.homes("work") == {SECOND}, 10)
    assert regions.desired() == {FIRST: 0, SECOND: 1}
    assert Counter(kind for kind, _ in regions.told)["could-not"] == 1
    regions.faulty.refusals.clear()
    rig.clock.ahead += 10 * MINUTE
    rig.want("more", 2)
    rig.until(controller, lambda: regions.homes("more") == {FIRST})


def test_a_purchase_whose_answers_are_lost_is_no_second_one(regions: Regions) -> None:
    rig = regions.rig
    controller = regions.controller()
    lost: list[Call] = []

    def swallow(call: Call) -> bool:
        if call.action == "SetDesiredCapacity":
            lost.append(call)
        return call.action == "SetDesiredCapacity"

    regions.faulty.answered = swallow
    rig.want("work", 2)
    regions.loop(controller)
    assert len(lost) > 1 and rig.told("could-not"), "said several times, and nobody knows whether it was heard"
    rig.until(controller, lambda: rig.running("work"), 10)
    assert regions.homes("work") == {FIRST}
    assert sum(regions.machines().values()) == 1 and len(rig.told("buy")) == 1
