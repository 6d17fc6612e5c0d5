"""The simulator: money, gangs and limits over random scenes; each policy's habits in small ones; input and output."""

from __future__ import annotations

import math
import os
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from infra.autoscale.simulate.engine import simulate
from infra.autoscale.simulate.ours import Ours
from infra.autoscale.simulate.per_pod import PerPod
from infra.autoscale.simulate.policy import Policy
from infra.autoscale.simulate.reference import Reference
from infra.autoscale.simulate.results import Bill, Billing, Result, percentile
from infra.autoscale.simulate.scene import Scene, Settings
from infra.autoscale.simulate.trace import Job, burst, faster, ganged, lasting, read_trace
from infra.autoscale.snapshot import ZONE, Expression, Gang, Pod, Spread
from infra.errors import UsageError
from infra.orchestration.offers import of_types
from infra.ui.simulate_svg import nice, svg
from infra.ui.simulate_view import duration
from tests.unit.clusters import TOLERATE_GPU, ZONES, asks, group, node, offer, pod, pods

DATA = Path(__file__).parents[1] / "data" / "traces"
POLICIES: dict[str, type[Ours] | type[PerPod] | type[Reference]] = {
    "infra": Ours,
    "per-pod": PerPod,
    "reference": Reference,
}
FEW = settings(deadline=None, max_examples=15, suppress_health_check=list(HealthCheck))


def job(one: Pod, arrival: float = 0.0, seconds: float = 600.0) -> Job:
    return Job(replace(one, owner="Job"), arrival, seconds)


@st.composite
def scenes(draw: st.DrawFn) -> tuple[Scene, Settings]:
    groups = tuple(
        group(f"p{place}", offer(kind, draw(st.sampled_from(ZONES))), maximum=draw(st.integers(0, 6)))
        for place, kind in enumerate(draw(st.lists(st.sampled_from(["small", "large", "g8"]), min_size=1, max_size=3)))
    )
    jobs = []
    for place in range(draw(st.integers(1, 5))):
        count = draw(st.integers(1, 5))
        gang = Gang(f"default/g{place}", count, "zone") if draw(st.booleans()) else None
        gpus = draw(st.sampled_from([0, 0, 1, 8]))
        for number in range(count):
            one = pod(f"w{place}-{number}", draw(st.sampled_from([500, 3000])), 1, gpus, gang=gang)
            jobs.append(job(one, draw(st.integers(0, 200)), draw(st.sampled_from([30, 500, 4000]))))
    metal = tuple(node(f"metal{place}", "small") for place in range(draw(st.integers(0, 1))))
    limits = {groups[0].offers[0].place: draw(st.integers(0, 4))} if draw(st.booleans()) else {}
    billing: Billing = draw(st.sampled_from(("second", "hour")))
    return Scene(tuple(jobs), groups, metal), Settings(seed=draw(st.integers(0, 9)), billing=billing, capacity=limits)


def integral(found: Result) -> float:
    """Dollars under the course of $/h, by the second."""
    return math.fsum(one.rate * (two.when - one.when) for one, two in pairwise(found.course)) / 3600


@FEW
@given(scenes(), st.sampled_from(sorted(POLICIES)))
def test_money_is_the_integral_of_the_rate_no_group_outgrows_its_maximum_no_job_is_lost(
    given_: tuple[Scene, Settings], name: str
) -> None:
    scene, how = given_
    found = simulate(scene, POLICIES[name](), how)
    by_second = sum(bill.price * (bill.ended - bill.began) for bill in found.bills) / 3600
    assert integral(found) == pytest.approx(by_second, abs=1e-6)
    assert found.dollars >= by_second - 1e-9
    assert found.dollars == pytest.approx(sum(bill.dollars(how.billing) for bill in found.bills))
    limits = {one.name: one.maximum for one in scene.groups}
    assert all(count <= limits[one] for one, count in found.most.items())
    assert found.started + found.waiting == len(scene.jobs)
    for place, most in how.capacity.items():
        mine = [bill for bill in found.bills if bill.group == scene.groups[0].name]
        assert all(sum(one.began <= two.began < one.ended for one in mine) <= most for two in mine), place


@FEW
@given(scenes())
def test_no_part_of_a_gang_runs_alone_and_equal_seeds_give_equal_results(given_: tuple[Scene, Settings]) -> None:
    scene, how = given_
    found = simulate(scene, Ours(), how)
    assert found.partial_gangs == 0
    assert simulate(scene, Ours(), how) == found


