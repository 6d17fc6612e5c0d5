"""What changed between two policies: versions, run-list, attributes, cookbooks and their files.

Read from the archives alone, so that one of them may be a year old.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from infra import files
from infra.errors import PolicyError
from infra.policy import tar
from infra.policy.model import Policy

State = Literal["added", "removed", "changed"]
# Made from the rest: what moves in them is told in other words.
DERIVED = ("node.json", "policy.json", "smoke.conf")


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two: ``name`` as it was asked for."""

    name: str
    digest: str
    profile: str
    run_list: tuple[str, ...]
    recipes: tuple[str, ...]
    versions: Mapping[str, str]
    layers: Mapping[str, str]
    attributes: Mapping[str, Any]
    contents: Mapping[str, bytes]

    def data(self) -> dict[str, str]:
        return {"name": self.name, "digest": self.digest, "profile": self.profile}


@dataclass(frozen=True, slots=True)
class Move:
    """A value that is another; ``old`` or ``new`` is None where there is none. Lists and the like are JSON."""

    key: str
    old: str | None
    new: str | None

    def data(self) -> dict[str, str | None]:
        return {"key": self.key, "old": self.old, "new": self.new}

    def text(self) -> str:
        """``nvidia.driver 575 → 580``."""
        return f"{self.key} {'none' if self.old is None else self.old} → {'none' if self.new is None else self.new}"


@dataclass(frozen=True, slots=True)
class FileMove:
    """A file that is another: lines that came and went, 0 for one that is no text. ``patch`` is a unified diff."""

    path: str
    state: State
    added: int = 0
    removed: int = 0
    patch: str = ""

    def data(self) -> dict[str, str | int]:
        return {
            "path": self.path,
            "state": self.state,
            "added": self.added,
            "removed": self.removed,
            "patch": self.patch,
        }


@dataclass(frozen=True, slots=True)
class CookbookMove:
    """A cookbook with its changed files; of one that came or went as a whole, all of them."""

    name: str
    state: State
    files: tuple[FileMove, ...]

    def data(self) -> dict[str, Any]:
        return {"name": self.name, "state": self.state, "files": [file.data() for file in self.files]}


@dataclass(frozen=True, slots=True)
class Difference:
    """``layers`` are the names of those that are not the same; ``others`` are files that are in no cookbook."""

    old: Side
    new: Side
    layers: tuple[str, ...]
    versions: tuple[Move, ...]
    run_list: tuple[Move, ...]
    recipes: tuple[Move, ...]
    attributes: tuple[Move, ...]
    cookbooks: tuple[CookbookMove, ...]
    others: tuple[FileMove, ...]

    @property
    def same(self) -> bool:
        return self.old.digest == self.new.digest

    def data(self) -> dict[str, Any]:
        lists = ("versions", "run_list", "recipes", "attributes", "cookbooks", "others")
        return {
            "format": 1,
            "same": self.same,
            "old": self.old.data(),
            "new": self.new.data(),
            "layers": list(self.layers),
            **{name: [item.data() for item in getattr(self, name)] for name in lists},
        }


