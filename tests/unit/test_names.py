"""Name patterns, there and back."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from infra.spec.names import expand, fold

NAMES = st.from_regex(r"(titan|a1b|)-?(0?[0-9]{1,3})?(\.lab)?", fullmatch=True).filter(bool)


def test_runs_become_patterns() -> None:
    assert fold(["titan-01", "titan-02", "titan-03", "desk", "box9", "box10", "box11"]) == [
        "titan-[01-03]",
        "desk",
        "box[9-11]",
    ]
    assert fold(["a-1", "a-2"]) == ["a-1", "a-2"]
    assert fold(["a-08", "a-09", "a-10", "a-11"]) == ["a-[08-11]"]
    assert fold(["a-098", "a-099", "a-100", "a-0101"]) == ["a-[098-100]", "a-0101"]


@given(st.lists(NAMES, max_size=12))
def test_nothing_is_lost_and_the_order_is_kept(names: list[str]) -> None:
    assert [name for pattern in fold(names) for name in expand(pattern)] == names
