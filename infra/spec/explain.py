"""What pydantic found wrong, in the words of ``cluster.yaml``: the line, the value, the rule, the fix."""

from __future__ import annotations

import difflib
import re
from bisect import bisect_right
from collections.abc import Callable, Iterable
from itertools import accumulate
from typing import Any, get_origin

from pydantic import ValidationError

from infra.errors import Problem
from infra.spec import catalog
from infra.spec.document import Document
from infra.spec.hints import EXAMPLES, KEY_EXAMPLES, SYNONYMS
from infra.spec.models import Cluster, Selector, expanded
from infra.spec.names import expand
from infra.spec.scalars import WORDS
from infra.spec.shape import Loc, choices_at, entry_of, homes, label, model_of, type_at

MOST = 200  # problems of form that are shown
_TAINT = "{key: nvidia.com/gpu, effect: NoSchedule}"


def _example(loc: Loc) -> str:
    """What could stand at ``loc``."""
    key = next((part for part in reversed(loc) if isinstance(part, str)), "")
    return f"write: {KEY_EXAMPLES[key]}" if key in KEY_EXAMPLES else "correct the value"


class SourceMap:
    """A path in the cluster as a path in the file: ``metal.*.hosts`` is numbered after its patterns are expanded."""

    def __init__(self, tree: Any) -> None:
        self.tree = tree
        self._ends: dict[str | int, list[int]] = {}  # group -> for each entry of hosts, the number after its last host

    def loc(self, loc: Loc) -> Loc:
        if len(loc) < 4 or loc[0] != "metal" or loc[2] != "hosts" or not isinstance(loc[3], int):
            return loc
        if loc[1] not in self._ends:
            items = _value(self.tree, loc[:3])
            counts = (len(expanded(item)) for item in (items if isinstance(items, list) else ()))
            self._ends[loc[1]] = list(accumulate(counts))
        ends = self._ends[loc[1]]
        place = bisect_right(ends, loc[3])
        return (*loc[:3], place, *loc[4:]) if place < len(ends) else loc[:3]


def close(word: Any, choices: Iterable[Any], cutoff: float = 0.6) -> str:
    """The choice that looks most like ``word``; empty when none does."""
    folded = {str(choice).lower(): str(choice) for choice in choices}
    found = difflib.get_close_matches(str(word).lower(), folded, n=1, cutoff=cutoff)
    return folded[found[0]] if found else ""


def did_you_mean(word: Any, choices: Iterable[Any], otherwise: str = "") -> str:
    found = close(word, choices)
    return f"did you mean: {found}" if found else otherwise


def show(value: Any) -> str:
    """A value as a message names it; never more than a line."""
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, str) and "PRIVATE KEY" in value:
        return "a private key"
    if isinstance(value, str) and "://" in value and "@" in value:
        return "a URL with a user or a password"
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 80 else f"{text[:76]}…"


def explain(error: ValidationError, document: Document) -> list[Problem]:
    """Every finding of ``error`` as a Problem; findings that follow from another one are left out."""
    problems: list[Problem] = []
    nameless = _nameless(document.tree)
    for section, key in nameless.items():
        problems.append(_nameless_problem(section, key, document))
    places = SourceMap(document.tree)
    for item in error.errors(include_url=False)[:MOST]:
        loc = tuple(item["loc"])
        entry = entry_of(type_at(loc[:1])) if loc[:1] and loc[0] in nameless else None
        if entry is not None and len(loc) > 1 and loc[1] in entry.model_fields:
            continue
        problems.append(_problem(loc, item, document, places))
    if error.error_count() > MOST:
        what = f"{error.error_count() - MOST} more problems are not shown"
        problems.append(Problem(what, where=document.where(), fix="correct these first", rule="form"))
    return list(dict.fromkeys(problems))


def _nameless(tree: dict[str, Any]) -> dict[str, str]:
    """Sections whose entries lack the level of names (``pools: {profile: gpu}``) -> the key that shows it."""
    found = {}
    for section, info in Cluster.model_fields.items():
        entry, value = entry_of(info.annotation), tree.get(section)
        if entry is None or not isinstance(value, dict):
            continue
        for key, item in value.items():
            if key in entry.model_fields and item is not None and not isinstance(item, dict):
                found[section] = key
                break
    return found


def _nameless_problem(section: str, key: str, document: Document) -> Problem:
    return Problem(
        f"{section}.{key} stands where a name is expected",
        where=document.where(section, key),
        why=f"{section} holds names, and what each of them is below it",
        fix=f"write: {section}: {{my-name: {{{key}: …}}}}",
        rule="form",
    )


def _value(tree: Any, loc: Loc) -> Any:
    for part in loc:
        if isinstance(tree, dict):
            tree = tree.get(part)
        elif isinstance(tree, list) and isinstance(part, int) and part < len(tree):
            tree = tree[part]
        else:
            return None
    return tree


