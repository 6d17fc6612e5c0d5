"""docs/json.md says what the commands print: every field is there, has its type, and nothing else is."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from infra.cli.main import COMMANDS, run
from infra.cloud.checkup.check import Check
from infra.cloud.checkup.doctor import data
from infra.cloud.destroy import Left
from infra.cloud.locks import Lock
from infra.errors import SpecError
from infra.plan.model import Leftover
from tests.conftest import LABS
from tests.unit import test_destroy as destroy
from tests.unit import test_drift as drift
from tests.unit import test_log as log
from tests.unit import test_plan_view as plans
from tests.unit import test_status as status

PAGE = (Path(__file__).parents[2] / "docs" / "json.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| `([^`]+)` \| ([^|]+) \|", re.MULTILINE)
HEAD = re.compile(r"^#{2,3} (.+)$", re.MULTILINE)
PLAIN: dict[str, type | tuple[type, ...]] = {
    "text": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
}
# Kinds of objects that the page describes in words, without a table.
IN_WORDS = {"region result", "saved plan", "failure", "facts", "attributes"}


def sections() -> dict[str, dict[str, str]]:
    """Heading -> field -> type."""
    found: dict[str, dict[str, str]] = {}
    marks = [*HEAD.finditer(PAGE)]
    ends = [mark.start() for mark in marks[1:]] + [len(PAGE)]
    for mark, end in zip(marks, ends, strict=True):
        rows = ROW.findall(PAGE[mark.end() : end])
        if rows:
            found[mark[1]] = {name: kind.strip() for name, kind in rows}
    return found


TABLES = sections()


def check(value: Any, kind: str, where: str) -> None:
    """Raise AssertionError unless ``value`` is of that documented type."""
    if kind.endswith("?"):
        if value is not None:
            check(value, kind[:-1], where)
    elif kind.endswith("[]"):
        assert isinstance(value, list), where
        for item in value:
            check(item, kind[:-2], f"{where}[]")
    elif kind.startswith("map of "):
        assert isinstance(value, dict), where
        if kind[7:] not in IN_WORDS:
            for item in value.values():
                check(item, kind[7:], f"{where}.*")
    elif kind in PLAIN:
        assert isinstance(value, PLAIN[kind]), f"{where}: {value!r} is no {kind}"
        assert kind == "boolean" or not isinstance(value, bool), f"{where}: {value!r} is no {kind}"
    elif kind in IN_WORDS or (kind == "record" and "spec_text" not in value and "regions" not in value):
        assert isinstance(value, dict), where
    else:
        table(value, kind, where)


def table(value: Any, name: str, where: str = "", extra: tuple[str, ...] = ()) -> None:
    """Raise AssertionError unless ``value`` has exactly the fields of the table under that heading."""
    rows = TABLES[name]
    level(value, {tuple(field.split(".")): kind for field, kind in rows.items()}, where or name, extra)


def level(value: Any, rows: dict[tuple[str, ...], str], where: str, extra: tuple[str, ...] = ()) -> None:
    assert isinstance(value, dict), where
    wanted = {path[0].removesuffix("[]") for path in rows}
    assert set(value) - set(extra) == wanted, f"{where}: {set(value) ^ wanted}"
    for first in {path[0] for path in rows}:
        inner = {path[1:]: kind for path, kind in rows.items() if path[0] == first}
        given = value[first.removesuffix("[]")]
        if () in inner:
            check(given, inner[()], f"{where}.{first}")
            continue
        for item in given if first.endswith("[]") else [given]:
            level(item, inner, f"{where}.{first}")


def plain(value: Any) -> Any:
    return json.loads(json.dumps(value))


@pytest.mark.parametrize("name", plans.PLANS)
def test_plan(name: str) -> None:
    shown = plans.PLANS[name]
    if shown.regions:
        region = replace(shown.regions[0], leftovers=(Leftover("aws_vpc", "vpc-1", "network: VPC vpc-1"),))
        shown = replace(shown, regions=(region, *shown.regions[1:]))
    table(plain(shown.data()), "plan")
    table(plain({"applied": True, "plan": shown.data()}), "infra apply")


def test_status() -> None:
    found = plain(status.WHOLE.data())
    table(found, "infra status")
    facts = {"control-plane": "host"}
    seen = set()
    for part in [part for region in found["regions"] for part in region["parts"] if part["facts"]]:
        seen.add(part["kind"])
        table(part["facts"], f"facts of a {facts.get(part['kind'], part['kind'])}", extra=("existing",))
    assert seen == {"network", "nat", "peering", "pool", "host", "efs", "control-plane", "balancer"}
    assert set(found["last"]) == {"number", "command", "status", "who", "started", "ended", "as_of"}
    assert set(found["plan"]) == {"created", "who", "stale", "changes", "problem"}
    pool = next(part for part in found["regions"][0]["parts"] if part["kind"] == "pool")
    assert set(pool["facts"]["failure"]) == {"code", "message", "time", "fix"}


def test_drift_destroy_and_log() -> None:
    table(plain(drift.FOUND.data()), "infra drift")
    destroyed = {
        "format": 1,
        "cluster": "lab",
        "destroyed": True,
        "plan": plans.PLANS["destroy"].data(),
        "notes": ["x"],
        "holds": [item.data() for item in destroy.FOUND],
        "left": [Left("us-west-2", ("a",), ("b",)).data()],
    }
    table(plain(destroyed), "infra destroy")
    records = [plain(record.data()) for record in (log.DONE, log.KILLED)]
    for record in records:
        assert isinstance(record.pop("spec_text"), str)
        table(record, "record")
    table({"format": 1, "cluster": "lab", "records": records}, "infra log")


def test_problems_locks_and_checks() -> None:
    error = SpecError("it is wrong", where="cluster.yaml:3", fix="mend it")
    table({"error": {"kind": error.kind, "problems": [item.data() for item in error.problems]}}, "error")
    for lock in (Lock("run", "/x", alive=True, pid=3), Lock("s3", "s3://x", alive=None)):
        table(plain(lock.data()), "lock")
        check({"locks": [lock.data()]}["locks"], "lock[]", "infra unlock")
    table(plain(data([Check("python", "ok", "Python 3.11")])), "infra doctor")


def test_commands_that_need_no_cloud(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("INFRA_LOCAL_DIR", str(tmp_path / "aws"))

    def said(*words: str, code: int = 0) -> Any:
        capsys.readouterr()
        assert run([*words, "--json"]) == code
        return json.loads(capsys.readouterr().out)

    table(said("init", "--local"), "infra init")
    table(said("validate"), "infra validate")
    table(said("graph"), "infra graph")
    table(said("status"), "infra status")
    table(said("log"), "infra log")
    table(said("local", "status"), "infra local", extra=("resources",))
    (tmp_path / "cluster.yaml").write_text("version: 1\n")
    table(said("validate", code=1), "infra validate")
    table(said("plan", code=1), "error")
    (tmp_path / "cluster.yaml").write_text((LABS / "two-boxes.yaml").read_text())
    table(said("plan"), "plan")
    table(said("status"), "infra status")


def test_policy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cluster.yaml").write_text((LABS / "research-lab.yaml").read_text())

    def said(*words: str, code: int = 0) -> Any:
        assert run(["policy", *words, "--json"]) == code
        return json.loads(capsys.readouterr().out)

    table(said("show"), "infra policy show")
    table(said("diff", "gpu", "cpu", code=2), "infra policy diff")
    built = said("build", "gpu")
    fields = tuple(TABLES["policy"])
    table(built, "infra policy build", extra=(*fields, "layers"))
    table({key: item for key, item in built.items() if key not in TABLES["infra policy build"]}, "policy")


def test_every_command_is_on_the_page() -> None:
    heads = set(HEAD.findall(PAGE))
    assert {f"infra {name}" for name in COMMANDS} <= heads


def test_the_check_itself_notices() -> None:
    good = plain(asdict(plans.FIRST.after))
    check(good, "cost", "x")
    for wrong in ({**good, "known": "1"}, {**good, "more": 1}, {key: good[key] for key in ("known", "bound")}):
        with pytest.raises(AssertionError):
            check(wrong, "cost", "x")
    with pytest.raises(AssertionError):
        check(True, "integer", "x")
