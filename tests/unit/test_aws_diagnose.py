"""Terraform's and AWS's messages become errors that a person can act on."""

from __future__ import annotations

import string
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from infra.cloud.refusals import access as refusals_access
from infra.cloud.refusals import aws as refusals_aws
from infra.cloud.refusals import engine as refusals_engine
from infra.cloud.refusals.diagnose import coded, explain, recognise
from infra.errors import InfraError, ToolFailed

CASES = yaml.safe_load((Path(__file__).parents[1] / "data" / "refusals.yaml").read_text(encoding="utf-8"))
TABLE = (*refusals_engine.TABLE, *refusals_access.TABLE, *refusals_aws.TABLE)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_every_message_is_recognised(case: dict[str, Any]) -> None:
    error = explain(case["text"], profile="lab")
    assert error is not None
    (problem,) = error.problems
    want = case["want"]
    assert problem.rule == want["rule"]
    assert error.kind == want["kind"]
    for part in ("what", "why", "fix"):
        assert want.get(part, "") in getattr(problem, part)
    for text in (problem.what, problem.why, problem.fix):
        assert "{" not in text.replace("{regions: [us-west-2]}", "")
        assert "request id" not in text.lower()
        assert "RequestID" not in text
    assert problem.fix


@pytest.mark.parametrize("case", [c for c in CASES if "terminal" not in c["name"]], ids=lambda case: case["name"])
def test_a_diagnostic_keeps_its_place(case: dict[str, Any]) -> None:
    summary, _, detail = case["text"].partition("\n")
    item = {"severity": "error", "summary": summary, "detail": detail, "address": "module.network.aws_vpc.main"}
    error = explain([item, {**item, "severity": "warning"}], where="/lab/.infra/lab/us-west-2")
    assert error is not None
    (problem,) = error.problems
    assert problem.where == "us-west-2: module.network.aws_vpc.main"


def test_the_same_refusal_in_many_places_is_one_problem() -> None:
    said = "creating: operation error EC2: CreateSubnet, api error UnauthorizedOperation: You are not authorized."
    items = [
        {"severity": "error", "summary": said, "detail": "", "address": f"module.network.aws_subnet.private[{n}]"}
        for n in range(40)
    ]
    error = explain(items, where="us-west-2")
    assert error is not None
    (problem,) = error.problems
    assert problem.where == "us-west-2: module.network.aws_subnet.private[0] (and 39 more)"


def test_what_is_not_known_stands_beside_what_is() -> None:
    items = [
        {"severity": "error", "summary": "Something new", "detail": "of\nwhich nobody knows", "address": "aws_x.y"},
        {"severity": "error", "summary": "Error: VpcLimitExceeded: The maximum", "detail": ""},
    ]
    error = explain(items)
    assert error is not None
    assert [problem.rule for problem in error.problems] == ["terraform", "quota-vpc"]
    assert error.problems[0].what == "Something new"
    assert error.problems[0].why == "of which nobody knows"


def test_nothing_known_gives_none() -> None:
    assert explain([{"severity": "error", "summary": "Something new", "detail": ""}]) is None
    assert explain("") is None
    assert explain([]) is None


def test_plain_output_is_split_into_its_errors() -> None:
    text = """
╷
│ Error: creating VPC: VpcLimitExceeded: The maximum number of VPCs has been reached.
│
│   with module.network.aws_vpc.main[0],
│   on modules/network/main.tf line 3, in resource "aws_vpc" "main":
╵
╷
│ Error: creating EIP: AddressLimitExceeded: The maximum number of addresses has been reached.
╵
"""
    error = explain(text, where="/x/us-east-1")
    assert error is not None
    assert [(p.rule, p.where) for p in error.problems] == [
        ("quota-vpc", "us-east-1: module.network.aws_vpc.main[0]"),
        ("quota-address", "/x/us-east-1"),
    ]


def test_the_table_is_sound() -> None:
    names = [entry.name for entry in TABLE]
    assert len(names) == len(set(names))
    codes = [code for entry in TABLE for code in entry.codes]
    assert len(codes) == len(set(codes))
    for entry in TABLE:
        assert entry.codes or entry.patterns
        assert issubclass(entry.kind, InfraError)
        fields = {
            name for text in (entry.what, entry.why, entry.fix) for _, name, _, _ in string.Formatter().parse(text)
        }
        assert not {f"{name}" for name in fields if name and not name.isidentifier()}
        assert entry.fix


def test_every_code_gives_a_whole_sentence() -> None:
    for entry in TABLE:
        for code in entry.codes:
            found = coded(code, "words", action="ec2:RunInstances")
            assert found is not None
            problem = found.problem("here")
            assert problem.rule == entry.name
            assert problem.what
            assert "{" not in problem.what + problem.why


@given(st.text(max_size=300))
def test_any_text_is_survived(text: str) -> None:
    recognise(text)
    explain(text)
    explain([{"severity": "error", "summary": text, "detail": text}], where=text.replace("\0", ""))


def test_long_messages_are_cut() -> None:
    error = explain("Error: x\n\nUnsupported argument " + "y" * 5000)
    assert isinstance(error, ToolFailed)
    assert len(error.problems[0].what) <= 400


def test_the_documentation_lists_every_entry() -> None:
    text = (Path(__file__).parents[2] / "docs" / "errors.md").read_text(encoding="utf-8")
    for entry in TABLE:
        assert f"| `{entry.name}` | {entry.kind.__name__} |" in text
