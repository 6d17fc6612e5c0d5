"""The record of every apply, beside the state: who, when, which plan, which spec, and what came of it.

A record is written before anything is touched, with status ``running``; one that still says so after its process has
died is the sign that something may exist that the state does not know.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from infra import files
from infra.cloud.work import Work, now, who
from infra.errors import FileError, UsageError
from infra.plan.model import Plan

FORMAT = 1
OPEN = "running"


@dataclass(frozen=True, slots=True)
class Record:
    """One apply. ``status`` is running, done, failed or interrupted; ``regions`` and ``nodes`` say what came of each.

    ``only`` are the parts that were asked for ([] for all); ``as_of`` is the number of the record it went back to.
    """

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
    nodes: dict[str, dict[str, Any]] = field(default_factory=dict)
    errors: tuple[dict[str, str], ...] = ()
    only: tuple[str, ...] = ()
    as_of: str = ""
    format: int = FORMAT

    @property
    def host(self) -> str:
        """The machine that it ran on."""
        return self.who.rpartition("@")[2]

    def data(self) -> dict[str, Any]:
        return asdict(self)


class Store(Protocol):
    """Where records are kept besides the work folder, for everybody who applies this cluster."""

    def numbers(self) -> list[int]: ...

    def claim(self, number: int, data: dict[str, Any]) -> bool:
        """Write a new record; False when somebody has written one of that number."""

    def put(self, number: int, data: dict[str, Any]) -> None: ...

    def every(self) -> list[dict[str, Any]]: ...


def begin(work: Work, plan: Plan, spec_text: str, command: str = "apply", store: Store | None = None) -> Record:
    """Write the record of an apply that is about to start. Called while the work folder is locked.

    Raises what ``store`` raises: an apply that nobody else could know of is not begun.
    """
    numbers = [int(path.stem) for path in _paths(work)] + (store.numbers() if store else [])
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
        nodes={step.node: {"status": "waiting", "action": step.action} for step in plan.nodes},
        only=plan.only,
        as_of=plan.as_of,
    )
    while store is not None and not store.claim(record.number, record.data()):
        record = replace(record, number=record.number + 1)
    write(work, record)
    return record


def end(work: Work, record: Record, status: str, errors: tuple[dict[str, str], ...] = ()) -> Record:
    """Close a record."""
    closed = replace(record, status=status, ended=now(), errors=errors)
    write(work, closed)
    return closed


def write(work: Work, record: Record) -> None:
    files.write_json(work.records / f"{record.number:04}.json", record.data(), mode=0o600)


def every(work: Work, store: Store | None = None) -> list[Record]:
    """All records, oldest first. Damaged ones are left out: a record must never stop an apply.

    A record of the store goes before ours of the same number, unless ours is the same one and has an end.
    """
    found = {record.number: record for path in _paths(work) if (record := _read(path)) is not None}
    for data in store.every() if store else []:
        theirs = _record(data)
        ours = found.get(theirs.number) if theirs else None
        if theirs and not (ours and _same(ours, theirs) and theirs.status == OPEN):
            found[theirs.number] = theirs
    return [found[number] for number in sorted(found)]


def _same(one: Record, other: Record) -> bool:
    return (one.started, one.who, one.pid) == (other.started, other.who, other.pid)


def _read(path: Path) -> Record | None:
    try:
        return _record(files.read_json(path))
    except FileError:
        return None


def _record(data: Any) -> Record | None:
    """A record from its JSON, None when it is damaged; keys of a later version are passed over."""
    if not (isinstance(data, dict) and type(data.get("number")) is int and isinstance(data.get("regions"), dict)):
        return None
    if not isinstance(data.get("nodes", {}), dict):
        return None
    known = {name: value for name, value in data.items() if name in Record.__dataclass_fields__}
    try:
        given = {**known, "errors": tuple(known.get("errors", ())), "only": tuple(known.get("only", ()))}
        return Record(**given)
    except TypeError:
        return None


def pick(found: Sequence[Record], number: str, where: str) -> Record:
    """The record with that number. Raises UsageError when there is none."""
    for record in found:
        if number.isdecimal() and record.number == int(number):
            return record
    have = ", ".join(str(record.number) for record in found[-10:])
    raise UsageError(
        f"there is no record {number!r}",
        where=where,
        why="" if found else "nothing was applied yet",
        fix=f"one of: {have}" if have else "apply something first: infra plan, then infra apply",
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
    return sorted(path for path in work.records.glob("*.json") if path.stem.isdecimal())
