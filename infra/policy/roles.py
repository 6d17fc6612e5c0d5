"""A run-list with its roles expanded into recipes, each with the place that names it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from infra.policy.cookbooks import parse
from infra.policy.library import Found, Library, line

_ITEM = re.compile(r"(?:(role|recipe)\[([A-Za-z0-9_.:-]+)\]|([A-Za-z0-9_-]+(?:::[A-Za-z0-9_-]+)?))")
NAME, RUN_LIST = '"name"', '"run_list"'
_KEYS = {
    "name",
    "description",
    "json_class",
    "chef_type",
    "default_attributes",
    "override_attributes",
    "run_list",
    "env_run_lists",
}


@dataclass
class Expansion:
    """``recipes`` in order, ``cookbook::recipe`` -> where it is named; ``attributes`` of each role that was met."""

    library: Library
    found: Found
    recipes: dict[str, str] = field(default_factory=dict)
    attributes: dict[str, dict[str, Any]] = field(default_factory=dict)

    def add(self, item: str, where: str, inside: tuple[str, ...] = ()) -> None:
        """Take one item of a run-list in; ``inside`` are the roles that it stands in."""
        match = _ITEM.fullmatch(item)
        if match is None:
            self.found.wrong(f"{item!r} is no run-list item", where, fix="write: recipe[name] or role[name]")
        elif match[1] == "role":
            self._role(match[2], where, inside)
        else:
            name = match[2] or match[3]
            self.recipes.setdefault(name if "::" in name else f"{name}::default", where)

    def _role(self, name: str, where: str, inside: tuple[str, ...]) -> None:
        if name in inside:
            way = " → ".join([*inside, name])
            self.found.wrong(f"the role {name} stands in itself", where, way, "remove it from this run-list")
            return
        path = self.library.find("roles", f"{name}.json")
        if path is None:
            ruby = self.library.find("roles", f"{name}.rb")
            fix = self.library.suggestion("roles", name) if ruby is None else "write it as JSON"
            why = f"{ruby} is Ruby; roles are JSON here" if ruby else ""
            self.found.wrong(f"there is no role {name!r}", where, why, fix)
            return
        text = self.found.read(f"roles/{name}.json", path)
        data = parse(text, path, self.found) if text is not None else None
        if isinstance(data, dict):
            self._read(name, path, text or "", data, inside)
        elif data is not None or text is None:
            self.found.wrong(
                f"the role {name} is not a JSON object", f"{path}:1", fix="write an object with a run_list"
            )

    def _read(self, name: str, path: Path, text: str, data: dict[str, Any], inside: tuple[str, ...]) -> None:
        for key in sorted(set(data) - _KEYS):
            place = f"{path}:{line(text, json.dumps(key))}"
            self.found.wrong(
                f"the key {key!r} of a role is not known", place, fix=f"one of: {', '.join(sorted(_KEYS))}"
            )
        if data.get("name") != name:
            place = f"{path}:{line(text, NAME)}"
            self.found.wrong(
                f"the role says that its name is {data.get('name')!r}", place, fix=f'write: "name": "{name}"'
            )
        for key in ("default_attributes", "override_attributes"):
            values = data.get(key, {})
            if not isinstance(values, dict) or not isinstance(values.get("infra", {}), dict):
                place = f"{path}:{line(text, json.dumps(key))}"
                self.found.wrong(f"{key} of a role, and infra in it, is a mapping", place, fix="write keys and values")
                return
        items = data.get("run_list", [])
        if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
            place = f"{path}:{line(text, RUN_LIST)}"
            self.found.wrong("the run_list of a role is a list of texts", place, fix='such as: ["recipe[base]"]')
            return
        self.attributes[name] = {
            key: data[key] for key in ("default_attributes", "override_attributes") if data.get(key)
        }
        for item in items:
            self.add(item, f"{path}:{line(text, json.dumps(item))}", (*inside, name))
