"""The way back: the ``cluster.yaml`` that an earlier apply was made from, read in place of today's."""

from __future__ import annotations

from infra.cloud.journal import records
from infra.cloud.journal import remote as remote_records
from infra.cloud.journal.records import Record
from infra.cloud.site import Site
from infra.errors import Problem, Refused
from infra.spec.load import Loaded, read


def go_back(site: Site, number: str) -> list[Problem]:
    """Make the site that of record ``number``; the warnings of its text are returned.

    Raises UsageError when there is no such record, Refused when there is no way back to it, SpecError when this
    version of infra would not accept its text.
    """
    record = records.pick(records.every(site.work, remote_records.of_site(site)), number, str(site.work.records))
    refuse_destroy(record)
    site.loaded, warnings = load(site.loaded, record)
    return warnings


def refuse_destroy(record: Record) -> None:
    if record.command == "destroy":
        raise Refused(
            f"record {record.number} is of a destroy: what it left is nothing, and the way there is infra destroy",
            where=f"--as-of {record.number}",
            fix=f"to have again what was there before it: infra plan --as-of {max(record.number - 1, 1)}",
        )


def load(today: Loaded, record: Record) -> tuple[Loaded, list[Problem]]:
    """The record's text as if it stood beside today's file, on today's endpoint."""
    path = today.path.with_name(f"record {record.number} ({today.path.name} of {record.started[:10]})")
    endpoint = today.cluster.aws.endpoint if today.cluster.aws else None
    loaded, warnings = read(path, endpoint, record.spec_text)
    then, now = loaded.cluster, today.cluster
    if then.cluster != now.cluster or then.state != now.state:
        what = "cluster's name" if then.cluster != now.cluster else "place of the state"
        raise Refused(
            f"the {what} was another one at record {record.number}",
            where=f"--as-of {record.number}",
            why="Terraform would see nothing of what exists, and make it all a second time",
            fix=f"take what you need of the old text: infra log {record.number} --spec",
        )
    return loaded, warnings
