"""What a good file means: the labs, YAML's traps, the digest, the lines, the endpoint."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from infra.errors import InfraError, SpecError, UsageError
from infra.spec.core_schema import core_value
from infra.spec.document import parse_document
from infra.spec.load import Loaded, load, read

LABS = Path(__file__).parents[1] / "labs"
HEAD = "version: 1\ncluster: lab\n"


def given(folder: Path, text: str, endpoint: str | None = None) -> Loaded:
    path = folder / "cluster.yaml"
    path.write_text(HEAD + text)
    return load(path, endpoint)


@pytest.mark.parametrize("lab", sorted(LABS.glob("*.yaml")), ids=lambda path: path.stem)
def test_labs_have_no_errors(lab: Path) -> None:
    loaded, warnings = read(lab)
    assert loaded.cluster.version == 1
    assert {warning.level for warning in warnings} <= {"warning"}


def test_warnings_of_the_labs() -> None:
    found = {lab.stem: [problem.rule for problem in read(lab)[1]] for lab in LABS.glob("*.yaml")}
    assert found == {
        "research-lab": ["instance-type-current", "desired-autoscaled", "efs-regions"],
        "training-cluster": ["reservation-zone", "control-plane-zones"],
        "two-boxes": [],
    }


def test_research_lab() -> None:
    loaded = load(LABS / "research-lab.yaml")
    cluster = loaded.cluster
    assert [host.name for host in cluster.metal["titan"].hosts][::7] == [
        "titan-01.research.internal",
        "titan-08.research.internal",
    ]
    assert cluster.pools["gpu"].capacity.kind == "spot"
    assert cluster.storage["datasets"].kind == "efs"
    assert loaded.where("pools", "gpu", "instance_types", 1).endswith("research-lab.yaml:32")
    assert loaded.where("metal", "titan", "hosts", 7).endswith(":50")
    assert loaded.where("pools", "gpu", "disk").endswith(":30")  # not written: the nearest around it
    assert loaded.where().endswith(":3")


def test_where_behind_patterns(tmp_path: Path) -> None:
    loaded = given(
        tmp_path, 'profiles: {a: }\nmetal:\n  x:\n    profile: a\n    hosts:\n    - "a[1-3]"\n    - b\n    - c\n'
    )
    lines = [int(loaded.where("metal", "x", "hosts", place).rpartition(":")[2]) for place in range(5)]
    assert lines == [8, 8, 8, 9, 10]
    assert loaded.where("metal", "x", "hosts", 99).endswith(":7")


YAML_VALUES: list[tuple[str, Any]] = [
    ("yes", "yes"),
    ("No", "No"),
    ("on", "on"),
    ("true", True),
    ("False", False),
    ("~", None),
    ("", None),
    ("null", None),
    ("010", 10),
    ("0o17", 15),
    ("0x1F", 31),
    ("1_000", "1_000"),
    ("22:30", "22:30"),
    ("2024-01-01", "2024-01-01"),
    ("1.30", 1.3),
    ("1e3", 1000.0),
    (".5", 0.5),
    ("1e999", "1e999"),
    (".inf", ".inf"),
    (".nan", ".nan"),
    ("9" * 5000, "9" * 5000),
    ("0." + "9" * 5000, "0." + "9" * 5000),
    ("=", "="),
    ("+5", 5),
]


@pytest.mark.parametrize(("text", "value"), YAML_VALUES, ids=[text[:10] for text, _ in YAML_VALUES])
def test_core_schema(text: str, value: Any) -> None:
    assert core_value(text) == value
    assert isinstance(core_value(text), type(value))
    assert str(core_value(text)) == (
        text if isinstance(value, int | float) and not isinstance(value, bool) else str(value)
    )


def test_quoted_and_tagged_values() -> None:
    tree = parse_document(b"a: '1'\nb: !!str 1\nc: !!int 1\nd: ! 1\ne: |\n  1\n", Path("x")).tree
    assert tree == {"a": "1", "b": "1", "c": 1, "d": 1, "e": "1\n"}


def test_versions_are_as_written(tmp_path: Path) -> None:
    text = "profiles: {a: {nvidia: {driver: 580, cuda: 12.10}, docker: {version: 28}}}\nkubernetes: {version: 1.30}\n"
    cluster = given(tmp_path, "aws: {regions: [us-west-2], account: 012345678901}\n" + text).cluster
    assert cluster.kubernetes and cluster.kubernetes.version == "1.30"
    assert cluster.profiles["a"].nvidia and cluster.profiles["a"].nvidia.cuda == "12.10"
    assert cluster.aws and cluster.aws.account == "012345678901"


def test_numbers_are_plain_numbers(tmp_path: Path) -> None:
    text = "profiles: {a: {attributes: {n: 010, f: 1.50, l: [1, {x: 2}], no: no}}}\npools: {p: {profile: a, "
    cluster = given(tmp_path, text + "instance_types: [m5.large], size: 3, disk: 1TB}}\n").cluster
    attributes = cluster.profiles["a"].attributes
    assert attributes == {"n": 10, "f": 1.5, "l": [1, {"x": 2}], "no": "no"}
    assert {type(attributes["n"]), type(attributes["l"][0]), type(cluster.pools["p"].size.min)} == {int}
    assert type(attributes["f"]) is float
    assert cluster.pools["p"].disk == 1000
    assert cluster.pools["p"].size.model_dump() == {"min": 3, "desired": 3, "max": 3}


def test_empty_keys_are_as_if_not_there(tmp_path: Path) -> None:
    text = "aws:\npools:\nnetwork:\n  zones:\naccess: {users: }\nkubernetes: ~\nprofiles: {a: }\n"
    cluster = given(tmp_path, text).cluster
    assert cluster.aws is None
    assert cluster.pools == {}
    assert cluster.network.zones == 2
    assert cluster.profiles["a"].os == "ubuntu-24.04"


def test_yes_and_no_for_true_and_false(tmp_path: Path) -> None:
    assert given(tmp_path, "network: {flow_logs: no}\n").cluster.network.flow_logs is False


def test_anchors_and_merge(tmp_path: Path) -> None:
    text = """\
