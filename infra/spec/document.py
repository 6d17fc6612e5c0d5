"""YAML text → plain values, and where each of them stands in the file.

Only the scalars of YAML 1.2's core schema mean anything but text: ``no``, ``on``, ``22:30`` and ``2024-01-01`` are
texts, and a number keeps the way it was written, so that the version ``1.30`` is not ``1.3``. The text is read as a
stream of events: depth, size and aliases are limited while reading, and nothing recurses.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from infra.errors import Problem, SpecError
from infra.spec.core_schema import core_value
from infra.spec.syntax import syntax_error

MAX_BYTES = 4_000_000
MAX_DEPTH = 50
MAX_VALUES = 400_000  # counted with every alias written out

_TAG = "tag:yaml.org,2002:"
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x80-\x84\x86-\x9f\ufffe\uffff]")


@dataclass(slots=True)
class Spot:
    """Where a value begins (line, from 1), and where the values in it do: key or index -> (line, spot)."""

    line: int
    items: dict[str | int, tuple[int, Spot]] = field(default_factory=dict)
    size: int = 1
    height: int = 0  # levels of brackets in it

    def find(self, loc: tuple[str | int, ...]) -> int:
        """The line of the value at ``loc``, or of the nearest one around it."""
        line, spot = self.line, self
        for part in loc:
            entry = spot.items.get(part)
            if entry is None:
                break
            line, spot = entry
        return line


@dataclass(frozen=True)
class Document:
    """One file: its text, its top mapping, and the problems that did not keep us from reading on."""

    path: Path
    text: str
    tree: dict[str, Any]
    spot: Spot
    problems: tuple[Problem, ...] = ()

    def where(self, *loc: str | int) -> str:
        """``cluster.yaml:17`` for a path in the document."""
        return f"{self.path}:{self.spot.find(loc)}"


def read_document(path: Path) -> Document:
    """The document in a file. Raises SpecError with ``file:line`` when it is not one YAML mapping of sane size."""
    return parse_document(_bytes(path), path)


def _bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise SpecError(
            f"there is no file {path}",
            where=str(path),
            fix="write one with: infra init    (or name another: -f FILE)",
        ) from error
    except IsADirectoryError as error:
        raise SpecError(
            f"{path} is a folder",
            where=str(path),
            why="a file is expected",
            fix=f"did you mean: -f {path}/cluster.yaml",
        ) from error
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise SpecError(
            f"cannot read {path}", where=str(path), why=why, fix="check the path and its permissions"
        ) from error
    if len(raw) > MAX_BYTES:
        raise SpecError(
            f"{path} is larger than {MAX_BYTES // 1_000_000} MB",
            where=str(path),
            why="a cluster's description is a few kilobytes",
            fix="check that this is the right file",
        )
    return raw


def parse_document(raw: bytes, path: Path) -> Document:
    """The document in these bytes; ``path`` is only for messages. Raises SpecError."""
    text = _decode(raw, path)
    builder = _Builder(path)
    try:
        for event in _events(text):
            builder.take(event)
    except yaml.YAMLError as error:
        raise syntax_error(error, text, path) from error
    return builder.document(text)


def _decode(raw: bytes, path: Path) -> str:
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise SpecError(
            f"{path} is not UTF-8 text",
            where=f"{path}:{line}",
            why=f"byte 0x{raw[error.start]:02x} at position {error.start}",
            fix="save the file as UTF-8",
        ) from error
    control = _CONTROL.search(text)
    if control:
        raise SpecError(
            f"{path} holds the control character 0x{ord(control[0]):02x}",
            where=f"{path}:{text.count(chr(10), 0, control.start()) + 1}",
            why="YAML is plain text",
            fix="remove the character, or check that this is the right file",
        )
    return text


def _events(text: str) -> Iterator[Any]:
    # libyaml's parser is some 15 times faster; wheels of PyYAML have it, some distributions' builds do not.
    loader: Any = yaml.CBaseLoader if yaml.__with_libyaml__ else yaml.BaseLoader
    events: Iterator[Any] = yaml.parse(text, Loader=loader)
    return events


@dataclass(slots=True)
class _Frame:
    """A mapping or list that is being read."""

    value: dict[str, Any] | list[Any]
    spot: Spot
    anchor: str | None
    key: str | None = None  # of the value that comes next
    key_line: int = 0
    merges: list[tuple[Any, Spot, int]] = field(default_factory=list)


class _Builder:
    """Takes the events of one file in order and grows values and spots side by side."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.problems: list[Problem] = []
        self.stack: list[_Frame] = []
        self.anchors: dict[str, tuple[Any, Spot] | None] = {}  # None: still open
        self.top: tuple[Any, Spot] | None = None
        self.documents = 0

    def take(self, event: Any) -> None:
        line = event.start_mark.line + 1
        kind = type(event)
        if kind is yaml.ScalarEvent:
            self._scalar(event, line)
        elif kind is yaml.MappingStartEvent or kind is yaml.SequenceStartEvent:
            self._open(event, line, {} if kind is yaml.MappingStartEvent else [])
        elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
            self._close()
        elif kind is yaml.AliasEvent:
            self._alias(event.anchor, line)
        elif kind is yaml.DocumentStartEvent:
            self.documents += 1
            if self.documents > 1:
                raise self._fatal(line, "a second document begins here", "one file describes one cluster", "remove ---")

    def document(self, text: str) -> Document:
        if self.top is None or self.top[0] in (None, ""):
            raise self._fatal(1, f"{self.path} is empty", "", "write one with: infra init --force")
        tree, spot = self.top
        if not isinstance(tree, dict):
            found = "a list" if isinstance(tree, list) else f"the text {str(tree)[:40]!r}"
            raise self._fatal(
                spot.line,
                f"the file holds {found}",
                "it must hold keys and values, such as: cluster: research",
                "see an example with: infra init -f example.yaml",
            )
        return Document(self.path, text, tree, spot, tuple(self.problems))

    def _fatal(self, line: int, what: str, why: str, fix: str) -> SpecError:
        here = Problem(what, where=f"{self.path}:{line}", why=why, fix=fix, rule="yaml")
        return SpecError(what, problems=[*self.problems, here])

    def _deep(self, line: int) -> SpecError:
        why = "a cluster's description is a few levels deep"
        return self._fatal(line, f"nested more than {MAX_DEPTH} levels deep", why, "remove surplus brackets or aliases")

    def _note(self, line: int, what: str, why: str, fix: str) -> None:
        self.problems.append(Problem(what, where=f"{self.path}:{line}", why=why, fix=fix, rule="yaml"))

    def _open(self, event: Any, line: int, value: dict[str, Any] | list[Any]) -> None:
        if event.tag is not None and event.tag not in (f"{_TAG}map", f"{_TAG}seq"):
            self._tag(event.tag, line)
        self._no_key_here(line)
        if len(self.stack) >= MAX_DEPTH:
            raise self._deep(line)
        if event.anchor:
            self.anchors[event.anchor] = None
        self.stack.append(_Frame(value, Spot(line), event.anchor))

    def _no_key_here(self, line: int) -> None:
        frame = self.stack[-1] if self.stack else None
        if frame and isinstance(frame.value, dict) and frame.key is None:
            raise self._fatal(
                line, "a key is a list or a mapping", "keys are plain texts", "remove the ? or the braces"
            )

    def _close(self) -> None:
        frame = self.stack.pop()
        for merged, spot, line in frame.merges:
            self._merge(frame, merged, spot, line)
        if frame.anchor:
            self.anchors[frame.anchor] = (frame.value, frame.spot)
        self._add(frame.value, frame.spot, frame.spot.line)

    def _alias(self, name: str, line: int) -> None:
        self._no_key_here(line)
        if name not in self.anchors:
            raise self._fatal(line, f"*{name} names nothing", "no &anchor of that name stands above", "define it first")
        found = self.anchors[name]
        if found is None:
            raise self._fatal(line, f"*{name} stands inside of &{name}", "it would contain itself", "remove the alias")
        self._add(*found, line)

    def _scalar(self, event: Any, line: int) -> None:
        value = self._value(event, line)
        frame = self.stack[-1] if self.stack else None
        if frame and isinstance(frame.value, dict) and frame.key is None:
            self._key(frame, event, value, line)
            return
        if event.anchor:
            self.anchors[event.anchor] = (value, Spot(line))
        self._add(value, Spot(line), line)

    def _key(self, frame: _Frame, event: Any, value: Any, line: int) -> None:
        name = event.value
        if not isinstance(value, str) or not name:
            self._note(line, f"the key {name or '(nothing)'} is not a text", "keys are texts", _quoted(name))
            name = ""
        elif name in frame.spot.items:
            first = frame.spot.items[name][0]
            self._note(
                line,
                f"the key {name[:60]!r} is given twice",
                f"it already stands in line {first}; one of them would be lost",
                "remove or rename one",
            )
        frame.key, frame.key_line = name, line

    def _add(self, value: Any, spot: Spot, line: int) -> None:
        if not self.stack:
            self.top = (value, spot)
            return
        frame = self.stack[-1]
        frame.spot.size += spot.size
        frame.spot.height = max(frame.spot.height, spot.height + 1)
        if len(self.stack) + spot.height > MAX_DEPTH:
            raise self._deep(line)
        if frame.spot.size > MAX_VALUES:
            raise self._fatal(
                line,
                f"more than {MAX_VALUES} values",
                "aliases count as what they stand for",
                "write the values out, or split the cluster",
            )
        if isinstance(frame.value, list):
            frame.spot.items[len(frame.value)] = (line, spot)
            frame.value.append(value)
            return
        key, frame.key = frame.key, None
        if not key:
            return  # one that is not a text; noted
        if key == "<<":
            frame.merges.append((value, spot, frame.key_line))
        else:
            frame.value[key] = value
            frame.spot.items[key] = (frame.key_line, spot)

    def _merge(self, frame: _Frame, value: Any, spot: Spot, line: int) -> None:
        """``<<: *other``: keys of the other mapping that are not written here."""
        assert isinstance(frame.value, dict)
        sources = [(value, spot)]
        if isinstance(value, list):
            sources = [(item, spot.items[index][1]) for index, item in enumerate(value)]
        for source, places in sources:
            if not isinstance(source, dict):
                self._note(line, "<< is not followed by a mapping", "<< takes the keys of another mapping", "remove it")
                continue
            for key, item in source.items():
                if key not in frame.value:
                    frame.value[key] = item
                    frame.spot.items[key] = (line, places.items[key][1])

    def _tag(self, tag: str, line: int) -> None:
        self._note(line, f"the tag {tag[:60]} has no meaning here", "values are plain YAML", "remove the tag")

    def _value(self, event: Any, line: int) -> Any:
        if event.tag is not None and event.tag != "!":
            name = event.tag.removeprefix(_TAG)
            if name in ("null", "bool", "int", "float"):
                return core_value(event.value)
            if name != "str":
                self._tag(event.tag, line)
            return event.value
        return core_value(event.value) if event.implicit[0] else event.value


def _quoted(name: str) -> str:
    return f'put it in quotes: "{name}"' if name else "give it a name"
