"""One cookbook: its files, what it depends on, the recipes it has; checked as far as plain Python can."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.policy.library import FOLDERS, TOP, Found, Library, files_in, line

NAME = '"name"'
_CALL = re.compile(r"""^\s*(name|depends|version)[\s(]+(['"])([^'"]+)\2""", re.MULTILINE)
_INCLUDE = re.compile(r"""^\s*include_recipe[\s(]+(['"])([^'"#]+)\1""", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Cookbook:
    """``depends`` is name -> where that is written; ``recipes`` are names without the cookbook's."""

    name: str
    folder: Path
    depends: dict[str, str]
    recipes: tuple[str, ...]
    includes: dict[str, str]  # cookbook::recipe -> where


def load(name: str, library: Library, found: Found) -> Cookbook | None:
    """Take a cookbook in, all of it that Chef loads. None when there is none of that name."""
    folder = library.find("cookbooks", name)
    if folder is None or not folder.is_dir():
        return None
    texts: dict[str, str] = {}
    for path in _files(folder, found):
        inner = path.relative_to(folder).as_posix()
        text = found.read(f"cookbooks/{name}/{inner}", path)
        if text is not None:
            texts[inner] = text
        elif path.suffix in (".rb", ".json", ".erb") and f"cookbooks/{name}/{inner}" in found.files:
            found.wrong(f"{path.name} is not UTF-8 text", str(path), fix="save the file as UTF-8")
    depends = _metadata(name, folder, texts, found)
    _json_files(folder, texts, found)
    return Cookbook(name, folder, depends, _recipes(texts), _includes(name, folder, texts))


def _files(folder: Path, found: Found) -> list[Path]:
    paths = [folder / name for name in TOP if (folder / name).is_file()]
    for name in FOLDERS:
        if (folder / name).is_dir():
            paths += files_in(folder / name, found.problems)
    return paths


def _recipes(texts: dict[str, str]) -> tuple[str, ...]:
    names = {re.sub(r"\.(rb|ya?ml|json)$", "", path[8:]) for path in texts if path.startswith("recipes/")}
    return tuple(sorted(names | ({"default"} if "recipe.rb" in texts else set())))


def _includes(name: str, folder: Path, texts: dict[str, str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for path, text in texts.items():
        if path.endswith(".rb"):
            for match in _INCLUDE.finditer(text):
                target = match[2] if not match[2].startswith("::") else name + match[2]
                number = text.count("\n", 0, match.start(2)) + 1
                found.setdefault(target if "::" in target else f"{target}::default", f"{folder / path}:{number}")
    return found


def _metadata(name: str, folder: Path, texts: dict[str, str], found: Found) -> dict[str, str]:
    """What it depends on -> where that stands."""
    if "metadata.rb" in texts:
        text, path = texts["metadata.rb"], folder / "metadata.rb"
        calls = [(m[1], m[3], f"{path}:{text.count(chr(10), 0, m.start(3)) + 1}") for m in _CALL.finditer(text)]
    elif "metadata.json" in texts:
        path = folder / "metadata.json"
        calls = _compiled(texts["metadata.json"], path, found)
    else:
        found.wrong(
            f"the cookbook {name} has no metadata.rb",
            str(folder / "metadata.rb"),
            "Chef does not load a cookbook without it",
            f"write it: name '{name}' and version '1.0.0'",
        )
        return {}
    names = [(value, where) for key, value, where in calls if key == "name"]
    if not names:
        found.wrong(f"the cookbook {name} does not say its name", f"{path}:1", fix=f"add: name '{name}'")
    for value, where in names:
        if value != name:
            why = f"the folder's name is {name}"
            found.wrong(f"the cookbook says that its name is {value!r}", where, why, f"write: name '{name}'")
    return {value: where for key, value, where in calls if key == "depends"}


def _compiled(text: str, path: Path, found: Found) -> list[tuple[str, str, str]]:
    data = parse(text, path, found)
    if not isinstance(data, dict):
        return []
    depends = data.get("dependencies")
    calls = [("name", str(data["name"]), f"{path}:{line(text, NAME)}")] if "name" in data else []
    keys = depends if isinstance(depends, dict) else {}
    return calls + [("depends", str(key), f"{path}:{line(text, json.dumps(key))}") for key in keys]


def _json_files(folder: Path, texts: dict[str, str], found: Found) -> None:
    for path, text in texts.items():
        if path.endswith(".json") and path != "metadata.json":
            parse(text, folder / path, found)


def parse(text: str, path: Path, found: Found) -> Any:
    """The value of a JSON text; a mistake in it is a problem, and gives None."""
    try:
        return json.loads(text)
    except ValueError as error:
        number = getattr(error, "lineno", 1)
        found.wrong(
            f"{path.name} is not valid JSON", f"{path}:{number}", getattr(error, "msg", str(error)), "correct this line"
        )
        return None
