"""What may differ between machines that are the same: a declared list, each entry with its reason. Pure.

The list is ``infra/data/may_differ.json``; a lab adds its own in cluster.yaml (``profiles.NAME.may_differ``). An entry
is as narrow as its reason: by name, by the values it may have, and by the fact that must differ for it to differ.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any, Literal

from infra.node.proof.manifest import UNREAD

LOGIN = "node:login"  # not of the manifest: the account that infra logs in with
Value = str | None


@dataclass(frozen=True, slots=True)
class Entry:
    """``what`` are names of facts, ``*`` for anything; ``but`` are those of them that it does not cover.

    ``values``: a pattern that every value must fit, and none may be missing. ``only`` "presence": there or not there,
    but one value where it is; "contents": of files, not their mode and owner. ``depends``: machines that agree in all
    these facts must agree here too. ``unique``: it not only may differ but must: two machines with one value are
    clones. ``time``: it may change on one machine, too.
    """

    what: tuple[str, ...]
    why: str
    but: tuple[str, ...] = ()
    values: str = ""
    only: Literal["", "presence", "contents"] = ""
    depends: tuple[str, ...] = ()
    unique: bool = False
    time: bool = False

    def covers(self, name: str) -> bool:
        """Whether it is about this fact. What could not be read is never covered."""
        if name.rpartition(":")[2] == UNREAD:
            return False
        return bool(_pattern(self.what).fullmatch(name)) and not (self.but and _pattern(self.but).fullmatch(name))

    def permits(self, values: Sequence[Value]) -> bool:
        """Whether these values may be side by side."""
        if self.values and not all(value is not None and re.fullmatch(self.values, value) for value in values):
            return False
        there = {value for value in values if value is not None}
        if self.only == "contents":
            there = {value.partition(" sha256:")[0] for value in there}
        return not self.only or len(there) <= 1


@functools.cache
def _pattern(what: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(".*".join(map(re.escape, item.split("*"))) for item in what), re.S)


class Allowed:
    """The list as a whole: the first entry that permits a difference gives its reason."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self.entries = tuple(entries)

    def plus(self, entries: Iterable[Entry]) -> Allowed:
        return Allowed((*self.entries, *entries))

    def reason(self, name: str, values: Mapping[str, Value], fact: Callable[[str, str], Value]) -> str:
        """Why this fact may have these values (machine → value); "" when it may not.

        ``fact(machine, name)`` gives another fact of one of them.
        """
        for entry in self.entries:
            if entry.covers(name) and entry.permits(tuple(values.values())) and _follows(entry, values, fact):
                return entry.why
        return ""

    def over_time(self, name: str, values: Sequence[Value]) -> str:
        """Why this fact may have changed on one machine by itself; "" when it may not."""
        return next((e.why for e in self.entries if e.time and e.covers(name) and e.permits(values)), "")

    def unique(self, name: str) -> str:
        """Why this fact must be each machine's own; "" when it need not be."""
        return next((entry.why for entry in self.entries if entry.unique and entry.covers(name)), "")


def _follows(entry: Entry, values: Mapping[str, Value], fact: Callable[[str, str], Value]) -> bool:
    """Whether machines that are alike in what the entry depends on have one value."""
    if not entry.depends:
        return True
    seen: dict[tuple[Value, ...], Value] = {}
    return all(
        seen.setdefault(tuple(fact(node, on) for on in entry.depends), seen_value) == seen_value
        for node, seen_value in values.items()
    )


def entry(data: Mapping[str, Any]) -> Entry:
    """An entry as the data file or cluster.yaml has it."""
    given = dict(data)
    for key in ("what", "but", "depends"):
        if key in given:
            given[key] = (given[key],) if isinstance(given[key], str) else tuple(given[key])
    return Entry(**given)


@functools.cache
def shipped() -> Allowed:
    """The list that ships with infra."""
    text = resources.files("infra.data").joinpath("may_differ.json").read_text(encoding="utf-8")
    return Allowed(entry(item) for item in json.loads(text)["entries"])


def accounts(users: Iterable[str]) -> list[Entry]:
    """Entries for the accounts that infra logs in with: an AMI's is ``ubuntu``, a lab's box has another."""
    names = sorted({user for user in users if re.fullmatch(r"[a-z_][a-z0-9_-]*", user) and user != "root"})
    if len(names) < 2:
        return []
    what = [
        item
        for name in names
        for item in (f"user:{name}.*", f"group:{name}.*", f"authorized-keys:{name}*", f"etc:/etc/sudoers.d/*{name}*")
    ]
    why = f"infra logs in with another account there ({', '.join(names)}): cluster.yaml names it for each group"
    members = "|".join(map(re.escape, names))
    shared = (
        "group:sudo.members",
        "group:adm.members",
        "group:admin.members",
        "etc:/etc/sudoers.d/90-cloud-init-users",
    )
    return [
        Entry(tuple(what), why, depends=(LOGIN,)),
        Entry(shared, why, only="presence", depends=(LOGIN,)),
        Entry(shared[:3], why, values=f"({members})", depends=(LOGIN,)),
    ]
