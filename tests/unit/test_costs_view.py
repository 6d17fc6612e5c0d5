"""Dollars as people read them: unknown is never 0, a bound is said to be one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.plan.model import Cost, total
from infra.ui import money

COSTS = st.builds(
    Cost,
    st.floats(0, 1e6, allow_nan=False),
    st.lists(st.sampled_from(["a", "b"]), max_size=2, unique=True).map(sorted).map(tuple),
    st.lists(st.sampled_from(["c", "d"]), max_size=2, unique=True).map(sorted).map(tuple),
    st.booleans(),
)


@pytest.mark.parametrize(
    ("cost", "hourly", "monthly"),
    [
        (Cost(), "$0.00", "$0.00"),
        (Cost(0.0416), "$0.042", "$30.37"),
        (Cost(1.5), "$1.50", "$1,095"),
        (Cost(1234.5), "$1,234.50", "$901,185"),
        (Cost(unknown=("x",)), "?", "?"),
        (Cost(0.5, unknown=("x",)), "$0.500 + ?", "$365.00 + ?"),
        (Cost(24.48, bound=True), "≤ $24.48", "≤ $17,870"),
        (Cost(usage=("storage",)), "by use", "by use"),
    ],
)
def test_texts(cost: Cost, hourly: str, monthly: str) -> None:
    assert money.hourly(cost) == hourly
    assert money.monthly(cost) == monthly


@given(COSTS)
def test_unknown_is_never_nothing(cost: Cost) -> None:
    for text in (money.hourly(cost), money.monthly(cost)):
        assert ("?" in text) == bool(cost.unknown)
        assert cost.bound is False or cost.known == 0 or text.startswith("≤ ")
        if cost.unknown and not cost.known:
            assert text == "?"


@given(COSTS, COSTS, COSTS)
def test_sums_lose_nothing(one: Cost, two: Cost, three: Cost) -> None:
    found = total([one, two, three])
    assert set(found.unknown) == {*one.unknown, *two.unknown, *three.unknown}
    assert found.known == pytest.approx(one.known + two.known + three.known)
    assert found.bound == (one.bound or two.bound or three.bound)
    assert one + Cost() == one
    assert (one + two).unknown == (two + one).unknown


def test_both() -> None:
    assert money.both(Cost(0.1), Cost(0.4)) == "$0.100/h ($73.00/month) → $0.400/h ($292.00/month)"
