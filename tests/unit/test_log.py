"""The table of records and one record, as a person reads them."""

from __future__ import annotations

import pytest

from infra.cloud.journal.records import Record
from infra.ui import log_view
from tests.unit.render import golden, render

TEXT = "version: 1\ncluster: lab\n"
DONE = Record(
    1,
    "2026-11-01T10:00:00Z",
    "ada@laptop",
    11,
    "a" * 64,
    "b" * 64,
    TEXT,
    status="done",
    ended="2026-11-01T10:01:33Z",
    regions={"us-west-2": {"status": "done", "add": 67, "change": 0, "remove": 0}, "us-east-1": {"status": "done"}},
)
FAILED = Record(
    2,
    "2026-11-02T10:00:00Z",
    "grace@desk",
    12,
    "c" * 64,
    "d" * 64,
    TEXT,
    status="failed",
    ended="2026-11-02T10:00:09Z",
    regions={"us-west-2": {"status": "done", "change": 2, "remove": 1}, "us-east-1": {"status": "failed"}},
    errors=({"level": "error", "what": "AWS [refused]", "where": "us-east-1", "why": "quota", "fix": "ask"},),
    only=("pools.gpu", "hosts.dev"),
)
KILLED = Record(3, "2026-11-03T10:00:00Z", "ada@laptop", 13, "e" * 64, "b" * 64, TEXT, status="killed", as_of="1")
DESTROY = Record(
    4,
    "2026-11-04T10:00:00Z",
    "ada@laptop",
    14,
    "f" * 64,
    "b" * 64,
    TEXT,
    command="destroy",
    status="done",
    ended="broken",
    regions={"us-west-2": {"status": "done", "remove": 67}},
)


def test_golden(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    all_of_them = [DONE, FAILED, KILLED, DESTROY]
    golden("log.txt", render(log_view.every, "lab", all_of_them, monkeypatch=monkeypatch, capsys=capsys))
    golden("log_one.txt", render(log_view.one, FAILED, monkeypatch=monkeypatch, capsys=capsys))
    empty = render(log_view.every, "lab", [], monkeypatch=monkeypatch, capsys=capsys)
    assert empty == "lab: nothing was applied yet. Next: infra plan\n"


@pytest.mark.parametrize(
    ("record", "text"), [(DONE, "1m 33s"), (FAILED, "9s"), (KILLED, ""), (DESTROY, "")], ids=["min", "s", "open", "odd"]
)
def test_how_long_it_took(record: Record, text: str) -> None:
    assert log_view.took(record) == text


def test_words() -> None:
    assert log_view.words(FAILED) == "apply of pools.gpu, hosts.dev"
    assert log_view.words(KILLED) == "apply as of 1"
    assert log_view.words(DESTROY) == "destroy"
