"""What differs between two values of one resource, leaf by leaf, in words. Pure.

Terraform's plan gives ``before`` and ``after`` with two masks beside them: what is known only after the apply, and what
is secret. Both are laid into the values first, so that nothing secret can reach a text by another way.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

LATE = "(known after)"
HIDDEN = "(sensitive)"
NOTHING = "(none)"
LONGEST = 60
COPIES = ("tags_all",)  # the provider's copy of ``tags``

Kind = Literal["changed", "added", "removed", "order"]


class Later:
    """Stands for a value that is known only after the apply."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Later)

    def __hash__(self) -> int:
        return 1


@dataclass(frozen=True, slots=True)
class Secret:
    """Wraps a value that must not be shown."""

    value: Any


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that differs.

    ``path`` is dotted, without the index of a list's only entry: ``size.max``. ``added`` and ``removed`` are elements
    of a list (``after`` or ``before`` is the element); ``order`` is a list with the same elements in another order.
    """

    path: str
    kind: Kind
    before: Any
    after: Any

    @property
    def name(self) -> str:
        """The attribute at the top."""
        return self.path.split(".")[0].split("[")[0]

    @property
    def late(self) -> bool:
        return isinstance(self.after, Later)

    def text(self) -> str:
        if self.kind == "added":
            return f"{self.path} + {element(self.after)}"
        if self.kind == "removed":
            return f"{self.path} - {element(self.before)}"
        if self.kind == "order":
            return f"{self.path}: another order"
        left, right = short(self.before), short(self.after)
        if left == right == HIDDEN:
            return f"{self.path} {HIDDEN}"
        return f"{self.path} {left} → {right}" if left != right else f"{self.path} changed"


def differences(change: Mapping[str, Any]) -> list[Difference]:
    """What a Terraform change (``before``, ``after`` and the masks) moves, by attribute in alphabetical order."""
    before = masked(change.get("before") or {}, change.get("before_sensitive"), Secret)
    after = masked(change.get("after") or {}, change.get("after_sensitive"), Secret)
    after = masked(after, change.get("after_unknown"), lambda _: Later())
    found: list[Difference] = []
    for name in sorted({*before, *after}):
        found += compare(name, before.get(name), after.get(name))
    return found


def masked(value: Any, mask: Any, wrap: Any) -> Any:
    """``value`` with every place where ``mask`` says True wrapped; a mask may name what the value lacks."""
    if mask is True:
        return wrap(value)
    if isinstance(mask, dict) and mask and (value is None or isinstance(value, dict)):
        given = dict(value or {})
        for key, inner in mask.items():
            if marked(inner):
                given[key] = masked(given.get(key), inner, wrap)
        return given
    if isinstance(mask, list) and mask and (value is None or isinstance(value, list)):
        items = list(value or [])
        while len(items) < len(mask) and marked(mask[len(items) :]):
            items.append(None)
        return [masked(item, mask[index] if index < len(mask) else None, wrap) for index, item in enumerate(items)]
    return value


def marked(mask: Any) -> bool:
    """Whether a mask says True anywhere."""
    if isinstance(mask, dict):
        return any(marked(item) for item in mask.values())
    if isinstance(mask, list):
        return any(marked(item) for item in mask)
    return mask is True


def compare(path: str, before: Any, after: Any) -> list[Difference]:
    """The differences below one path. Texts that hold JSON (policies) are compared as what they say."""
    if before == after or path.rpartition(".")[2] in COPIES:
        return []
    left, right = parsed(before), parsed(after)
    if isinstance(left, dict) and isinstance(right, dict):
        keys = sorted({*left, *right})
        found = [item for key in keys for item in compare(f"{path}.{key}", left.get(key), right.get(key))]
        return found or _spelling(path, before, after)
    if isinstance(left, list) and isinstance(right, list):
        return _lists(path, left, right) or _spelling(path, before, after)
    return [Difference(path, "changed", before, after)]


def _spelling(path: str, before: Any, after: Any) -> list[Difference]:
    """Nothing differs but the text that says it (or a copy in it)."""
    return [Difference(path, "changed", before, after)] if isinstance(before, str) and isinstance(after, str) else []


def _lists(path: str, before: list[Any], after: list[Any]) -> list[Difference]:
    if len(before) == len(after) == 1:
        return compare(path, before[0], after[0])
    gone, new = without(before, after), without(after, before)
    if not gone and not new:
        return [Difference(path, "order", before, after)]
    if len(gone) == len(new) == 1 and isinstance(gone[0], dict) and isinstance(new[0], dict):
        where = before.index(gone[0])
        return compare(f"{path}[{where}]", gone[0], new[0])
    if any(isinstance(item, Later) for item in (*gone, *new)):
        return [Difference(path, "changed", before, Later())]
    return [
        *(Difference(path, "removed", item, None) for item in gone),
        *(Difference(path, "added", None, item) for item in new),
    ]


def without(items: Sequence[Any], others: Sequence[Any]) -> list[Any]:
    """The items that are not among the others, each counted as often as it is there."""
    rest = [canonical(item) for item in others]
    found = []
    for item in items:
        key = canonical(item)
        if key in rest:
            rest.remove(key)
        else:
            found.append(item)
    return found


def canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=_stand_in)


def _stand_in(value: Any) -> Any:
    return {"(secret)": value.value} if isinstance(value, Secret) else LATE


def parsed(value: Any) -> Any:
    """JSON in a text, or the value."""
    if isinstance(value, str) and value[:1] in ("{", "["):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


def short(value: Any) -> str:
    """A value as one short text."""
    if isinstance(value, Later):
        return LATE
    if isinstance(value, Secret):
        return NOTHING if empty(value.value) else HIDDEN
    if empty(value):
        return NOTHING
    if isinstance(value, dict | list):
        value = element(value)
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def empty(value: Any) -> bool:
    """None, "", [] and {}: the ways in which a provider writes nothing."""
    return value is None or value in ("", [], {})


def element(value: Any) -> str:
    """One entry of a list as a person says it: a firewall rule, a route, a tag, or its values that say something."""
    if isinstance(value, list):
        return ", ".join(element(item) for item in value)
    if not isinstance(value, dict):
        return short(value)
    if {"protocol", "from_port", "to_port"} <= value.keys():
        return _rule(value)
    if {"key", "value"} <= value.keys():
        return f"{short(value['key'])}={short(value['value'])}"
    if {"Effect", "Action"} <= value.keys():
        name = f" ({value['Sid']})" if value.get("Sid") else ""
        return f"{value['Effect']} {short(value['Action'])}{name}"
    said = {key: item for key, item in value.items() if not empty(item) and item is not False}
    if "cidr_block" in said and "gateway_id" in value and len(said) == 2:
        return f"{said.pop('cidr_block')} via {short(next(iter(said.values())))}"
    return ", ".join(f"{key} {short(item)}" for key, item in sorted(said.items())) or NOTHING


def _rule(rule: Mapping[str, Any]) -> str:
    """``tcp 22 from 203.0.113.0/24``."""
    first, last = rule["from_port"], rule["to_port"]
    ports = "" if rule["protocol"] == "-1" else f" {first}" if first == last else f" {first}-{last}"
    peers: list[str] = []
    for key in ("cidr_blocks", "ipv6_cidr_blocks", "prefix_list_ids", "security_groups"):
        given = rule.get(key)
        peers += [short(item) for item in given] if isinstance(given, list) else []
    if rule.get("self"):
        peers.append("the group itself")
    return f"{'all' if rule['protocol'] == '-1' else rule['protocol']}{ports} {', '.join(peers) or NOTHING}"