def _problem(loc: Loc, item: Any, document: Document, places: SourceMap) -> Problem:
    kind: str = item["type"]
    place = places.loc(loc)
    if loc and loc[-1] == "[key]":
        what, why, fix = _key(loc, item)
        place = place[:-1]
    elif kind == "extra_forbidden":
        what, why, fix = _unknown(loc, document.tree)
    elif kind == "missing":
        what, why, fix = _missing(loc)
    else:
        what = f"{label(place) or 'the file'} is {show(item['input'])}"
        if kind == "value_error" and isinstance(item["input"], dict | list):
            what = f"{label(place)} does not fit"
        why, fix = _value_words(loc, kind, item)
    return Problem(what, where=document.where(*place), why=why, fix=fix, rule="form")


def _unknown(loc: Loc, tree: Any) -> tuple[str, str, str]:
    around, key = loc[:-1], str(loc[-1])
    model = model_of(type_at(around)) or Selector
    known = list(model.model_fields)
    free = [name for name in known if name not in (_value(tree, around) or {})]
    place = f"in {label(around)}" if around else "at the top of the file"
    what, why = f"unknown key {key[:60]!r} {place}", f"known here: {', '.join(known)}"
    near = close(key, free, 0.8) or _inner(model, key)
    taken = close(key, known, 0.8)
    if taken and taken not in free:
        return what, why, f"remove it: {taken} is there already"
    if near:
        return what, why, f"did you mean: {near}"
    elsewhere = homes().get(key) or homes().get(close(key, homes(), 0.9)) or ()
    if key in SYNONYMS:
        return what, why, f"did you mean: {SYNONYMS[key]}"
    if elsewhere and key != "id":
        return what, why, f"it belongs elsewhere: {' or '.join(elsewhere[:3])}"
    near = close(key, free)
    return what, why, f"did you mean: {near}" if near else "remove it"


def _inner(model: Any, key: str) -> str:
    """``size.max`` for the key ``max`` in a pool: the key belongs one level down."""
    for name, info in model.model_fields.items():
        inner = model_of(info.annotation)
        if inner is not None and key in inner.model_fields:
            return f"{name}.{key}"
    return ""


def _missing(loc: Loc) -> tuple[str, str, str]:
    around, key = loc[:-1], str(loc[-1])
    model = model_of(type_at(around))
    example = EXAMPLES.get(f"{model.__name__}.{key}" if model else "", f"{key}: …")
    holder = label(around) or "the file"
    return f"{holder} has no {key}", "it cannot be left out", f"add: {example}"


def _key(loc: Loc, item: Any) -> tuple[str, str, str]:
    name, around = str(loc[-2]), loc[:-2]
    context = item.get("ctx", {})
    if item["type"] == "string_too_long":
        why, fix = f"at most {context['max_length']} characters", "shorten it"
    else:
        why, fix = WORDS.get(str(context.get("pattern")), "it is not a name"), _renamed(name)
    if around[-1:] == ("existing",):
        fix = did_you_mean(name, catalog.regions(), "name a region, such as us-west-2")
    return f"{label(around)} has the name {show(name)}", why, fix


def _renamed(name: str) -> str:
    better = "".join(char if char.isalnum() and char.isascii() else "-" for char in name.lower()).strip("-")
    return f"did you mean: {better}" if better and better[0].isalpha() and better != name else "choose another name"


def _value_words(loc: Loc, kind: str, item: Any) -> tuple[str, str]:
    """Why a value is refused, and what to write."""
    context, value = item.get("ctx", {}), item["input"]
    if kind == "string_pattern_mismatch":
        return _pattern_words(loc, str(context["pattern"]), value)
    if kind == "literal_error":
        choices = choices_at(loc)
        named = ", ".join(str(choice) for choice in choices)
        if len(choices) == 1:
            return f"it must be {named}", f"write: {label(loc[-1:])}: {named}"
        return f"it is one of: {named}", did_you_mean(value, choices, f"write one of: {named}")
    if kind == "value_error":
        return _own_words(loc, str(context["error"]), value)
    words = _TYPE_WORDS.get(kind)
    if words is None:
        return str(item["msg"]).replace("Input should be", "it must be"), _example(loc)
    return words(loc, context, value)


def _pattern_words(loc: Loc, pattern: str, value: Any) -> tuple[str, str]:
    why = WORDS.get(pattern, "it is not well formed")
    why = why if " is " in why else f"it must be {why}"
    if loc[:1] == ("metal",) and loc[-1] == "name" and isinstance(value, str):
        try:
            expand(value)
        except ValueError as error:
            return str(error), "write a pattern such as titan-[01-08].lab"
        return why, did_you_mean(value, [value.lower()], "write a name such as titan-01.lab")
    if "region" in why:
        return why, did_you_mean(value, catalog.regions(), "write a region such as us-west-2")
    if "instance type" in why:
        return why, did_you_mean(value, catalog.names(), "write a type such as g4dn.xlarge")
    if "run-list" in why:
        name = re.sub(r"[^a-z0-9_-]", "", str(value).lower())
        return why, f'write: "role[{name}]" or "recipe[{name}]"' if name == value else _example(loc)
    if "public key" in why:
        secret = "PRIVATE KEY" in str(value)
        return (
            why,
            "never a private key: give the text of the .pub file" if secret else "give the text of the .pub file",
        )
    if "name is" in why:
        return why, _renamed(str(value))
    return why, _example(loc)


