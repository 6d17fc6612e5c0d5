"""Name patterns: ``titan-[01-08].lab`` stands for eight names; commas and several brackets are allowed."""

from __future__ import annotations

import itertools
import re

LIMIT = 10_000
_BRACKET = re.compile(r"\[([^\[\]]*)\]")


def expand(pattern: str) -> list[str]:
    """All names a pattern stands for, in order; widths are kept (``[01-03]`` gives 01, 02, 03).

    Raises ValueError, in words for a user, when the pattern is not well formed or stands for over 10,000 names.
    """
    parts = _BRACKET.split(pattern)
    if any("[" in text or "]" in text for text in parts[::2]):
        raise ValueError(f"{pattern!r} has a bracket without its partner")
    choices = [[text] if index % 2 == 0 else _choices(text, pattern) for index, text in enumerate(parts)]
    total = 1
    for choice in choices:
        total *= len(choice)
    if total > LIMIT:
        raise ValueError(f"{pattern!r} stands for {total} names; at most {LIMIT} are allowed")
    return ["".join(name) for name in itertools.product(*choices)]


def _choices(inside: str, pattern: str) -> list[str]:
    found: list[str] = []
    for item in inside.split(","):
        match = re.fullmatch(r"\s*([0-9]{1,9})\s*-\s*([0-9]{1,9})\s*", item)
        if match:
            low, high = match.groups()
            if int(high) < int(low):
                raise ValueError(f"{pattern!r}: the range {item.strip()} runs backwards")
            if int(high) - int(low) >= LIMIT:
                raise ValueError(f"{pattern!r}: the range {item.strip()} is longer than {LIMIT}")
            width = len(low) if low.startswith("0") else 0
            found += [str(number).zfill(width) for number in range(int(low), int(high) + 1)]
        elif re.fullmatch(r"\s*[A-Za-z0-9.-]+\s*", item):
            found.append(item.strip())
        else:
            raise ValueError(f"{pattern!r}: {item!r} is neither a name nor a range such as 01-08")
    return found