def test_a_policy_without_gangs_runs_parts_of_them_and_that_is_counted() -> None:
    gang = Gang("default/train", 3, "zone")
    jobs = tuple(job(one) for one in pods("train", 3, 3000, gang=gang))
    scene = Scene(jobs, (group("p", offer("small"), maximum=2),))
    assert simulate(scene, PerPod()).partial_gangs == 1
    ours = simulate(scene, Ours())
    assert (ours.partial_gangs, ours.started, ours.machines) == (0, 0, 0)


def test_a_burst_of_two_minutes_is_one_round() -> None:
    jobs = tuple(job(one, place * 5) for place, one in enumerate(pods("a", 24, 4000)))
    scene = Scene(jobs, (group("p", offer("large"), maximum=50),))
    assert simulate(scene, Ours()).rounds == 1
    assert simulate(scene, PerPod()).rounds > 3


def test_cheap_machines_are_preferred_to_those_that_waste_least() -> None:
    jobs = tuple(job(one) for one in pods("a", 4, 4000, 16))
    dear, cheap = offer("small", price=5.0), offer("large", ZONES[1], price=1.0)
    scene = Scene(jobs, (group("dear", dear, maximum=9), group("cheap", cheap, maximum=9)))
    assert simulate(scene, Ours()).most == {"cheap": 1}
    assert simulate(scene, PerPod()).most == {"dear": 4}


def test_the_reference_takes_the_largest_class_and_not_the_sum() -> None:
    """Two classes that share a group: the second round is what that costs."""
    labelled = tuple(job(one) for one in pods("a", 8, 4000, selector=(("pool", "p"),)))
    free = tuple(job(one) for one in pods("b", 8, 4000))
    scene = Scene(labelled + free, (group("p", offer("small"), maximum=90),))
    found = simulate(scene, Reference())
    assert found.rounds == 2
    assert simulate(scene, Ours()).rounds == 1
    # Five more than needed, and what is idle stays until the second half of an hour that is paid.
    assert found.most["p"] > 16
    assert found.dollars > 2 * simulate(scene, Ours()).dollars


def test_a_place_without_capacity_is_left_for_the_next_choice() -> None:
    cheap, dear = offer("g8", ZONES[0], 1.0), offer("g8", ZONES[1], 2.0)
    jobs = tuple(job(one) for one in pods("a", 3, gpus=8, tolerations=TOLERATE_GPU))
    scene = Scene(jobs, (group("p", cheap, maximum=9), group("q", dear, maximum=9)))
    found = simulate(scene, Ours(), Settings(capacity={cheap.place: 1}))
    assert (found.most, found.refused, found.started) == ({"p": 1, "q": 2}, 2, 3)


def test_metal_is_used_first_and_costs_nothing() -> None:
    jobs = tuple(job(one) for one in pods("a", 3))
    scene = Scene(jobs, (group("p", offer("small"), maximum=9),), (node("metal"),))
    for name, policy in POLICIES.items():
        found = simulate(scene, policy())
        assert (found.dollars, found.machines, found.wait_max) == (0.0, 0, 0.0), name


def test_services_are_moved_together_and_run_on() -> None:
    old = [replace(one, owner="ReplicaSet", node=f"n{place}") for place, one in enumerate(pods("web", 2, 500))]
    nodes = tuple(node(f"n{place}", group="p") for place in range(2))
    jobs = (job(pod("a", 500), 0, 60), job(pod("b", 500), 1500, 60))
    found = simulate(Scene(jobs, (group("p", offer("small"), maximum=9, desired=2),), nodes, tuple(old)), Ours())
    assert (found.evicted, found.waiting) == (1, 0)
    assert len({bill.ended for bill in found.bills}) == 2


@pytest.mark.parametrize("policy", [Ours, PerPod])
def test_an_idle_machine_goes_after_ten_minutes(policy: type[Policy]) -> None:
    scene = Scene((job(pod("a"), 0, 100),), (group("p", offer("small"), maximum=9),))
    (bill,) = simulate(scene, policy()).bills
    assert 600 <= bill.ended - bill.began - 100 <= 800


def test_a_machine_is_paid_by_the_second_or_by_the_hour() -> None:
    bill = Bill("m", "p", 2.0, 10.0, 1810.0)
    assert (bill.dollars("second"), bill.dollars("hour")) == (1.0, 2.0)
    assert Bill("m", "p", 60.0, 0.0, 1.0).dollars("second") == 1.0


def test_percentiles_are_of_the_nearest_rank() -> None:
    assert [percentile([1.0, 2.0, 3.0, 4.0], share) for share in (50, 75, 99)] == [2.0, 3.0, 4.0]
    assert percentile([], 50) == 0.0