def side(name: str, archive: bytes) -> Side:
    """One side from its archive. Raises PolicyError when that is none."""
    contents = tar.unpack(archive, name)
    try:
        about, node = json.loads(contents["policy.json"]), json.loads(contents["node.json"])
        return Side(
            name=name,
            digest=files.digest(archive),
            profile=str(about["profile"]),
            run_list=tuple(about["run_list"]),
            recipes=tuple(about["recipes"]),
            versions=dict(about["versions"]),
            layers=dict(sorted(about["layers"].items(), key=lambda item: item[0] != "system")),
            attributes={key: value for key, value in node.items() if key != "run_list"},
            contents=contents,
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise PolicyError(
            f"{name} is not the archive of a policy",
            where=name,
            why="its policy.json or node.json is missing or damaged",
            fix="remove the file; it is written again when it is needed",
        ) from error


def compare(old: Side, new: Side, *, patches: bool = False) -> Difference:
    """What moved from ``old`` to ``new``; with ``patches`` the changed lines of every file that is a text."""
    layers = [*old.layers, *(name for name in new.layers if name not in old.layers)]
    return Difference(
        old=old,
        new=new,
        layers=tuple(name for name in layers if old.layers.get(name) != new.layers.get(name)),
        versions=moves(old.versions, new.versions),
        run_list=_items(old.run_list, new.run_list),
        recipes=_items(old.recipes, new.recipes),
        attributes=moves(flat(old.attributes), flat(new.attributes)),
        cookbooks=tuple(_cookbooks(old.contents, new.contents, patches)),
        others=tuple(_files(old.contents, new.contents, "", patches)),
    )


def between(old: Policy, new: Policy) -> Difference:
    """The same of two policies that are at hand."""
    return compare(side(old.profile, old.archive()), side(new.profile, new.archive()))


def moves(old: Mapping[str, str], new: Mapping[str, str]) -> tuple[Move, ...]:
    """Keys whose values differ, in the order of the newer; ``versions`` of two policies give the reasons of a bake."""
    keys = [*new, *(key for key in old if key not in new)]
    return tuple(Move(key, old.get(key), new.get(key)) for key in keys if old.get(key) != new.get(key))


def flat(value: Mapping[str, Any], above: str = "") -> dict[str, str]:
    """``{"infra": {"os": "x"}}`` → ``{"infra.os": "x"}``; lists and empty mappings stay whole, as JSON."""
    found: dict[str, str] = {}
    for key, item in sorted(value.items()):
        name = f"{above}{key}"
        if isinstance(item, dict) and item:
            found |= flat(item, f"{name}.")
        else:
            found[name] = item if isinstance(item, str) else json.dumps(item, ensure_ascii=False, sort_keys=True)
    return found


def _items(old: tuple[str, ...], new: tuple[str, ...]) -> tuple[Move, ...]:
    """Items that came and went; when only their order moved, both orders as one."""
    if old == new:
        return ()
    went = [Move(item, item, None) for item in old if item not in new]
    came = [Move(item, None, item) for item in new if item not in old]
    return (*went, *came) or (Move("order", ", ".join(old), ", ".join(new)),)


def _other(path: str) -> bool:
    return not path.startswith("cookbooks/") and path not in DERIVED


def _cookbooks(old: Mapping[str, bytes], new: Mapping[str, bytes], patches: bool) -> Iterable[CookbookMove]:
    before, after = _names(old), _names(new)
    for name in sorted(before | after):
        inside = f"cookbooks/{name}/"
        found = [replace(file, path=file.path.removeprefix(inside)) for file in _files(old, new, inside, patches)]
        if found:
            state: State = "changed" if name in before and name in after else "added" if name in after else "removed"
            yield CookbookMove(name, state, tuple(found))


def _names(contents: Mapping[str, bytes]) -> set[str]:
    return {path.split("/")[1] for path in contents if path.startswith("cookbooks/")}


def _files(old: Mapping[str, bytes], new: Mapping[str, bytes], inside: str, patches: bool) -> list[FileMove]:
    """Files below a folder that are others; with "" those that are in no cookbook."""
    paths = sorted(path for path in {*old, *new} if old.get(path) != new.get(path))
    wanted = [path for path in paths if (path.startswith(inside) if inside else _other(path))]
    return [_file(path, old.get(path), new.get(path), patches) for path in wanted]


def _file(path: str, old: bytes | None, new: bytes | None, patches: bool) -> FileMove:
    state: State = "added" if old is None else "removed" if new is None else "changed"
    before, after = _lines(old), _lines(new)
    if before is None or after is None:
        return FileMove(path, state)
    lines = list(difflib.unified_diff(before, after, f"old/{path}", f"new/{path}", lineterm=""))
    added = sum(line.startswith("+") for line in lines[2:])
    removed = sum(line.startswith("-") for line in lines[2:])
    return FileMove(path, state, added, removed, "\n".join(lines) + "\n" if patches and lines else "")


def _lines(raw: bytes | None) -> list[str] | None:
    """The lines of a text; None for what is no text."""
    try:
        return (raw or b"").decode().splitlines()
    except UnicodeDecodeError:
        return None
