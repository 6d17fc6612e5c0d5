"""EC2's filter patterns, as the embedded AWS reads them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from infra.local.moto_ec2 import FilterPatterns

TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="*?\\"), max_size=30)


@given(TEXTS)
def test_a_text_without_wild_cards_matches_itself(text: str) -> None:
    assert FilterPatterns.fnmatch(text, text)


@given(TEXTS, TEXTS, TEXTS)
def test_a_star_is_any_text(before: str, middle: str, after: str) -> None:
    assert FilterPatterns.fnmatch(before + middle + after, f"{before}*{after}")


@given(TEXTS, TEXTS)
def test_a_text_matches_no_other(one: str, other: str) -> None:
    assert FilterPatterns.fnmatch(one, other) == (one == other)


def test_brackets_are_plain_and_a_backslash_makes_wild_cards_plain() -> None:
    address = 'module.network.aws_subnet.private["us-west-2a"]'
    assert FilterPatterns.fnmatch(address, address)
    assert FilterPatterns.fnmatch(address, "module.network.aws_subnet.private[*")
    assert not FilterPatterns.fnmatch("a", "[a-z]")
    assert FilterPatterns.fnmatch("a*", r"a\*")
    assert not FilterPatterns.fnmatch("ab", r"a\*")
    assert FilterPatterns.fnmatch("a?", "a[?]")  # moto's own way to escape one
    assert FilterPatterns.fnmatch("ab", "a?")