def test_the_sample_of_openb_is_read_as_the_trace_is() -> None:
    jobs = read_trace((DATA / "openb-sample.csv").read_text(), "openb-sample.csv")
    assert len(jobs) == 80
    assert jobs[0].arrival <= jobs[-1].arrival
    assert all(job.duration >= 1 for job in jobs)
    assert max(job.arrival for job in burst(jobs, 120)) <= 120
    assert faster(jobs, 10)[-1].arrival == pytest.approx(jobs[-1].arrival / 10)
    assert max(job.duration for job in lasting(jobs, 60)) <= 60


def test_the_whole_of_openb_where_it_is_there() -> None:
    """INFRA_TRACES names a folder that holds openb/pods.csv; it is not part of the product."""
    path = Path(os.environ.get("INFRA_TRACES", "")) / "openb" / "pods.csv"
    if not path.is_file():
        pytest.skip("INFRA_TRACES names no folder with openb/pods.csv")
    jobs = read_trace(path.read_text(), "pods.csv")
    assert len(jobs) == 8152
    assert sum(dict(job.pod.needs.requests).get("nvidia.com/gpu", 0) for job in jobs) == 7433


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        ("", "t.csv:1", "its first line is empty"),
        ("a,b\n1,2\n", "t.csv:1", "its first line is a,b"),
        ("name,arrival,duration,cpu,memory\n", "t.csv", "holds no jobs"),
        ("name,arrival,duration,cpu,memory\na,0,1,1,x\n", "t.csv:2", "'x' is not a quantity"),
        ("name,arrival,duration,cpu,memory\na,-1,1,1,1Gi\n", "t.csv:2", "arrival: -1"),
        ("name,arrival,duration,cpu,memory\na,nan,1,1,1Gi\n", "t.csv:2", "arrival: nan"),
        ("name,arrival,duration,cpu,memory\n,0,1,1,1Gi\n", "t.csv:2", "its name is empty"),
        ("name,arrival,duration,cpu,memory\na,0,1,1,1Gi\na,0,1,1,1Gi\n", "t.csv:3", "is there twice"),
        ("name,arrival,duration,cpu,memory\na,0\n", "t.csv:2", "no job"),
        ("name,arrival,duration,cpu,memory\n" + "a,0,1,1,x\n" * 30, "t.csv", "and 10 lines more"),
    ],
)
def test_a_trace_that_is_wrong_says_where(text: str, where: str, what: str) -> None:
    with pytest.raises(UsageError) as error:
        read_trace(text, "t.csv")
    assert any(one.where == where and what in one.what for one in error.value.problems), error.value.text()


def test_gangs_of_a_trace_are_as_large_as_their_members() -> None:
    jobs = read_trace((DATA / "lab.csv").read_text(), "lab.csv")
    sizes = {one.pod.needs.gang.name: one.pod.needs.gang.size for one in jobs if one.pod.needs.gang}
    assert sizes == {"trace/train0": 4, "trace/train1": 4}


def test_the_plot_is_sound_and_names_each_policy() -> None:
    jobs = tuple(job(one) for one in pods("a", 6, 4000))
    scene = Scene(jobs, (group("p", offer("large"), maximum=9),))
    results = [simulate(scene, policy()) for policy in POLICIES.values()]
    text = svg(results, "6 pods & more")
    root = ElementTree.fromstring(text)
    said = "".join(root.itertext())
    assert all(f"{one.policy}: ${one.dollars:,.0f}" in said for one in results)
    assert "6 pods & more" in said
    assert "prefers-color-scheme:dark" in said
    assert len(root.findall(".//{*}path[@class='series s2']")) == 3
    assert [nice(least) for least in (0, 0.3, 1, 3, 7, 12)] == [1, 0.5, 1, 5, 10, 20]
    assert [duration(value) for value in (5, 75, 7500, 200000)] == ["5 s", "1m 15s", "2h 05m", "2d 07h"]


def test_a_gang_that_fits_into_no_zone_buys_nothing() -> None:
    gang = Gang("default/train", 2, "zone")
    jobs = tuple(job(one) for one in pods("train", 2, gpus=8, gang=gang, tolerations=TOLERATE_GPU))
    groups = tuple(group(f"p{zone}", offer("g8", zone), maximum=1) for zone in ZONES)
    found = simulate(Scene(jobs, groups), Ours())
    assert (found.started, found.machines) == (0, 0)
    whole = simulate(Scene(jobs, (group("p", offer("g8"), maximum=2),)), Ours())
    assert (whole.started, whole.rounds, whole.partial_gangs) == (2, 1, 0)


