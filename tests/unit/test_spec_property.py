"""Bad input, by the thousand: never a traceback, exit code 0 or 1, nothing written, and every problem says where.

Mutations of the labs' texts and trees, generated trees, and bytes of no meaning. 1,000 examples when ``CI`` is set.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from infra.cli.main import run
from infra.spec.models import Cluster
from infra.spec.shape import homes

LABS = [path.read_text() for path in sorted((Path(__file__).parents[1] / "labs").glob("*.yaml"))]
TREES = [yaml.safe_load(text) for text in LABS]
EXAMPLES = 1000 if os.environ.get("CI") else 120

# A third for each kind of input; together they are the examples above.
SETTINGS = settings(
    max_examples=EXAMPLES // 4,
    deadline=None,
    derandomize=bool(os.environ.get("CI")),
    phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)

JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-2, 70_000),
    st.floats(),
    st.text(max_size=12),
    st.sampled_from(
        [
            "",
            "spot",
            "10.0.0.0/8",
            "0.0.0.0/0",
            "255.255.255.255/32",
            "us-east-1",
            "p5.48xlarge",
            "t3.micro",
            "/",
            "/home/../etc",
            "titan-[01-9999]",
            "x-[1-99][1-99][1-99]",
            "cr-0123456789abcdef0",
            "ssh-rsa AAAA",
            "ssh-ed25519 = x",
            "9" * 4500,
            "1.2.3.4",
            "gpu",
            "cpu",
            "{",
            "a" * 300,
            "\u202e\U0001f600",
            [],
            {},
            [[]],
            {"": {}},
            {"s3": {"bucket": "a.b.c"}},
            {"spot": True, "reservation": "cr-01234567"},
        ]
    ),
)
KEYS = st.one_of(st.sampled_from(sorted(homes())), st.text(max_size=8), st.sampled_from(["gpu", "cpu", "us-east-1"]))
VALUES = st.recursive(
    JUNK, lambda item: st.lists(item, max_size=4) | st.dictionaries(KEYS, item, max_size=4), max_leaves=8
)


def paths(tree: Any, start: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a tree, the deepest last."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    found = [start] if start else []
    for key, item in items:
        found += paths(item, (*start, key))
    return found


def changed(tree: Any, path: tuple[Any, ...], key: Any, value: Any, kind: str) -> Any:
    """A copy of the tree in which one place is replaced, removed, renamed, or doubled."""
    tree = json.loads(json.dumps(tree))
    holder = tree
    for part in path[:-1]:
        holder = holder[part]
    last = path[-1]
    if kind == "replace":
        holder[last] = value
    elif kind == "remove":
        del holder[last]
    elif isinstance(holder, dict):
        item = holder[last] if kind == "double" else holder.pop(last)
        holder[key] = item
    else:
        holder.append(holder[last] if kind == "double" else value)
    return tree


@st.composite
def mutated_tree(draw: st.DrawFn) -> bytes:
    tree = draw(st.sampled_from(TREES))
    for _ in range(draw(st.integers(1, 4))):
        places = paths(tree)
        if not places:
            break
        kind = draw(st.sampled_from(["replace", "replace", "remove", "rename", "double"]))
        tree = changed(tree, draw(st.sampled_from(places)), draw(KEYS), draw(VALUES), kind)
    return yaml.safe_dump(tree, sort_keys=False, allow_unicode=True).encode("utf-8", "surrogatepass")


@st.composite
def mutated_text(draw: st.DrawFn) -> bytes:
    lines = draw(st.sampled_from(LABS)).splitlines(keepends=True)
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, len(lines) - 1))
        line = lines[place]
        spot = draw(st.integers(0, len(line)))
        lines[place] = draw(
            st.sampled_from(
                [
                    "",
                    line + line,
                    "  " + line,
                    line.lstrip(),
                    "\t" + line,
                    line[:spot],
                    line[:spot] + draw(st.sampled_from(list("{}[]:,\"'#&*!|>%@`-?~\n\0"))) + line[spot:],
                    line.replace(":", "", 1),
                    line.replace(": ", ": &a ", 1),
                    line.replace(": ", ": *a #", 1),
                    "---\n" + line,
                    line.replace("1", draw(st.sampled_from(["999999999999", "-1", "1e9", "0x", "''"])), 1),
                ]
            )
        )
    return "".join(lines).encode()


def told(raw: bytes, folder: Path) -> int:
    """Run ``validate`` and ``graph`` on these bytes; check what every answer must be like."""
    path = folder / "cluster.yaml"
    path.write_bytes(raw)
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
        code = run(["validate", "-f", str(path), "--json"])
        drawn = run(["graph", "-f", str(path), "-o", str(folder / "cluster.svg"), "--endpoint", "local"])
    answer, _, _ = out.getvalue().partition("\n}\n")
    data = json.loads(answer + "\n}")
    assert code in (0, 1)
    assert (code == 0) == data["ok"] == (data["errors"] == 0)
    for problem in data["problems"]:
        assert problem["where"].startswith(f"{path}:") and problem["where"].rpartition(":")[2].isdigit(), problem
        assert problem["what"] and problem["fix"] and problem["rule"], problem
        assert len(problem["what"]) < 400, problem
        assert "Input should" not in problem["why"], problem
    assert path.read_bytes() == raw
    assert {item.name for item in folder.iterdir()} == {"cluster.yaml"} | ({"cluster.svg"} if drawn == 0 else set())
    (folder / "cluster.svg").unlink(missing_ok=True)
    return code


@SETTINGS
@given(mutated_tree())
def test_changed_trees(tmp_path: Path, raw: bytes) -> None:
    told(raw, tmp_path)


@SETTINGS
@given(mutated_text())
def test_changed_texts(tmp_path: Path, raw: bytes) -> None:
    told(raw, tmp_path)


@SETTINGS
@given(st.dictionaries(st.sampled_from(sorted(Cluster.model_fields)), VALUES, max_size=6))
def test_made_up_trees(tmp_path: Path, tree: dict[str, Any]) -> None:
    head = {"version": 1, "cluster": "lab"}
    told(yaml.safe_dump({**head, **tree}, allow_unicode=True).encode("utf-8", "surrogatepass"), tmp_path)


@SETTINGS
@given(
    st.one_of(st.binary(max_size=200), st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")))
)
def test_bytes_of_no_meaning(tmp_path: Path, raw: bytes) -> None:
    assert told(raw, tmp_path) == 1


@pytest.mark.parametrize("text", LABS)
def test_the_labs_themselves(text: str, tmp_path: Path) -> None:
    assert told(text.encode(), tmp_path) == 0
