"""Name patterns: ``titan-[01-08].lab`` stands for eight names; commas and several brackets are allowed."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable

LIMIT = 10_000
_BRACKET = re.compile(r"\[([^\[\]]*)\]")
_NUMBERED = re.compile(r"(.*?)([0-9]{1,9})([^0-9]*)")


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


def fold(names: Iterable[str]) -> list[str]:
    """The reverse of ``expand``, for people: runs of numbers become one pattern (``titan-[01-03]``), order is kept."""
    found: list[str] = []
    run: list[tuple[str, str, str]] = []

    def close() -> None:
        if len(run) > 2:
            head, first, tail = run[0]
            found.append(f"{head}[{first}-{run[-1][1]}]{tail}")
        else:
            found.extend("".join(one) for one in run)
        run.clear()

    for name in names:
        match = _NUMBERED.fullmatch(name)
        if match is None:
            close()
            found.append(name)
            continue
        one = (match[1], match[2], match[3])
        if run and not _follows(run[-1], one):
            close()
        run.append(one)
    close()
    return found


def _follows(last: tuple[str, str, str], one: tuple[str, str, str]) -> bool:
    """Whether a name is the next of a pattern: the same width with leading zeros, or none."""
    same = (last[0], last[2]) == (one[0], one[2])
    width = len(last[1]) == len(one[1]) or not (last[1].startswith("0") or one[1].startswith("0"))
    return same and width and int(one[1]) == int(last[1]) + 1
