"""Drift: what is noise, with its reason, and what is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.cloud.drift import Drift, RegionDrift
from infra.cloud.mending.strays import Stray
from infra.plan.drift import GONE, drift, lasting, written
from infra.plan.model import Change
from infra.plan.noise import TABLE
from infra.ui import drift_view
from tests.unit.render import golden, render

CASES = yaml.safe_load((Path(__file__).parent.parent / "data" / "drift.yaml").read_text())
ADDRESS = "module.network.{}.this"


def shown(case: dict[str, Any]) -> dict[str, Any]:
    """The JSON of a refresh-only plan with one resource that moved."""
    kind = case["type"]
    resource = {"type": kind, "name": "this", "expressions": {name: {} for name in case.get("written", ())}}
    known = [
        {"mode": "managed", "type": other, "address": f"x.{other}", "values": values}
        for other, values in case.get("known", ())
    ]
    return {
        "resource_drift": [
            {
                "address": ADDRESS.format(kind),
                "type": kind,
                "mode": "managed",
                "change": {"actions": ["update"], "before": case["before"], "after": case["after"]},
            }
        ],
        "prior_state": {"values": {"root_module": {"child_modules": [{"resources": known}]}}},
        "configuration": {
            "root_module": {
                "module_calls": {"network": {"module": {"resources": [resource] if "written" in case else []}}}
            }
        },
    }


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_what_is_drift_and_what_is_noise(case: dict[str, Any]) -> None:
    found = drift(shown(case))
    assert [list(change.reasons) for change in found] == ([case["moved"]] if case["moved"] else [])


def test_what_was_deleted_is_drift() -> None:
    data = shown({"type": "aws_subnet", "before": {"id": "subnet-1"}, "after": None})
    (change,) = drift(data)
    assert (change.action, change.reasons, change.title) == ("delete", (GONE,), "network: subnet")


def test_a_policy_taken_away_by_hand_is_said_once() -> None:
    case = {
        "type": "aws_iam_role",
        "before": {"name": "node", "managed_policy_arns": ["arn:ssm"]},
        "after": {"name": "node", "managed_policy_arns": []},
    }
    data = shown(case)
    data["resource_drift"].append(
        {
            "address": "module.identity.aws_iam_role_policy_attachment.ssm",
            "type": "aws_iam_role_policy_attachment",
            "change": {"actions": ["delete"], "before": {"role": "node", "policy_arn": "arn:ssm"}, "after": None},
        }
    )
    assert [change.address for change in drift(data)] == ["module.identity.aws_iam_role_policy_attachment.ssm"]


def test_a_data_source_does_not_drift() -> None:
    data = shown({"type": "aws_ami", "before": {"id": "ami-1"}, "after": {"id": "ami-2"}})
    data["resource_drift"][0]["mode"] = "data"
    assert drift(data) == []


def test_what_an_apply_leaves_alone_is_told_again_and_again() -> None:
    role = {"name": "node", "managed_policy_arns": ["arn:ssm", "arn:admin"], "inline_policy": [{"name": "x"}]}
    things = [
        ("module.identity.aws_iam_role.node", "aws_iam_role", role),
        ("a", "aws_iam_role_policy_attachment", {"role": "node", "policy_arn": "arn:ssm"}),
        ("b", "aws_security_group", {"id": "sg-1", "ingress": [{"protocol": "tcp", "from_port": 1, "to_port": 1}]}),
    ]
    (change,) = lasting(things)
    assert change.reasons == ("managed_policy_arns + arn:admin", "inline_policy + name x")
    rule = ("c", "aws_vpc_security_group_egress_rule", {"security_group_id": "sg-1"})
    assert [change.address for change in lasting([*things, rule])] == ["module.identity.aws_iam_role.node", "b"]


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("aws_vpc.main", {"cidr"}),
        ("module.net.aws_subnet.this", {"zone"}),
        ('module.net.aws_subnet.this["us-west-2a"]', {"zone"}),
        ('module.net["a.b"].module.inner.aws_subnet.deep[0]', {"deep"}),
        ("module.net.aws_subnet.other", None),
        ("module.nowhere.aws_subnet.this", None),
    ],
)
def test_what_the_project_writes(address: str, found: set[str] | None) -> None:
    def module(kind: str, name: str, attribute: str, **calls: Any) -> dict[str, Any]:
        resources = [{"type": kind, "name": name, "expressions": {attribute: {}}}]
        return {"resources": resources, "module_calls": {key: {"module": value} for key, value in calls.items()}}

    inner = module("aws_subnet", "deep", "deep")
    root = module("aws_vpc", "main", "cidr", net=module("aws_subnet", "this", "zone", inner=inner))
    assert written({"configuration": {"root_module": root}}, address) == found


def test_every_entry_of_the_table_has_a_reason() -> None:
    assert all(entry.reason and entry.kind and entry.path for entry in TABLE)
    assert all(entry.kind == "*" or entry.kind.startswith("aws_") for entry in TABLE)


FOUND = Drift(
    "lab",
    "2026-11-22T01:02:03Z",
    (
        RegionDrift("us-west-2", 60),
        RegionDrift("us-east-1", 0),
        RegionDrift(
            "eu-west-1",
            31,
            (
                Change("x", "aws_vpc", "update", "network: VPC", ("tags.owner (none) → bob", "tags.cost 1 → 2")),
                Change("y", "aws_subnet", "delete", "network: subnet private a", (GONE,)),
            ),
            (Stray("i-0123", "instance", "mine"), Stray("subnet-1", "subnet", "", "module.network.aws_subnet.x")),
        ),
    ),
    left=("ap-south-1",),
    notes=("eu-west-1: not looked at: iam",),
)


def test_golden(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    golden("drift.txt", render(drift_view.show, FOUND, monkeypatch=monkeypatch, capsys=capsys))


def test_json() -> None:
    data = FOUND.data()
    assert data["drift"] is True
    assert data["regions"][2]["changed"][0] == {
        "address": "x",
        "type": "aws_vpc",
        "title": "network: VPC",
        "action": "update",
        "moved": ["tags.owner (none) → bob", "tags.cost 1 → 2"],
    }
    assert data["regions"][2]["unknown"][0] == {"id": "i-0123", "kind": "instance", "name": "mine", "made_as": ""}
    assert Drift("lab", "", (RegionDrift("us-west-2"),)).data()["drift"] is False
