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

MAX_BYTES = 4_000_000
MAX_DEPTH = 50
MAX_VALUES = 400_000  # counted with every alias written out

_TAG = "tag:yaml.org,2002:"
_NULL = {"", "~", "null", "Null", "NULL"}
_BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INT = re.compile(r"[-+]?[0-9]{1,18}")
_BASED = re.compile(r"0(o[0-7]{1,18}|x[0-9a-fA-F]{1,15})")
_FLOAT = re.compile(r"[-+]?(?=.{1,40}$)((\.[0-9]+|[0-9]+\.[0-9]*)([eE][-+]?[0-9]{1,2})?|[0-9]+[eE][-+]?[0-9]{1,2})")
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x80-\x84\x86-\x9f\ufffe\uffff]")


class Whole(int):
    """An int whose text is the one in the file: an account 012345678901 keeps its zero."""

    source: str

    def __str__(self) -> str:
        return self.source


class Real(float):
    """A float whose text is the one in the file: a version 1.30 stays 1.30."""

    source: str

    def __str__(self) -> str:
        return self.source


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
        raise _syntax(error, text, path) from error
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


def _syntax(error: yaml.YAMLError, text: str, path: Path) -> SpecError:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    lines = text.split("\n")
    index = min(mark.line, len(lines) - 1) if mark else 0
    problem = getattr(error, "problem", None) or str(error)
    began = getattr(error, "context_mark", None)
    if began and not "".join(lines[index:]).strip():
        index, began = began.line, None  # what is not closed is only noticed at the end
    why, fix = _explain_syntax(problem, lines[index])
    above = next((place for place in range(index - 1, -1, -1) if lines[place].strip()), index)
    if "mapping values are not allowed" in problem and (found := _explain_above(lines[above])):
        index, began, (why, fix) = above, None, found
    shown = lines[index].strip()[:60]
    if began and mark and began.line != mark.line:
        why += f" (in what began in line {began.line + 1})"
    return SpecError(f"not valid YAML near {shown!r}", where=f"{path}:{index + 1}", why=why, fix=fix)


def _explain_above(line: str) -> tuple[str, str] | None:
    """What makes a line run into the next one, so that the parser only stumbles there."""
    if line.lstrip(" ")[:1].isspace():
        return "the line is indented with a tab, or with what only looks like a space", "indent with spaces"
    if found := re.fullmatch(r"\s*(?:- )?([\w-]+):([^\s:/]\S*)", line):
        return "there is no space after the ':'", f"write: {found[1]}: {found[2]}"
    return None


def _explain_syntax(problem: str, line: str) -> tuple[str, str]:
    if "\t" in line[: len(line) - len(line.lstrip())]:
        return "the line is indented with a tab", "indent with spaces"
    if "cannot start any token" in problem:
        return (
            "a plain text cannot begin with @, `, % or a tab",
            "put the text in quotes, and indent with spaces",
        )
    if "found unexpected ':'" in problem:
        return "between { and }, a key's ':' is followed by a space", "put a space after the ':'"
    if "mapping values are not allowed" in problem:
        return "there is a second ': ' where none can be", "put a text that holds ': ' in quotes; check the indentation"
    if "quoted scalar" in problem or "unexpected end of stream" in problem:
        return "a quote is opened and never closed", "close the quote"
    if "',' or" in problem:
        return "a [ or { is opened and not closed, or a comma is missing", "close the bracket, or add the comma"
    if "did not find expected key" in problem or "'-' indicator" in problem:
        return "the indentation does not fit the lines above", "line up the keys of one level"
    return problem, "correct the line"


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


def core_value(text: str) -> Any:
    """What a plain scalar means in YAML 1.2's core schema; numbers too large for it, .inf and .nan stay texts."""
    if text in _NULL:
        return None
    if text in _BOOL:
        return _BOOL[text]
    if _INT.fullmatch(text):
        whole = Whole(text)
        whole.source = text
        return whole
    if _BASED.fullmatch(text):
        whole = Whole(text, 0)
        whole.source = text
        return whole
    if _FLOAT.fullmatch(text):
        real = Real(text)
        real.source = text
        return real
    return text
