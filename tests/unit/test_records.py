"""Records of applies: numbers, stores shared by many, damage, and what a dead process leaves."""

from __future__ import annotations

import json
import platform
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from infra.cloud import applying
from infra.cloud.journal import asof, history, records
from infra.cloud.journal import remote as remote_records
from infra.cloud.journal.history import History
from infra.cloud.journal.records import Record
from infra.cloud.work import Work
from infra.errors import AccessDenied, Refused, SpecError, Unreachable, UsageError
from infra.plan.model import Change, Plan, RegionPlan
from infra.spec.load import load
from infra.spec.models import Cluster

TEXT = "version: 1\ncluster: lab\naws: {regions: [us-west-2]}\n"
S3_TEXT = TEXT + "state: {s3: {bucket: lab-state, prefix: a/b, region: us-west-2}}\n"
PLAN = Plan(
    "lab",
    "2026-11-22T01:02:03Z",
    "ada@laptop",
    "d" * 64,
    "cluster.yaml",
    {},
    (RegionPlan("us-west-2", (Change("a", "aws_vpc", "create"),)), RegionPlan("us-east-1")),
    only=("pools.gpu",),
    as_of="2",
)


class Shelf:
    """A store in memory; ``first`` are numbers that somebody takes a moment before us."""

    def __init__(self, first: set[int] | None = None, broken: bool = False) -> None:
        self.kept: dict[int, dict[str, Any]] = {}
        self.first = first or set()
        self.broken = broken

    def numbers(self) -> list[int]:
        return sorted(self.kept)

    def claim(self, number: int, data: dict[str, Any]) -> bool:
        if self.broken:
            raise AccessDenied("AWS does not allow s3:PutObject", where="s3://lab-state", fix="ask for it")
        if number in self.kept or number in self.first:
            return False
        self.put(number, data)
        return True

    def put(self, number: int, data: dict[str, Any]) -> None:
        if self.broken:
            raise Unreachable("AWS cannot be reached", where="s3://lab-state")
        self.kept[number] = json.loads(json.dumps(data))

    def every(self) -> list[dict[str, Any]]:
        return [self.kept[number] for number in self.numbers()]


@pytest.fixture
def work(tmp_path: Path) -> Work:
    return Work(tmp_path / "lab")


def test_a_record_is_there_before_anything_happens_and_is_closed_after(work: Work) -> None:
    record = records.begin(work, PLAN, TEXT)
    (read,) = records.every(work)
    assert read == record
    assert (read.number, read.status, read.ended, read.only, read.as_of) == (1, "running", "", ("pools.gpu",), "2")
    assert read.regions == {"us-west-2": {"status": "waiting"}}, "only regions with something to do"
    assert read.host == platform.node()
    problem = {"level": "error", "what": "no"}
    closed = records.end(work, record, "failed", (problem,))
    assert records.every(work) == [closed]
    assert closed.errors == (problem,)
    assert (work.records / "0001.json").stat().st_mode & 0o777 == 0o600
    assert records.begin(work, PLAN, TEXT).number == 2


@pytest.mark.parametrize(
    "text", ["", "{ half", "[]", "null", '{"number": "x"}', '{"number": 3}', '{"number": 3, "regions": []}']
)
def test_a_damaged_record_is_passed_over_and_its_number_not_used_again(work: Work, text: str) -> None:
    first = records.end(work, records.begin(work, PLAN, TEXT), "done")
    (work.records / "0003.json").write_text(text)
    assert records.every(work) == [first]
    assert records.begin(work, PLAN, TEXT).number == 4


def test_keys_of_a_later_version_are_passed_over(work: Work) -> None:
    record = records.begin(work, PLAN, TEXT)
    path = work.records / "0001.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "mood": "good"}))
    assert records.every(work) == [record]


def test_two_people_never_have_the_same_number(work: Work) -> None:
    shelf = Shelf(first={3, 4})
    shelf.put(2, {})
    record = records.begin(work, PLAN, TEXT, store=shelf)
    assert record.number == 5
    assert shelf.kept[5] == json.loads(json.dumps(record.data()))
    assert [item.number for item in records.every(work)] == [5]


def test_an_apply_that_nobody_could_know_of_is_not_begun(work: Work) -> None:
    site: Any = SimpleNamespace(work=work, loaded=SimpleNamespace(text=TEXT))
    with pytest.raises(AccessDenied) as refused:
        applying._begin(site, PLAN, "apply", Shelf(broken=True))
    assert refused.value.problems[0].what == "nothing was touched: the record of this apply cannot be written"
    assert refused.value.problems[0].fix == "ask for it"
    assert len(refused.value.problems) == 2
    assert records.every(work) == []


def test_an_end_that_cannot_be_sent_is_said(work: Work) -> None:
    record = records.begin(work, PLAN, TEXT)
    site: Any = SimpleNamespace(work=work, notes=[])
    applying._send(site, record, Shelf(broken=True))
    assert "could not be written to s3://lab-state: AWS cannot be reached" in site.notes[0]
    assert "0001.json has it" in site.notes[0]


def test_everybodys_records_are_one_list(work: Work) -> None:
    shelf = Shelf()
    mine = records.end(work, records.begin(work, PLAN, TEXT, store=shelf), "done")
    theirs = replace(mine, number=2, who="grace@desk")
    shelf.put(2, theirs.data())
    old = replace(mine, number=3, who="ada@laptop", started="2026-01-01T00:00:00Z")
    records.write(work, old)
    shelf.put(3, replace(old, who="grace@desk").data())
    found = records.every(work, shelf)
    assert [(item.number, item.who, item.status) for item in found] == [
        (1, mine.who, "done"),  # ours has its end, the store's copy of it has not
        (2, "grace@desk", "done"),
        (3, "grace@desk", "done"),  # of two that are not the same one, everybody's
    ]


