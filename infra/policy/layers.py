"""The layers of a policy: what a change leaves as it was is what an image can be based on.

``system`` is everything before the first recipe of the cookbook ``research``; ``research`` is the rest. A layer's
digest covers what shapes the machine: recipes in order, the files of the cookbooks that they reach, attributes. Not
the name of the profile, so that two profiles can share the lower layer; and not ``bin/``, which leaves no trace.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from infra import files
from infra.policy.cookbooks import Cookbook
from infra.policy.model import Layer

TOP = "research"


def split(recipes: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
    """The recipes below, and those from the first one of the top layer on."""
    for place, recipe in enumerate(recipes):
        if recipe.partition("::")[0] == TOP:
            return recipes[:place], recipes[place:]
    return recipes, ()


def reached(names: Sequence[str], cookbooks: Mapping[str, Cookbook]) -> list[str]:
    """These cookbooks and all that they depend on, sorted."""
    seen: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in seen and name in cookbooks:
            seen.add(name)
            waiting += cookbooks[name].depends
    return sorted(seen)


def layers(
    recipes: Sequence[str],
    cookbooks: Mapping[str, Cookbook],
    contents: Mapping[str, bytes],
    attributes: Mapping[str, Any],
    roles: Mapping[str, Mapping[str, Any]],
) -> tuple[Layer, ...]:
    """``roles`` are the attributes of each role, in the order in which they apply."""
    below, above = split(recipes)

    def content(part: Sequence[str]) -> dict[str, Any]:
        names = reached([recipe.partition("::")[0] for recipe in part], cookbooks)
        inside = tuple(f"cookbooks/{name}/" for name in names)
        own = {path: files.digest(raw) for path, raw in contents.items() if path.startswith(inside)}
        return {"recipes": list(part), "files": own}

    given = [attributes, *(values for role in roles.values() for values in role.values())]
    system = files.digest({**content(below), "attributes": [_without(item) for item in given]})
    found = [Layer("system", system)]
    if above:
        own = [item.get("infra", {}).get(TOP) for item in given]
        found.append(Layer(TOP, files.digest({**content(above), "attributes": own, "below": system})))
    return tuple(found)


def _without(attributes: Mapping[str, Any]) -> dict[str, Any]:
    infra = attributes.get("infra", {})
    return {**attributes, "infra": {key: value for key, value in infra.items() if key not in (TOP, "profile")}}