profiles: {a: {}}
pools:
  one: &base
    profile: a
    instance_types: &types [m5.large]
    size: 1
  two:
    <<: *base
    size: 2
  three: {<<: [*base], instance_types: *types, size: 4}
"""
    loaded = given(tmp_path, "aws: {regions: [us-west-2]}\n" + text)
    pools = loaded.cluster.pools
    assert [pool.size.max for pool in pools.values()] == [1, 2, 4]
    assert pools["two"].instance_types == ["m5.large"]
    assert loaded.where("pools", "two", "profile").endswith(":11")
    assert loaded.where("pools", "two", "size").endswith(":12")


CAPACITY = {
    "spot": ("spot", None, 0),
    "on-demand": ("on-demand", None, 0),
    "{reservation: cr-01234567}": ("reservation", "cr-01234567", 0),
    "{block: cr-01234567}": ("block", "cr-01234567", 0),
    "{spot: true, on_demand_base: 2}": ("spot", None, 2),
    "{on_demand_base: 2}": ("spot", None, 2),
    "": ("on-demand", None, 0),
}


@pytest.mark.parametrize("text", CAPACITY)
def test_forms_of_capacity(text: str, tmp_path: Path) -> None:
    pool = f"pools: {{p: {{profile: a, instance_types: [m5.large], size: 1, capacity: {text}}}}}\n"
    capacity = given(tmp_path, "profiles: {a: {}}\n" + pool).cluster.pools["p"].capacity
    assert (capacity.kind, capacity.reservation, capacity.on_demand_base) == CAPACITY[text]


def test_digest_is_of_the_meaning(tmp_path: Path) -> None:
    one = given(tmp_path, "network: {zones: 2, nat: one}\n")
    same = given(tmp_path, "# a comment\nnetwork:\n  nat: 'one'   # another\n")
    other = given(tmp_path, "network: {zones: 3}\n")
    assert one.digest == same.digest != other.digest
    assert len(one.digest) == 64


def test_endpoint(tmp_path: Path) -> None:
    aws = "aws: {regions: [us-west-2]}\n"
    assert given(tmp_path, aws).cluster.local is False
    assert given(tmp_path, aws, "local").cluster.local is True
    assert given(tmp_path, aws, "local").cluster.workname == "lab@local"
    assert given(tmp_path, aws, "http://127.0.0.1:5000").cluster.local is False
    assert given(tmp_path, "", "local").cluster.aws is None
    assert given(tmp_path, aws, "local").digest != given(tmp_path, aws).digest
    with pytest.raises(UsageError, match="neither"):
        given(tmp_path, aws, "moto")


@pytest.mark.parametrize(
    ("line", "why"),
    [("    b:c", "no space after the ':'"), ("\u00a0   b: c", "only looks like a space")],
)
def test_the_line_before_the_one_the_parser_names(line: str, why: str) -> None:
    with pytest.raises(SpecError) as error:
        parse_document(f"a:\n  x:\n{line}\n    d: e\n".encode(), Path("cluster.yaml"))
    problem = error.value.problems[0]
    assert problem.where == "cluster.yaml:3"
    assert why in problem.why


def test_byte_order_mark_and_dos_lines(tmp_path: Path) -> None:
    path = tmp_path / "cluster.yaml"
    path.write_bytes(b"\xef\xbb\xbfversion: 1\r\ncluster: lab\r\nfoo: 1\r\n")
    with pytest.raises(SpecError) as caught:
        load(path)
    assert [problem.where for problem in caught.value.problems] == [f"{path}:3"]


def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "cluster.yaml"
    shutil.copy(LABS / "two-boxes.yaml", path)

    def refuse(*_: Any, **__: Any) -> Any:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(InfraError, match="cannot read"):
        load(path)


def test_without_the_c_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import yaml

    fast = load(LABS / "research-lab.yaml")
    monkeypatch.setattr(yaml, "__with_libyaml__", False)
    slow = load(LABS / "research-lab.yaml")
    assert slow.digest == fast.digest
    assert slow.document.spot == fast.document.spot


def test_a_thousand_pools(tmp_path: Path) -> None:
    pool = "{profile: a, instance_types: [g5.xlarge, g5.2xlarge], size: {min: 0, max: 4}, labels: {lab/queue: batch}}"
    text = "aws: {regions: [us-west-2]}\nprofiles: {a: {}}\npools:\n"
    path = tmp_path / "cluster.yaml"
    path.write_text(HEAD + text + "".join(f"  pool-{n}: {pool}\n" for n in range(1000)))
    best = 9.0
    for _ in range(3):
        start = time.process_time()
        assert len(load(path).cluster.pools) == 1000
        best = min(best, time.process_time() - start)
    assert best < 0.5
