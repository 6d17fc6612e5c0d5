"""``infra validate``: what it prints, what it answers, how it ends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from infra.cli.main import run
from infra.spec.facts import Facts

LABS = Path(__file__).parents[1] / "labs"
GOLDEN = Path(__file__).parent / "golden" / "spec"


def test_a_clean_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["validate", "-f", str(LABS / "two-boxes.yaml")]) == 0
    out = capsys.readouterr().out
    assert "is valid: desk: 2 metal machines. Next: infra plan" in out


def test_warnings_do_not_fail_but_strictly(capsys: pytest.CaptureFixture[str]) -> None:
    lab = str(LABS / "training-cluster.yaml")
    assert run(["validate", "-f", lab]) == 0
    assert "(2 warnings)" in capsys.readouterr().out
    assert run(["validate", "-f", lab, "--strict"]) == 1
    assert "is not valid: 2 warnings; --strict makes warnings errors" in capsys.readouterr().out


def test_errors_come_first(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["validate", "-f", str(GOLDEN / "rules.yaml")]) == 1
    levels = [
        line.partition(":")[0] for line in capsys.readouterr().out.splitlines() if line.startswith(("error", "warn"))
    ]
    assert levels == sorted(levels)
    assert {"error", "warning"} == set(levels)


def test_json_of_a_bad_form(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["validate", "-f", str(GOLDEN / "typos.yaml"), "--json"]) == 1
    data = json.loads(capsys.readouterr().out)
    assert data["ok"] is False and data["digest"] is None
    assert data["errors"] == len(data["problems"]) > 10
    assert {"level", "rule", "what", "where", "why", "fix"} == set(data["problems"][0])


def test_json_of_a_good_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["validate", "-f", str(LABS / "research-lab.yaml"), "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert (data["cluster"], data["ok"], data["errors"], data["warnings"]) == ("research", True, 0, 3)


def test_no_file(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("INFRA_FILE", raising=False)
    assert run(["validate"]) == 1
    assert "infra init" in capsys.readouterr().out


def test_asks_the_account(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from infra.cloud import aws_facts

    asked: list[str] = []

    def facts(session: Any, cluster: Any) -> Facts:
        asked.append(cluster.cluster)
        return Facts(quotas={"us-east-2": {"on-demand:p": 96}})

    monkeypatch.setattr(aws_facts, "facts", facts)
    lab = str(LABS / "training-cluster.yaml")
    assert run(["validate", "-f", lab, "--account", "--json"]) == 0
    rules = [problem["rule"] for problem in json.loads(capsys.readouterr().out)["problems"]]
    assert rules == ["quota-enough", "reservation-zone", "control-plane-zones"]
    assert run(["validate", "-f", lab, "--account", "--endpoint", "local"]) == 0
    assert run(["validate", "-f", str(LABS / "two-boxes.yaml"), "--account"]) == 0
    assert asked == ["train"]
