"""The record of every apply, beside the state: who, when, which plan, which spec, and what came of it.

A record is written before anything is touched, with status ``running``; one that still says so after its process has
died is the sign that something may exist that the state does not know.
"""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from infra import files
from infra.cloud.work import Work, now, who
from infra.errors import FileError, UsageError
from infra.plan.model import Plan

FORMAT = 1
OPEN = "running"


@dataclass(frozen=True, slots=True)
class Record:
    """One apply. ``status`` is running, done, failed or interrupted; ``regions`` says what came of each."""

    number: int
    started: str
    who: str
    pid: int
    plan: str
    spec: str
    spec_text: str
    command: str = "apply"
    status: str = OPEN
    ended: str = ""
    regions: dict[str, dict[str, Any]] = field(default_factory=dict)
    errors: tuple[dict[str, str], ...] = ()
    format: int = FORMAT

    def data(self) -> dict[str, Any]:
        return asdict(self)


def begin(work: Work, plan: Plan, spec_text: str, command: str = "apply") -> Record:
    """Write the record of an apply that is about to start. Called while the work folder is locked."""
    numbers = [int(path.stem) for path in _paths(work)]
    record = Record(
        number=max(numbers, default=0) + 1,
        started=now(),
        who=who(),
        pid=os.getpid(),
        plan=files.digest(plan.data()),
        spec=plan.spec,
        spec_text=spec_text,
        command=command,
        regions={region.region: {"status": "waiting"} for region in plan.regions if not region.empty},
    )
    write(work, record)
    return record


def end(work: Work, record: Record, status: str, errors: tuple[dict[str, str], ...] = ()) -> Record:
    """Close a record."""
    closed = replace(record, status=status, ended=now(), errors=errors)
    write(work, closed)
    return closed


def write(work: Work, record: Record) -> None:
    files.write_json(work.records / f"{record.number:04}.json", record.data(), mode=0o600)


def every(work: Work) -> list[Record]:
    """All records, oldest first. Damaged ones are left out: a record must never stop an apply."""
    found = []
    for path in _paths(work):
        try:
            data = files.read_json(path)
            found.append(Record(**{**data, "errors": tuple(data.get("errors", ()))}))
        except (FileError, TypeError, AttributeError):
            continue
    return found


def one(work: Work, number: str) -> Record:
    """The record with that number. Raises UsageError when there is none."""
    for record in every(work):
        if number.isdigit() and record.number == int(number):
            return record
    have = ", ".join(str(record.number) for record in every(work)[-10:])
    raise UsageError(
        f"there is no record {number!r}", where=str(work.records), fix=f"one of: {have}" if have else "see infra log"
    )


def unfinished(work: Work) -> list[Record]:
    """Records whose apply did not come to an end: killed, or failed midway since the last one that was done."""
    found: list[Record] = []
    for record in every(work):
        if record.status == "done":
            found = []
        else:
            found.append(record)
    return found


def _paths(work: Work) -> list[Path]:
    return sorted(path for path in work.records.glob("*.json") if path.stem.isdigit())