def test_pick(work: Work) -> None:
    record = records.begin(work, PLAN, TEXT)
    assert records.pick([record], "1", "log") is record
    for wrong in ("2", "x", "-1", "", "1.0", "⁷"):
        with pytest.raises(UsageError) as error:
            records.pick([record], wrong, "log")
        assert error.value.problems[0].fix == "one of: 1"
    with pytest.raises(UsageError) as error:
        records.pick([], "1", "log")
    assert error.value.problems[0].why == "nothing was applied yet"


def _cluster(path: Path, text: str) -> Cluster:
    path.write_text(text)
    return load(path).cluster


def test_a_running_record_without_its_process_was_killed(work: Work, tmp_path: Path) -> None:
    cluster = _cluster(tmp_path / "cluster.yaml", TEXT)
    past = History(cluster, work)
    with work.lock("infra apply"):
        records.begin(work, PLAN, TEXT)
        assert [record.status for record in past.read()] == ["running"]
    (record,) = past.read()
    assert record.status == "killed"
    assert record.regions == {"us-west-2": {"status": "not begun"}}
    other = replace(record, number=2, status="running", who="grace@desk", regions={"us-west-2": {"status": "running"}})
    records.write(work, other)
    assert past.read()[1].status == "running", "on another machine: nobody here can know"


def test_when_s3_cannot_be_read_ours_are_shown_and_it_is_said(
    work: Work, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = records.end(work, records.begin(work, PLAN, TEXT), "done")

    def broken(cluster: object, session: object) -> object:
        class Broken(Shelf):
            def every(self) -> list[dict[str, Any]]:
                raise Unreachable("AWS cannot be reached", where="s3://lab-state")

        return Broken() if session else None

    monkeypatch.setattr(history.remote_records, "of", broken)
    session: Any = object()
    past = History(_cluster(tmp_path / "cluster.yaml", S3_TEXT), work, session)
    assert past.read() == [record]
    assert past.notes == ["warning: only this machine's records: AWS cannot be reached (s3://lab-state)"]


class Objects:
    """The few functions of ``aws_s3`` that records use, in memory."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}

    def keys(self, session: object, region: str, bucket: str, prefix: str) -> list[str]:
        return sorted(key for key in self.kept if key.startswith(prefix))

    def read(self, session: object, region: str, bucket: str, key: str) -> Any:
        return SimpleNamespace(body=self.kept[key]) if key in self.kept else None

    def write(self, session: object, region: str, bucket: str, key: str, body: bytes, *, new: bool = False) -> str:
        if new and key in self.kept:
            raise Refused("somebody else wrote it first")
        self.kept[key] = body
        return "etag"


def test_records_in_a_bucket(work: Work, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    objects = Objects()
    monkeypatch.setattr(remote_records, "aws_s3", objects)
    session: Any = object()
    store = remote_records.of(_cluster(tmp_path / "cluster.yaml", S3_TEXT), session)
    assert store is not None
    assert store.claim(1, {"number": 1})
    assert not store.claim(1, {"number": 1, "of": "somebody else"})
    store.put(1, {"number": 1, "status": "done"})
    objects.kept["a/b/lab/log/0002.json"] = b"{ half"
    objects.kept["a/b/lab/log/readme.txt"] = b"by hand"
    assert next(iter(objects.kept)) == "a/b/lab/log/0001.json"
    assert store.numbers() == [1, 2]
    assert store.every() == [{"number": 1, "status": "done"}]
    assert records.begin(work, PLAN, TEXT, store=store).number == 3
    assert remote_records.of(_cluster(tmp_path / "cluster.yaml", TEXT), session) is None
    assert remote_records.of(_cluster(tmp_path / "cluster.yaml", S3_TEXT), None) is None


def _record(**rest: Any) -> Record:
    plain = {"started": "2026-11-01T00:00:00Z", "who": "ada@laptop", "pid": 1, "plan": "p", "spec": "s"}
    return Record(**{"number": 3, "spec_text": TEXT, **plain, **rest})


def test_the_way_back_is_read_from_the_record(tmp_path: Path) -> None:
    path = tmp_path / "cluster.yaml"
    path.write_text(TEXT.replace("us-west-2", "us-east-1"))
    today = load(path)
    back, warnings = asof.load(today, _record())
    assert back.cluster.aws is not None
    assert back.cluster.aws.regions == ["us-west-2"]
    assert back.path.name == "record 3 (cluster.yaml of 2026-11-01)"
    assert Work.of(back.cluster, back.path) == Work.of(today.cluster, today.path), "the same work folder"
    assert not back.path.exists()
    assert isinstance(warnings, list)


@pytest.mark.parametrize("text", [TEXT.replace("lab", "bal"), S3_TEXT])
def test_no_way_back_to_another_name_or_place_of_the_state(tmp_path: Path, text: str) -> None:
    path = tmp_path / "cluster.yaml"
    path.write_text(TEXT)
    with pytest.raises(Refused) as refused:
        asof.load(load(path), _record(spec_text=text))
    assert "infra log 3 --spec" in refused.value.problems[0].fix


def test_an_old_text_that_is_refused_today_says_which_record(tmp_path: Path) -> None:
    path = tmp_path / "cluster.yaml"
    path.write_text(TEXT)
    with pytest.raises(SpecError) as wrong:
        asof.load(load(path), _record(spec_text=TEXT + "poools: {}\n"))
    assert "record 3 (cluster.yaml of 2026-11-01):4" in wrong.value.problems[0].where


def test_no_way_back_to_a_destroy() -> None:
    with pytest.raises(Refused) as refused:
        asof.refuse_destroy(_record(command="destroy"))
    assert refused.value.problems[0].fix.endswith("infra plan --as-of 2")
