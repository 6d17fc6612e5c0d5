"""Monotone in price, in the form that holds for any planner whose certificate is right.

Two plans that place the same pods, before and after one offer became dearer by ``more``: each of them is worth, at the
other's prices, no less than the other's bound. So a dearer world never looks cheaper than was certified, and the dearer
offer is bought more often only as far as the gaps of the two certificates explain it: more · (n′ − n) ≤ gap + gap′. A
plan without a gap is the optimum, and there the number never rises.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from infra.autoscale.plan import Plan, plan
from infra.autoscale.snapshot import Group, Place, Snapshot
from tests.unit.clusters import TOLERATE_GPU, group, offer, pods, shops, snapshots

QUIET = list(HealthCheck)
Key = tuple[str, Place]
EPSILON = 1e-6


def priced(snapshot: Snapshot) -> dict[Key, float]:
    return {(one.name, two.place): two.price for one in snapshot.groups for two in one.offers}


def at(found: Plan, prices: Mapping[Key, float]) -> float:
    """What a plan costs at other prices, in $/h."""
    return sum(one.count * prices[one.group, one.place] for one in found.purchases)


def count(found: Plan, key: Key) -> int:
    return sum(one.count for one in found.purchases if (one.group, one.place) == key)


def raised(snapshot: Snapshot, key: Key, more: float) -> Snapshot:
    def of(one: Group) -> Group:
        offers = tuple(replace(two, price=two.price + more * ((one.name, two.place) == key)) for two in one.offers)
        return replace(one, offers=offers)

    return replace(snapshot, groups=tuple(of(one) for one in snapshot.groups))


def check(snapshot: Snapshot, key: Key, more: float, seconds: float) -> None:
    dear = raised(snapshot, key, more)
    before, after = plan(snapshot, seconds), plan(dear, seconds)
    assume(set(before.placements) == set(after.placements))
    assert at(after, priced(dear)) == pytest.approx(after.cost)
    assert after.cost >= before.certificate.bound - EPSILON
    assert at(after, priced(snapshot)) >= before.certificate.bound - EPSILON
    assert at(before, priced(dear)) >= after.certificate.bound - EPSILON
    gaps = sum(one.cost - one.certificate.bound for one in (before, after))
    assert more * (count(after, key) - count(before, key)) <= gaps + EPSILON


@settings(deadline=None, max_examples=60, suppress_health_check=QUIET)
@given(st.one_of(shops(), shops(), snapshots()), st.integers(0, 7), st.sampled_from([0.01, 0.3, 2.0, 50.0]))
def test_a_dearer_offer_makes_no_plan_cheaper_than_was_certified(snapshot: Snapshot, which: int, more: float) -> None:
    keys = sorted(priced(snapshot))
    assume(keys)
    check(snapshot, keys[which % len(keys)], more, 0.0)


@settings(deadline=None, max_examples=12, suppress_health_check=QUIET)
@given(shops(), st.integers(0, 3), st.sampled_from([0.01, 0.3, 2.0]))
def test_the_same_of_plans_that_were_given_time(snapshot: Snapshot, which: int, more: float) -> None:
    keys = sorted(priced(snapshot))
    assume(keys)
    check(snapshot, keys[which % len(keys)], more, 0.2)


def test_at_a_price_that_decides_all_of_it_moves() -> None:
    """Eight small machines or two large ones hold the same: the cheaper is bought, and nothing of the other."""
    waiting = pods("a", 8, 4000, 16, tolerations=TOLERATE_GPU)
    found = []
    for price in (0.5, 0.7, 0.9, 1.1):
        some = (group("s", offer("small", price=0.2), maximum=9), group("l", offer("large", price=price), maximum=9))
        bought = plan(Snapshot(waiting, groups=some), 1.0)
        assert bought.certificate.gap == pytest.approx(0, abs=1e-4)
        found.append({one.group: one.count for one in bought.purchases})
    assert found == [{"l": 2}, {"l": 2}, {"s": 8}, {"s": 8}]
