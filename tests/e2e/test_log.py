"""infra log, and the way back: plan --as-of. Records in files, and beside a state in S3."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import SLICE, Infra
from tests.e2e.aws import Hand

pytestmark = pytest.mark.engine

LOG = Path(".infra") / "demo@local" / "log"
BUCKET = "demo-state-16180"
S3 = SLICE + f"state: {{s3: {{bucket: {BUCKET}, prefix: lab, region: us-west-2}}}}\n"


def test_before_the_first_apply(infra: Infra) -> None:
    infra.write(SLICE)
    assert "nothing was applied yet" in infra("log").out
    assert infra("log", "--json").json == {"format": 1, "cluster": "demo", "records": []}
    assert "nothing was applied yet" in infra("log", "1", code=1).err
    assert infra("log", "--spec", "--json", code=1).json["error"]["kind"] == "UsageError"
    assert infra("local", "status", "--json").json["running"] is False, "looking starts nothing"


def test_there_and_back_again(infra: Infra) -> None:
    first, second = SLICE, SLICE.replace("max: 2", "max: 5")
    infra.write(first)
    infra("apply", "--yes")
    infra.write(second)
    infra("apply", "--yes")

    table = infra("log").out
    assert "infra plan --as-of N" in table
    assert infra("log", "1", "--spec").out == first
    one = infra("log", "2", "--json").json
    assert (one["number"], one["status"], one["spec_text"]) == (2, "done", second)
    assert one["regions"]["us-west-2"]["change"] == 1
    assert "one of: 1, 2" in infra("log", "7", code=1).err

    back = infra("plan", "--as-of", "1", code=2)
    assert "the way back to record 1 (cluster.yaml of " in back.out
    assert "max_size 5 → 2" in back.out
    done = infra("apply")
    assert "infra log 1 --spec > cluster.yaml" in done.out
    infra.write(infra("log", "1", "--spec").out)
    assert "no changes" in infra("plan", code=0).out
    last = infra("log", "--json").json["records"][-1]
    assert (last["number"], last["as_of"], last["command"]) == (3, "1", "apply")
    assert "apply as of 1" in infra("log", "3").out
    assert infra("plan", "--as-of", "9", "--json", code=1).json["error"]["kind"] == "UsageError"


def test_what_failed_and_what_was_killed(infra: Infra) -> None:
    infra.write(SLICE)
    infra("apply", "--yes")
    path = infra.folder / LOG / "0001.json"
    record = json.loads(path.read_text())
    died = {**record, "number": 2, "status": "running", "ended": "", "pid": 999_999_999}
    died["regions"] = {"us-west-2": {"status": "running"}, "us-east-1": {"status": "waiting"}}
    path.with_name("0002.json").write_text(json.dumps(died))
    path.with_name("0003.json").write_text("{ half")
    found = infra("log", "--json").json["records"]
    assert [(item["number"], item["status"]) for item in found] == [(1, "done"), (2, "killed")]
    assert found[1]["regions"] == {"us-west-2": {"status": "killed"}, "us-east-1": {"status": "not begun"}}
    assert "killed" in infra("log").out


def test_beside_a_state_in_s3_everybody_sees_everybodys(infra: Infra, tmp_path: Path) -> None:
    infra.write(S3)
    infra("apply", "--yes")
    hand = Hand(infra).client("s3")
    keys = [item["Key"] for item in hand.list_objects_v2(Bucket=BUCKET)["Contents"]]
    assert "lab/demo/log/0001.json" in keys

    # Another person: the same file elsewhere, no work folder.
    other = Infra(tmp_path / "other", infra.env)
    other.folder.mkdir()
    other.write(S3)
    found = other("log", "--json").json["records"]
    assert [(item["number"], item["status"]) for item in found] == [(1, "done")]
    assert other("status", "--json").json["last"]["number"] == 1
    other.write(S3.replace("max: 2", "max: 4"))
    other("apply", "--yes")
    assert [item["number"] for item in infra("log", "--json").json["records"]] == [1, 2]

    back = infra("plan", "--as-of", "1", code=2)
    assert "max_size 4 → 2" in back.out
    infra("apply")
    seen = other("log", "--json").json["records"]
    assert [(item["number"], item["as_of"]) for item in seen] == [(1, ""), (2, ""), (3, "1")]
    assert other("log", "3", "--spec").out == S3
