"""``infra log``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from infra.cli.common import emit, spec_options

if TYPE_CHECKING:
    from infra.cloud.journal.records import Record

EPILOG = """\b
Examples:
  infra log                           every apply and destroy: who, when, what came of it
  infra log 3                         one of them, with its errors
  infra log 3 --spec > cluster.yaml   take back the file that it was made from
  infra plan --as-of 3                plan the way back to it
"""


@click.command(epilog=EPILOG)
@spec_options
@click.argument("number", required=False, default="", metavar="[N]")
@click.option("--spec", is_flag=True, help="Print the cluster.yaml of record N, and nothing else.")
def command(file: Path, endpoint: str | None, as_json: bool, number: str, spec: bool) -> int:
    """Show the record of every apply.

    Exit code 0: shown; 1: an error, such as no record of that number.
    """
    from infra.cloud.journal import history, records
    from infra.errors import UsageError
    from infra.spec.load import load

    if spec and not number:
        raise UsageError("--spec is of which record?", where="command line", fix="name one: infra log 3 --spec")
    past = history.of(load(file, endpoint))
    found = past.read()
    for note in past.notes:
        click.echo(note, err=True)
    if not number:
        _all(past.cluster.cluster, found, as_json)
        return 0
    record = records.pick(found, number, str(past.work.records))
    if spec:
        click.echo(record.spec_text, nl=False)
    elif as_json:
        emit(record.data())
    else:
        from infra.ui import log_view

        log_view.one(record)
    return 0


def _all(cluster: str, found: list[Record], as_json: bool) -> None:
    if as_json:
        short = [{key: value for key, value in record.data().items() if key != "spec_text"} for record in found]
        emit({"format": 1, "cluster": cluster, "records": short})
        return
    from infra.ui import log_view

    log_view.every(cluster, found)
