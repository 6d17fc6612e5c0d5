"""More time: never a dearer plan, never a bound above what a plan costs, and every load one that fits."""

from __future__ import annotations

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from infra.autoscale.bound import relaxed
from infra.autoscale.improve import improve
from infra.autoscale.knapsack import Knapsack
from infra.autoscale.market import Option
from infra.autoscale.pack import carries, pack, placed
from infra.autoscale.pattern import cost_of
from infra.autoscale.plan import plan
from infra.autoscale.room import times
from infra.autoscale.snapshot import Offer, Place, Snapshot
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
@given(tasks())
def test_more_time_costs_no_more_and_places_the_same(task: Task) -> None:
    first, missing = pack(task)
    assert not missing.any()
    better, bound = improve(task, first, 0.5)
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


@FEW
@given(tasks(), st.lists(st.floats(0, 3), min_size=4, max_size=4))
def test_no_load_that_is_looked_for_is_worth_more_than_the_proved_best(task: Task, worths: list[float]) -> None:
    worth = np.array(worths[: len(task.demand)])
    for option in range(len(task.options)):
        knapsack = Knapsack(task, option, worth)
        load, top = knapsack.best(5.0)
        assert float(worth @ load) <= top + 1e-6
        for one in knapsack.search():
            assert ((one @ task.requests) <= task.options[option].capacity).all() and (one <= task.demand).all()
            assert float(worth @ one) <= top + 1e-6


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
