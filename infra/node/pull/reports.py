"""What machines that pull say of themselves: one report each in the ledger's bucket, the last one.

Who does not report any more is known too: a machine that the inventory has, or that reported before, and that was
silent for three of its intervals.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any

from infra.cloud import aws_s3
from infra.cloud.aws import Session
from infra.image import shelf
from infra.node.model import Node
from infra.spec.models import Cluster

FOLDER = "reports"
AT_ONCE = 32
PATIENCE = 3  # intervals
DEFAULT = 30  # minutes, where neither the report nor the file says it


@dataclass(frozen=True, slots=True)
class Report:
    """What a machine left. ``name`` is the one it gave itself, ``host`` its hostname, ``instance`` its id in EC2.

    ``digest`` is what it is, ``wanted`` what it was told to be. ``status``: converged, reboot (needed), failed, busy,
    error (it could not even begin). ``when`` is UTC ISO; ``seconds`` and ``interval`` (minutes) are numbers.
    """

    name: str
    profile: str
    host: str = ""
    instance: str = ""
    digest: str = ""
    wanted: str = ""
    status: str = ""
    exit: int = 0
    what: str = ""
    resource: str = ""
    message: str = ""
    seconds: int = 0
    when: str = ""
    boot_id: str = ""
    reboot_pending: bool = False
    interval: int = DEFAULT


@dataclass(frozen=True, slots=True)
class Row:
    """A machine and its last report. ``node`` is None for one that the inventory does not have."""

    name: str
    profile: str
    node: Node | None
    report: Report | None
    promoted: str
    age: float | None

    @property
    def silent(self) -> bool:
        """It has not reported for three intervals, or never did."""
        if self.report is None or self.age is None:
            return True
        return self.age > PATIENCE * self.report.interval * 60

    @property
    def behind(self) -> bool:
        """It is not what is promoted now."""
        return self.report is not None and bool(self.promoted) and self.report.digest != self.promoted

    @property
    def well(self) -> bool:
        return not self.silent and not self.behind and self.report is not None and self.report.status == "converged"

    def data(self) -> dict[str, Any]:
        said = self.report or Report(self.name, self.profile)
        return {
            "name": self.name,
            "profile": self.profile,
            "known": self.node is not None,
            "instance": said.instance or (self.node.instance if self.node else ""),
            "host": said.host,
            "digest": said.digest,
            "promoted": self.promoted,
            "status": said.status,
            "exit": said.exit if self.report else None,
            "what": said.what,
            "resource": said.resource,
            "message": said.message,
            "seconds": said.seconds if self.report else None,
            "when": said.when,
            "age": round(self.age) if self.age is not None else None,
            "boot_id": said.boot_id,
            "reboot_pending": said.reboot_pending,
            "interval": said.interval if self.report else None,
            "silent": self.silent,
            "behind": self.behind,
        }


def read(session: Session, cluster: Cluster, profiles: Iterable[str]) -> list[Report]:
    """Every report of these profiles, by name. One that cannot be read counts as none."""
    place = shelf.shelf(session, cluster)
    tops = [f"{place.prefix}{FOLDER}/{profile}/" for profile in profiles]
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="reports") as pool:
        listed = pool.map(lambda top: aws_s3.keys(session, place.region, place.bucket, top), tops)
        keys = [key for found in listed for key in found if key.endswith(".json")]
        bodies = pool.map(lambda key: aws_s3.read(session, place.region, place.bucket, key), keys)
        made = [parse(key, stored.body) for key, stored in zip(keys, bodies, strict=True) if stored is not None]
    return sorted((report for report in made if report is not None), key=lambda report: (report.profile, report.name))


def parse(key: str, body: bytes) -> Report | None:
    """The report under ``…/<profile>/<name>.json``; its place, not its text, says whose it is. None: it is none."""
    try:
        said = json.loads(body)
    except ValueError:
        return None
    if not isinstance(said, dict):
        return None
    profile, name = key.removesuffix(".json").split("/")[-2:]
    known = {field.name: field.default for field in fields(Report) if field.name not in ("name", "profile")}
    given = {field: _like(said.get(field), default) for field, default in known.items()}
    return Report(name, profile, **given)


def rows(
    nodes: Sequence[Node],
    reports: Iterable[Report],
    promoted: Mapping[str, str],
    *,
    others: bool = True,
    now: datetime | None = None,
) -> list[Row]:
    """A row for each node, in order, and with ``others`` for each report of a machine that is none of them."""
    moment = now or datetime.now(UTC)
    left = {(report.profile, report.name): report for report in reports}
    made = []
    for node in nodes:
        mine = [key for key, report in left.items() if key[0] == node.profile and _of(report, node)]
        found = [left.pop(key) for key in mine]
        report = max(found, key=lambda item: item.when, default=None)
        made.append(_row(node.name, node.profile, node, report, promoted, moment))
    if others:
        made += [_row(name, profile, None, item, promoted, moment) for (profile, name), item in left.items()]
    return made


def _row(
    name: str, profile: str, node: Node | None, report: Report | None, promoted: Mapping[str, str], now: datetime
) -> Row:
    return Row(name, profile, node, report, promoted.get(profile, ""), _age(report.when, now) if report else None)


def _of(report: Report, node: Node) -> bool:
    """A machine names itself by its instance's id, its name in the file, or its hostname."""
    if node.instance:
        return node.instance in (report.name, report.instance)
    names = {report.name, report.host} - {""}
    return bool(names & {node.name, node.address}) or node.name in {name.split(".")[0] for name in names}


def _age(when: str, now: datetime) -> float | None:
    try:
        return max(0.0, (now - datetime.fromisoformat(when.replace("Z", "+00:00"))).total_seconds())
    except (ValueError, TypeError):
        return None


def _like(value: Any, default: Any) -> Any:
    """The value when it is of the default's type, else the default. A text is one for a terminal: whoever may write
    a report is not to move anybody's cursor."""
    if type(value) is not type(default) or (default == DEFAULT and not value):
        return default
    if isinstance(value, str):
        return "".join(letter if letter.isprintable() or letter == "\n" else "?" for letter in value)
    return value
