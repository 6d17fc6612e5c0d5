"""What a user reads: golden files of whole bad specs, and short texts that are not YAML at all.

``INFRA_GOLDEN=write pytest tests/unit/test_spec_messages.py`` writes the golden files anew.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest

from infra.errors import Problem, SpecError
from infra.spec.load import load
from infra.spec.rules import check
from infra.spec.scalars import WORDS
from infra.spec.schema import schema

GOLDEN = Path(__file__).parent / "golden" / "spec"
JARGON = re.compile(r"Input should|valid dictionary|instance of|Value error|type=|pydantic|None|\^\[|\*\*")


def findings(path: Path) -> list[Problem]:
    try:
        return check(load(path))
    except SpecError as error:
        return list(error.problems)


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.yaml")), ids=lambda path: path.stem)
def test_golden(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(GOLDEN)
    text = "\n".join(problem.text() for problem in findings(Path(path.name))) + "\n"
    golden = path.with_suffix(".txt")
    if os.environ.get("INFRA_GOLDEN") == "write":
        golden.write_text(text)
    assert text == golden.read_text()


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_message_is_whole(path: Path) -> None:
    for problem in findings(path):
        assert re.fullmatch(rf"{re.escape(str(path))}:[0-9]+", problem.where)
        assert problem.what and problem.fix, problem
        assert not JARGON.search(problem.what + problem.why + problem.fix), problem
        assert "PRIVATE KEY" not in problem.what


def test_every_pattern_has_words() -> None:
    def patterns(node: Any) -> set[str]:
        if isinstance(node, dict):
            found = {node["pattern"]} if isinstance(node.get("pattern"), str) else set()
            return found.union(*(patterns(item) for item in node.values())) if node else found
        return set().union(*map(patterns, node)) if isinstance(node, list) else set()

    ours = {pattern for pattern in patterns(schema()) if "GgTt" not in pattern}
    assert ours <= set(WORDS)


BROKEN = {
    "empty": (b"", 1, "is empty"),
    "only a comment": (b"# nothing\n", 1, "is empty"),
    "nothing": (b"~\n", 1, "is empty"),
    "a list": (b"\n- a\n- b\n", 2, "holds a list"),
    "a text": (b"hello\n", 1, "holds the text"),
    "a tab": (b"version: 1\naws:\n\tregions: []\n", 3, "not valid YAML"),
    "an open bracket": (b"version: 1\naws: {regions: [a, b\n", 2, "not valid YAML"),
    "an open quote": (b"version: 1\ncluster: 'abc\n", 2, "not valid YAML"),
    "bad indentation": (b"version: 1\naws:\n    a: 1\n  b: 2\n", 4, "not valid YAML"),
    "no space": (b"version: 1\naws: {a:, b: c}\n", 2, "not valid YAML"),
    "an empty key": (b'version: 1\ncluster: ab\n"": b\n', 3, "not a text"),
    "two colons": (b"version: 1\ncluster: a: b\n", 2, "not valid YAML"),
    "at sign": (b"version: 1\ncluster: @a\n", 2, "not valid YAML"),
    "two documents": (b"version: 1\n---\nversion: 1\n", 2, "a second document"),
    "latin-1": (b"version: 1\ncluster: caf\xe9\n", 2, "is not UTF-8"),
    "utf-16": ("version: 1\n".encode("utf-16"), 1, "is not UTF-8"),
    "binary": (b"\x7fELF\x02\x01\x01\x00\x00", 1, "control character"),
    "a bell": (b"version: 1\ncluster: \x07\n", 2, "control character"),
    "unknown alias": (b"version: 1\ncluster: *name\n", 2, "names nothing"),
    "alias of itself": (b"version: 1\naws: &a {regions: *a}\n", 2, "stands inside of"),
    "deep": (b"version: 1\naws: " + b"[" * 1000 + b"]" * 1000, 2, "levels deep"),
    "deep and open": (b"a: " + b"{a: " * 100_000, 1, "levels deep"),
    "a list as key": (b"version: 1\n? [a, b]\n: c\n", 2, "a key is a list"),
    "a tag": (b"version: 1\ncluster: !!python/object:os.system x\n", 2, "the tag"),
    "a key twice": (b"version: 1\ncluster: a\ncluster: b\n", 3, "given twice"),
    "a number as key": (b"version: 1\ncluster: ab\n5: b\n", 3, "not a text"),
    "merge of a text": (b"version: 1\ncluster: ab\naws:\n  <<: b\n  regions: [us-west-2]\n", 4, "<<"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_not_even_yaml(name: str, tmp_path: Path) -> None:
    raw, line, words = BROKEN[name]
    path = tmp_path / "cluster.yaml"
    path.write_bytes(raw)
    with pytest.raises(SpecError) as caught:
        load(path)
    problem = next(problem for problem in caught.value.problems if words in problem.what)
    assert problem.where == f"{path}:{line}"
    assert problem.fix


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="there is no file") as caught:
        load(tmp_path / "cluster.yaml")
    assert "infra init" in caught.value.problems[0].fix


def test_a_folder(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="is a folder"):
        load(tmp_path)


def test_a_huge_file(tmp_path: Path) -> None:
    path = tmp_path / "cluster.yaml"
    path.write_bytes(b"# " + b"x" * 10_000_000)
    with pytest.raises(SpecError, match="larger than 4 MB"):
        load(path)


def test_an_alias_bomb(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 30)]
    path = tmp_path / "cluster.yaml"
    path.write_text("\n".join(lines))
    with pytest.raises(SpecError, match="more than 400000 values"):
        load(path)


def test_deep_by_aliases(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x]"] + [f"a{n}: &a{n} [[[[*a{n - 1}]]]]" for n in range(1, 400)]
    path = tmp_path / "cluster.yaml"
    path.write_text("\n".join(lines))
    with pytest.raises(SpecError, match="levels deep"):
        load(path)


def test_very_many_problems_of_form(tmp_path: Path) -> None:
    path = tmp_path / "cluster.yaml"
    path.write_text("version: 1\ncluster: lab\nmetal: {a: {profile: b, hosts: ['BOX-[1-9999]']}}\n")
    found = findings(path)
    assert len(found) == 201
    assert "9799 more problems" in "".join(problem.what for problem in found)
