"""The JSON Schema accepts what the models accept, and an editor sees with it what is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from infra.cli.main import run
from infra.spec.document import parse_document, read_document
from infra.spec.scaffold import scaffold
from infra.spec.schema import schema

LABS = Path(__file__).parents[1] / "labs"
GOLDEN = Path(__file__).parent / "golden" / "spec"
CHECKER = Draft202012Validator(schema())


def errors(tree: Any) -> list[str]:
    return [f"{error.json_path}: {error.message}" for error in CHECKER.iter_errors(tree)]


def test_is_a_schema() -> None:
    Draft202012Validator.check_schema(schema())


@pytest.mark.parametrize("lab", sorted(LABS.glob("*.yaml")), ids=lambda path: path.stem)
def test_labs(lab: Path) -> None:
    assert errors(read_document(lab).tree) == []


@pytest.mark.parametrize("kind", ["aws", "local", "metal"])
def test_scaffolds(kind: Any) -> None:
    assert errors(parse_document(scaffold(kind, "lab").encode(), Path("x")).tree) == []


GOOD = [
    "pools: {p: {profile: a, instance_types: [m5.large], size: 3, disk: 1TB, capacity: spot}}",
    "pools: {p: {profile: a, instance_types: [m5.large], size: {max: 3}, disk: 50, capacity: {block: cr-01234567}}}",
    "pools: {p: {profile: a, instance_types: [m5.large], size: {max: 3}, capacity: {spot: true, on_demand_base: 1}}}",
    "profiles: {a: , b: {nvidia: {driver: 580, cuda: 12.9}}}",
    "aws: {regions: [us-west-2], account: 123456789012, endpoint: local}",
    "aws:\npools:\nnetwork: {zones: }\nkubernetes:",
    "storage: {d: {efs: , mount: /data}}",
]
BAD = [
    "colour: blue",
    "pools: {P: {profile: a, instance_types: [m5.large], size: 3}}",
    "pools: {p: {profile: a, instance_types: [m5.large], size: many}}",
    "pools: {p: {profile: a, instance_types: [m5.large], size: 3, capacity: spit}}",
    "pools: {p: {profile: a, instance_types: [m5.large], size: 3, disk: 12XB}}",
    "profiles: {b: {nvidia: {driver: latest}}}",
    "kubernetes: {control_plane: {count: 2}}",
]


@pytest.mark.parametrize("text", GOOD)
def test_accepts(text: str) -> None:
    assert errors(parse_document(f"version: 1\ncluster: lab\n{text}\n".encode(), Path("x")).tree) == []


@pytest.mark.parametrize("text", BAD)
def test_refuses(text: str) -> None:
    assert errors(parse_document(f"version: 1\ncluster: lab\n{text}\n".encode(), Path("x")).tree)


def test_every_key_is_described() -> None:
    found = schema()
    bare = []
    for name, part in [("", found), *found["$defs"].items()]:
        whole = part if "properties" in part else part["anyOf"][-1]
        for key, item in whole["properties"].items():
            text = json.dumps(item)
            if "description" not in text and "$ref" not in text:
                bare.append(f"{name}.{key}")
    assert bare == []


def test_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["schema"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads(json.dumps(schema()))
    assert printed["$schema"].endswith("2020-12/schema")
    assert "title" not in json.dumps(printed["$defs"])