def _own_words(loc: Loc, text: str, value: Any) -> tuple[str, str]:
    """Messages of our own validators; they may carry the fix behind 'did you mean'."""
    why, found, better = text.partition("; did you mean: ")
    if found:
        return why, f"did you mean: {better}"
    if loc[-1:] == ("capacity",) and isinstance(value, str):
        return why, did_you_mean(value, ["spot", "on-demand"], "write one of these")
    if "named twice" in why or "exactly one" in why:
        return why, "remove one of them"
    if "give either" in why:
        return why, "give one of them"
    return why, _example(loc)


Words = Callable[[Loc, dict[str, Any], Any], tuple[str, str]]


def _mapping_words(loc: Loc, context: dict[str, Any], value: Any) -> tuple[str, str]:
    model, entry = model_of(type_at(loc)), entry_of(type_at(loc))
    if loc[-1:] == ("size",):
        return "it must be a number of machines, or {min, desired, max}", "write: size: {min: 0, max: 4}"
    if loc[-1:] == ("capacity",):
        return (
            "a capacity is on-demand, spot, {reservation: cr-…} or {block: cr-…}",
            did_you_mean(value, ["spot", "on-demand"], "write: capacity: spot"),
        )
    if loc[:1] == ("metal",) and loc[2:3] == ("hosts",):
        return "it must be a name, a pattern, or {name, address, port}", "write: titan-01 or {name: titan-01}"
    if loc[-2:-1] == ("taints",):
        return "it must be keys and values", f"write: {_TAINT}"
    if entry is not None:
        keys = ", ".join(list(entry.model_fields)[:4])
        return f"it must be names, each with keys ({keys} …) below it", f"write: {loc[-1]}: {{my-name: {{…}}}}"
    if model is not None:
        return "it must be keys and values", f"its keys are: {', '.join(model.model_fields)}"
    return "it must be keys and values, such as {key: value}", "write: {key: value}"


def _text_words(loc: Loc, context: dict[str, Any], value: Any) -> tuple[str, str]:
    if isinstance(value, bool | int | float):
        return "it must be a text", f'put it in quotes: "{show(value)}"'
    return "it must be a text", "write one text"


def _list_words(loc: Loc, context: dict[str, Any], value: Any) -> tuple[str, str]:
    if loc[-1:] == ("taints",):
        return "it must be a list", f"write: taints: [{_TAINT}]"
    if value is None or isinstance(value, dict | list):
        return "it must be a list", f"write: {label(loc[-1:])}: [a, b]"
    return "it must be a list", f"write: {label(loc[-1:])}: [{value}]"


def _at_least(loc: Loc, context: dict[str, Any], value: Any) -> tuple[str, str]:
    return f"it must be at least {context['ge']}", f"write {context['ge']} or more"


def _at_most(loc: Loc, context: dict[str, Any], value: Any) -> tuple[str, str]:
    return f"it must be at most {context['le']}", f"write {context['le']} or less"


def _whole(loc: Loc, context: dict[str, Any], value: Any) -> tuple[str, str]:
    if get_origin(type_at(loc)) is None and loc[-1:] == ("disk",):
        return "it must be a number of GB, or a text such as 200GB or 1TB", "write: disk: 200GB"
    return "it must be a whole number", "write a number without quotes, units or a fraction"


def _yes_no(loc: Loc, context: dict[str, Any], value: Any) -> tuple[str, str]:
    return "it must be true or false", "write true or false"


def _short(loc: Loc, context: dict[str, Any], value: Any) -> tuple[str, str]:
    key = label(loc[-1:])
    model = model_of(type_at(loc[:-1]))
    example = EXAMPLES.get(f"{model.__name__}.{key}" if model else "", "")
    return "it must not be empty", f"write: {example}" if example else "give at least one"


def _short_text(loc: Loc, context: dict[str, Any], value: Any) -> tuple[str, str]:
    return f"it must have at least {context['min_length']} characters", "make it longer"


def _long_text(loc: Loc, context: dict[str, Any], value: Any) -> tuple[str, str]:
    return f"it must have at most {context['max_length']} characters, and has {len(value)}", "shorten it"


_TYPE_WORDS: dict[str, Words] = {
    "bool_parsing": _yes_no,
    "bool_type": _yes_no,
    "dict_type": _mapping_words,
    "model_attributes_type": _mapping_words,
    "model_type": _mapping_words,
    "greater_than_equal": _at_least,
    "less_than_equal": _at_most,
    "int_from_float": _whole,
    "int_parsing": _whole,
    "int_parsing_size": _whole,
    "int_type": _whole,
    "list_type": _list_words,
    "string_too_long": _long_text,
    "string_too_short": _short_text,
    "string_type": _text_words,
    "too_short": _short,
}
