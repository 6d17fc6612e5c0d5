"""Manifests side by side: which machines are the same, what differs, what of that is declared. Pure.

Of many machines the first manifest is kept whole, of every other what it has differently: a thousand equal machines
cost little more than one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from infra.node.proof.allowed import LOGIN, Allowed, Value, shipped
from infra.node.proof.manifest import UNREAD, Manifest, readable

UNPROVEN = "could not be read: nothing is proven of this part"


@dataclass(frozen=True, slots=True)
class Difference:
    """One fact that is not the same everywhere: each value (None: there is none) with the machines that have it, the
    most frequent first. ``reason`` is why that may be; "" when it may not. ``note`` says more.
    """

    what: str
    values: tuple[tuple[Value, tuple[str, ...]], ...]
    reason: str = ""
    note: str = ""

    @property
    def section(self) -> str:
        return self.what.partition(":")[0]

    @property
    def key(self) -> str:
        """The fact's own name, for people."""
        return readable(self.what.partition(":")[2])

    def data(self) -> dict[str, Any]:
        return {
            "what": readable(self.what),
            "values": [
                {"value": None if value is None else readable(value), "nodes": list(nodes)}
                for value, nodes in self.values
            ],
            "reason": self.reason,
            "note": self.note,
        }


@dataclass(frozen=True, slots=True)
class Comparison:
    """Machines of one ``profile``. ``groups`` are those that are the same in all that counts, the largest first;
    ``differences`` what is not declared, ``allowed`` what is; ``facts`` how many each machine has, at the least.
    """

    profile: str
    nodes: tuple[str, ...]
    groups: tuple[tuple[str, ...], ...]
    differences: tuple[Difference, ...]
    allowed: tuple[Difference, ...]
    facts: int

    @property
    def identical(self) -> bool:
        return not self.differences

    def data(self) -> dict[str, Any]:
        return {
            "profile": self.profile,
            "identical": self.identical,
            "facts": self.facts,
            "nodes": list(self.nodes),
            "groups": [list(group) for group in self.groups],
            "differences": [item.data() for item in self.differences],
            "allowed": [item.data() for item in self.allowed],
        }


class Census:
    """Takes manifests one by one; not safe for threads."""

    def __init__(self, profile: str) -> None:
        self.profile = profile
        self._first: dict[str, str] = {}
        self._other: dict[str, dict[str, Value]] = {}  # machine -> what it has differently from the first
        self._logins: dict[str, str] = {}
        self._least = 0

    def __len__(self) -> int:
        return len(self._other)

    def add(self, node: str, manifest: Manifest, login: str = "") -> None:
        """``login`` is the account that infra logs in with there."""
        self._logins[node] = login
        if not self._other:
            self._first, self._other[node], self._least = manifest.facts, {}, len(manifest.facts)
            return
        first, facts = self._first, manifest.facts
        own: dict[str, Value] = {name: value for name, value in facts.items() if first.get(name) != value}
        if len(facts) - sum(name not in first for name in own) < len(first):
            own.update(dict.fromkeys(first.keys() - facts.keys()))
        self._other[node] = own
        self._least = min(self._least, len(manifest.facts))

    def fact(self, node: str, name: str) -> Value:
        if name == LOGIN:
            return self._logins[node]
        own = self._other[node]
        return own[name] if name in own else self._first.get(name)

    def comparison(self, allowed: Allowed | None = None, order: Sequence[str] = ()) -> Comparison:
        """What there is to say of all that were added, in this order (else as they came)."""
        allowed = allowed or shipped()
        nodes = tuple(node for node in order if node in self._other) or tuple(self._other)
        bad: list[Difference] = list(self._ill(allowed, nodes))
        good: list[Difference] = []
        for name in sorted({name for own in self._other.values() for name in own if not unread(name)}):
            values = {node: self.fact(node, name) for node in nodes}
            reason = allowed.reason(name, values, self.fact)
            (good if reason else bad).append(Difference(name, _sides(values), reason))
        return Comparison(
            self.profile, nodes, self._groups(nodes, bad), tuple(bad), tuple(good), self._least if nodes else 0
        )

    def _ill(self, allowed: Allowed, nodes: Sequence[str]) -> Iterator[Difference]:
        """What is wrong even where it is the same: what must be each machine's own (two were made of one disk), and
        what could not be read."""
        for name in sorted(set(self._first).union(*self._other.values())):
            why = "" if unread(name) else allowed.unique(name)
            if not why and not unread(name):
                continue
            sides = _sides({node: value for node in nodes if (value := self.fact(node, name)) is not None})
            if not why:
                yield Difference(name, sides, note=UNPROVEN)
            elif any(len(have) > 1 for _, have in sides):
                yield Difference(name, sides, note=f"the same on several machines, and must not be: {why}")

    def _groups(self, nodes: Sequence[str], bad: Sequence[Difference]) -> tuple[tuple[str, ...], ...]:
        names = [item.what for item in bad if not item.note]
        found: dict[tuple[Value, ...], list[str]] = {}
        for node in nodes:
            found.setdefault(tuple(self.fact(node, name) for name in names), []).append(node)
        return tuple(sorted((tuple(group) for group in found.values()), key=len, reverse=True))


def unread(name: str) -> bool:
    """Whether this is no fact, but that some could not be read."""
    return name.endswith(f":{UNREAD}")


def _sides(values: dict[str, Value]) -> tuple[tuple[Value, tuple[str, ...]], ...]:
    found: dict[Value, list[str]] = {}
    for node, value in values.items():
        found.setdefault(value, []).append(node)
    sides = sorted(found.items(), key=lambda side: len(side[1]), reverse=True)
    return tuple((value, tuple(nodes)) for value, nodes in sides)


BEFORE, NOW = "baseline", "now"


def drift(baseline: Manifest, now: Manifest, allowed: Allowed | None = None) -> tuple[Difference, ...]:
    """What is not as it was on one machine, but for what changes by itself; each with the values BEFORE and NOW."""
    allowed = allowed or shipped()
    found = []
    moved = {name for name, _ in baseline.facts.items() ^ now.facts.items()}
    for name in sorted(moved.union(filter(unread, now.facts))):
        before, after = baseline.facts.get(name), now.facts.get(name)
        if not allowed.over_time(name, (before, after)):
            found.append(Difference(name, ((before, (BEFORE,)), (after, (NOW,)))))
    return tuple(found)