@pytest.mark.parametrize("policy", [Ours, PerPod, Reference])
def test_a_gang_for_which_there_is_never_enough_is_tried_again_and_the_simulation_ends(policy: type[Policy]) -> None:
    gang = Gang("default/train", 3, "zone")
    jobs = tuple(job(one) for one in pods("train", 3, gpus=8, gang=gang, tolerations=TOLERATE_GPU))
    cheap = offer("g8")
    scene = Scene(jobs, (group("p", cheap, maximum=9),))
    found = simulate(scene, policy(), Settings(capacity={cheap.place: 2}))
    assert found.refused
    assert found.seconds <= 2 * 3600 + 900


TYPES = [
    "c5.18xlarge",
    "m5.16xlarge",
    "g4dn.2xlarge",
    "g5.4xlarge",
    "g5.8xlarge",
    "g5.12xlarge",
    "g5.48xlarge",
    "p5.48xlarge",
]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("trace", "wave"), [("openb-sample.csv", 120), ("lab.csv", 0)])
def test_a_burst_is_one_round_and_no_dearer_where_the_scheduler_keeps_nominations(
    trace: str, wave: float, seed: int
) -> None:
    """Without nominations (Kubernetes before 1.35) room that was bought for a pod goes to others: more is bought."""
    jobs = lasting(burst(read_trace((DATA / trace).read_text(), trace), wave, seed), 3600)
    scene = Scene(jobs, of_types(TYPES, "us-east-1"))
    told, untold = (simulate(scene, Ours(), Settings(seed=seed, nominations=one)) for one in (True, False))
    other = simulate(scene, PerPod(), Settings(seed=seed))
    assert (told.rounds, told.waiting, told.partial_gangs) == (1, 0, 0)
    assert untold.rounds > 1, "the scene is no trial: the scheduler binds as planned by itself"
    assert told.dollars < untold.dollars
    assert told.dollars < other.dollars


def test_a_pool_has_one_maximum_over_all_its_groups() -> None:
    jobs = tuple(job(one) for one in pods("a", 12, 4000))
    some = [replace(group(f"p{place}", offer("small", zone), maximum=3), pool="p") for place, zone in enumerate(ZONES)]
    for policy in POLICIES.values():
        found = simulate(Scene(jobs, tuple(some)), policy())
        assert sum(found.most.values()) == 3, found.policy
        assert found.started == 12


def test_a_spread_that_must_hold_is_kept_by_the_scheduler() -> None:
    own = (Expression("", "In", ("default",)), Expression("app", "In", ("web",)))
    spread = (Spread(ZONE, 1, own, 1),)
    jobs = tuple(job(one) for one in pods("web", 4, 1000, spreads=spread))
    nodes = (node("a", zone=ZONES[0]), node("b", zone=ZONES[1], allocatable=asks(2000, 8)))
    found = simulate(Scene(jobs, (), nodes), Ours())
    # One fits into the second zone (its node takes one pod), so two run in the first, and the fourth begins anew.
    assert found.most == {}
    waits = sorted(one.running for one in found.course)
    assert max(waits) == 3


def test_planning_takes_time() -> None:
    scene = Scene((job(pod("a")),), (group("p", offer("small"), maximum=9),))
    slow, quick = (simulate(scene, Ours(), Settings(planning=one)) for one in (30.0, 0.0))
    assert slow.wait_max - quick.wait_max >= 30
    assert (slow.machines, slow.rounds) == (1, 1)


def test_gangs_of_a_trace_without_any_run_whole_or_not_at_all() -> None:
    """The per-pod outline and the tool of 2016 run parts of them: nobody tells those of gangs."""
    jobs = ganged(lasting(burst(read_trace((DATA / "openb-sample.csv").read_text(), "t"), 120), 3600), 4)
    some = [one.pod.needs.gang.name for one in jobs if one.pod.needs.gang]
    assert len(some) == 4 * len(set(some)) >= 40
    together = {(one.pod.needs.gang.name, one.arrival, one.duration) for one in jobs if one.pod.needs.gang}
    assert len(together) == len(set(some)), "they come and go together"
    scene = Scene(jobs, of_types(TYPES, "us-east-1"))
    parts = {name: simulate(scene, policy()).partial_gangs for name, policy in POLICIES.items()}
    assert parts["infra"] == 0
    assert parts["per-pod"] > 0 and parts["reference"] > 0
