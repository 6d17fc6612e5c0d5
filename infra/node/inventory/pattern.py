"""How machines are named on a command line. Pure.

``titan-03``, ``titan-[01-08]``, ``titan-*``, an instance id, ``profile:gpu``, ``group:titan``, ``kind:metal``,
``region:us-west-2``, ``all``; several at once, apart or with commas.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from infra.errors import UsageError
from infra.spec.names import expand

KEYS = ("profile", "group", "kind", "region")
HELP = "names, titan-[01-08], titan-*, profile:gpu, group:titan, kind:metal, region:us-west-2, an instance id, or all"
_WILD = re.compile(r"[*?]")
_OUTER_COMMA = re.compile(r",(?![^\[]*\])")
_RUN = re.compile(r"^(.*?)(\d+)$")


@dataclass(frozen=True, slots=True)
class Pattern:
    """One pattern. ``key`` is one of KEYS, or "" for a name; ``values`` are what it stands for.

    A name without wildcards stands for each of ``values``, and each must be there; what has wildcards must match one
    machine at least.
    """

    text: str
    key: str
    values: tuple[str, ...]

    @property
    def everything(self) -> bool:
        return not self.key and self.values == ("*",)

    @property
    def exact(self) -> bool:
        """Whether it spells out names: nothing but those is looked for."""
        return not self.key and not any(map(wild, self.values))

    def fits(self, value: str) -> bool:
        return any(fnmatch.fnmatchcase(value, item) if wild(item) else value == item for item in self.values)


def wild(text: str) -> bool:
    return _WILD.search(text) is not None


def literal(text: str) -> str:
    """What stands before the first wildcard."""
    return _WILD.split(text, 1)[0]


def parse(words: Sequence[str]) -> list[Pattern]:
    """The patterns of a command line. Raises UsageError for one that is not well formed."""
    return [_one(part) for word in words for part in _parts(word)]


def _parts(word: str) -> Iterator[str]:
    for part in _OUTER_COMMA.split(word):
        if not part.strip():
            raise UsageError(f"there is an empty name in {word!r}", where="command line", fix=f"write {HELP}")
        yield part.strip()


def _one(text: str) -> Pattern:
    key, colon, value = text.partition(":")
    if colon and key not in KEYS:
        raise UsageError(
            f"{text!r} is no pattern",
            where="command line",
            why=f"{key!r} is not one of {', '.join(KEYS)}",
            fix=_meant(key, KEYS, ":" + value) or f"write {HELP}",
        )
    if colon and not value:
        raise UsageError(f"{text!r} lacks its value", where="command line", fix=f"write {HELP}")
    wanted = value if colon else "*" if text == "all" else text
    try:
        values = tuple(expand(wanted))
    except ValueError as error:
        raise UsageError(
            f"the pattern {text!r} is not well formed", where="command line", why=str(error), fix=f"write {HELP}"
        ) from error
    return Pattern(text, key if colon else "", values)


def _meant(word: str, choices: Iterable[str], rest: str = "") -> str:
    import difflib

    close = difflib.get_close_matches(word, list(choices), n=1)
    return f"did you mean: {close[0]}{rest}" if close else ""


def nothing(text: str, missing: Sequence[str], choices: Sequence[str], why: str = "") -> UsageError:
    """The error for a pattern that stands for no machine: what was meant, and what there is."""
    have = f"there are: {fold(choices)}" if choices else "there is no machine at all"
    what = f"no machine is named {text!r}" if list(missing) in ([], [text]) else f"{text!r}: no {fold(missing)}"
    key, colon, value = text.partition(":")
    fix = _meant(value, choices) if colon else _meant((missing or [text])[0], choices)
    if colon:
        what = f"no machine has {key} {value!r}"
        fix = fix.replace("did you mean: ", f"did you mean: {key}:")
    return UsageError(what, where="command line", why="\n".join(filter(None, [why, have])), fix=fix or f"write {HELP}")


def fold(names: Iterable[str]) -> str:
    """Names in short: ``titan-[01-03], head-1``. Runs of numbers of one width become a range, in order."""
    runs: list[tuple[str, str, str]] = []  # stem, first, last; a name without a number is its own stem
    for name in names:
        match = _RUN.match(name)
        if match is None:
            runs.append((name, "", ""))
            continue
        stem, digits = match.groups()
        if runs and runs[-1][0] == stem and runs[-1][2] and _next(runs[-1][2], digits):
            runs[-1] = (stem, runs[-1][1], digits)
        else:
            runs.append((stem, digits, digits))
    return ", ".join(stem + (first if first == last else f"[{first}-{last}]") for stem, first, last in runs)


def _next(before: str, after: str) -> bool:
    if int(after) != int(before) + 1:
        return False
    return len(before) == len(after) or not (before.startswith("0") or after.startswith("0"))
