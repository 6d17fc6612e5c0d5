"""More time: never a dearer plan, never a bound above what a plan costs, and every load one that fits."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from infra.autoscale.bound import relaxed
from infra.autoscale.improve import improve
from infra.autoscale.knapsack import Knapsack
from infra.autoscale.market import Option
from infra.autoscale.pack import carries, pack, placed
from infra.autoscale.pattern import cost_of
from infra.autoscale.plan import plan
from infra.autoscale.proof import Proof
from infra.autoscale.room import times
from infra.autoscale.snapshot import Offer, Place, Snapshot
from infra.autoscale.swap import smaller, swapped, swaps_of
from infra.autoscale.task import Task
from tests.unit.clusters import Judge, group, offer, pods, snapshots

FEW = settings(deadline=None, max_examples=25, suppress_health_check=list(HealthCheck))


@st.composite
def tasks(draw: st.DrawFn, most_pods: int = 12) -> Task:
    """Small tasks in which everything fits somewhere, on two axes; groups may grow without end."""
    capacities = [(8, 8), (16, 4), draw(st.sampled_from([(4, 16), (10, 10), (12, 7)]))]
    prices = [draw(st.sampled_from([0.5, 1.0, 1.3, 2.0])) for _ in capacities]
    asks = draw(st.lists(st.tuples(st.integers(1, 4), st.integers(1, 4)), min_size=1, max_size=4, unique=True))
    demand = [draw(st.integers(1, most_pods)) for _ in asks]
    requests = np.array(asks, dtype=np.int64)
    options = tuple(
        Option(
            place,
            place,
            place,
            Offer(Place("r", "z", str(place), "spot"), price, ()),
            0,
            np.array(room, dtype=np.int64),
        )
        for place, (room, price) in enumerate(zip(capacities, prices, strict=True))
    )
    most = np.array([times(np.array(capacities, dtype=np.int64), request) for request in requests])
    free = np.zeros((0, 2), dtype=np.int64)
    usable = np.zeros((len(asks), 0), dtype=bool)
    return Task(np.array(demand, dtype=np.int64), requests, options, most, (10**6,) * 3, free, usable)


@FEW
@given(tasks(), st.sampled_from([0.0, 0.01, 0.5]))
def test_more_time_costs_no_more_and_places_the_same(task: Task, seconds: float) -> None:
    first, missing = pack(task)
    assert not missing.any()
    better, bound = improve(task, first, seconds)
    assert (placed(task, better) == task.demand).all()
    assert all(carries(task, one.option, one.load) for one in better)
    assert relaxed(task).bound <= bound + 1e-9 <= cost_of(task, better) + 2e-9
    assert cost_of(task, better) <= cost_of(task, first) + 1e-9


def cheapest(task: Task, left: tuple[int, ...], known: dict[tuple[int, ...], float]) -> float:
    """The true optimum of a very small task, by trying everything."""
    if not any(left):
        return 0.0
    if left not in known:
        loads = {tuple(0 for _ in left)}
        first = next(item for item, count in enumerate(left) if count)
        for item in range(len(left)):
            loads |= {
                tuple(count + (more if place == item else 0) for place, count in enumerate(load))
                for load in loads
                for more in range(left[item] + 1)
            }
        known[left] = min(
            option.price + cheapest(task, tuple(a - b for a, b in zip(left, load, strict=True)), known)
            for load in loads
            if load[first]
            for option in task.options
            if (np.array(load) @ task.requests <= option.capacity).all()
        )
    return known[left]


@settings(deadline=None, max_examples=15, suppress_health_check=list(HealthCheck))
@given(tasks(most_pods=2))
def test_the_bound_is_below_and_the_plan_above_the_true_optimum(task: Task) -> None:
    optimum = cheapest(task, tuple(task.demand.tolist()), {})
    first, _ = pack(task)
    better, bound = improve(task, first, 0.5)
    assert bound <= optimum + 1e-9
    assert optimum - 1e-9 <= cost_of(task, better) <= optimum * 1.5 + 1e-9


def fitting(task: Task, option: int) -> list[np.ndarray]:
    """All loads of one option."""
    ranges = [range(int(count) + 1) for count in np.minimum(task.most[:, option], task.demand)]
    loads = [np.array(load, dtype=np.int64) for load in itertools.product(*ranges)]
    return [load for load in loads if (load @ task.requests <= task.options[option].capacity).all()]


WORTHS = st.lists(st.one_of(st.floats(0.001, 3), st.integers(0, 3).map(float)), min_size=4, max_size=4)


@FEW
@given(tasks(), WORTHS, st.floats(0, 8), st.sampled_from([1, 3, 1000]))
def test_the_loads_that_are_worth_most_are_those_that_trying_all_finds(
    task: Task, worths: list[float], limit: float, width: int
) -> None:
    worth = np.array(worths[: len(task.demand)])
    for option in range(len(task.options)):
        best = max(float(worth @ load) for load in fitting(task, option))
        loads, top = Knapsack(task, option, worth).loads(limit, width)
        assert best <= top + 1e-12
        assert all((load @ task.requests <= task.options[option].capacity).all() for load in loads)
        assert all((load <= task.demand).all() and float(worth @ load) > limit for load in loads)
        # Without time the loads are what they are, and the top is still one.
        assert best <= Knapsack(task, option, worth).loads(limit, width, deadline=0.0)[1] + 1e-12
        if width == 1000:
            assert top <= max(limit, best) * (1 + 1e-6) or not loads
            assert bool(loads) == (best > limit * (1 + 1e-12)) or abs(best - limit) < 1e-6
            assert not loads or float(worth @ loads[0]) == pytest.approx(best)


@FEW
@given(tasks(most_pods=2), st.lists(WORTHS, min_size=1, max_size=4))
def test_whatever_the_prices_what_they_prove_together_is_right_and_no_less_than_each_alone(
    task: Task, rounds: list[list[float]]
) -> None:
    optimum = cheapest(task, tuple(task.demand.tolist()), {})
    proof = Proof(task)
    for worths in rounds:
        worth = np.array(worths[: len(task.demand)])
        tops = np.array([max(float(worth @ load) for load in fitting(task, one)) for one in range(len(task.options))])
        proof.add(worth, tops)
        assert proof.bound <= optimum + 1e-9
        if tops.any():
            assert proof.bound >= float(worth @ task.demand) / float((tops / task.prices).max()) - 1e-6


@FEW
@given(tasks(), st.data())
def test_what_is_swapped_still_fits_and_is_what_was_asked_for(task: Task, data: st.DataObject) -> None:
    first, _ = pack(task)
    pairs = swaps_of(task)
    times = np.array([data.draw(st.integers(0, 3)) for _ in pairs], dtype=np.int64)
    after = swapped(first, pairs, times)
    assert sum(one.times for one in after) == sum(one.times for one in first)
    assert cost_of(task, after) == pytest.approx(cost_of(task, first))
    assert all(carries(task, one.option, one.load) for one in after)
    have = placed(task, first)
    for (item, other), count in zip(pairs, times.tolist(), strict=True):
        moved = min(count, int(have[item]))
        have[item] -= moved
        have[other] += moved
    assert placed(task, after).tolist() == have.tolist()


@FEW
@given(tasks())
def test_every_smaller_pod_may_be_swapped_in_by_steps_and_never_round_in_a_circle(task: Task) -> None:
    able = smaller(task)
    assert not (able & able.T).any()
    reached = np.zeros_like(able)
    for item, other in swaps_of(task):
        reached[item, other] = True
    for middle in range(len(able)):
        reached |= reached[:, [middle]] & reached[[middle]]
    assert (reached == able).all()


@settings(deadline=None, max_examples=15, suppress_health_check=list(HealthCheck))
@given(snapshots())
def test_an_optimised_plan_keeps_every_rule_and_costs_no_more(snapshot: Snapshot) -> None:
    fast, slow = plan(snapshot), plan(snapshot, optimize=0.2)
    Judge(snapshot, slow).check()
    assert slow.certificate.bound <= slow.cost + 1e-9
    assert len(slow.placements) >= len(fast.placements)


def test_what_nobody_has_priced_is_a_warning() -> None:
    found = plan(Snapshot(pods("a", 1), groups=(group("p", offer("small", price=0.0)),)))
    assert found.warnings == ("small on-demand in us-west-2a has no price: it is reckoned as free",)
