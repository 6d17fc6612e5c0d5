"""The records as they are to be understood now: one that says ``running`` and has no process any more was killed."""

from __future__ import annotations

import platform
from dataclasses import dataclass, field, replace

from infra.cloud import aws as driver
from infra.cloud import locks
from infra.cloud.aws import Session
from infra.cloud.journal import records
from infra.cloud.journal import remote as remote_records
from infra.cloud.journal.records import OPEN, Record
from infra.cloud.work import Work
from infra.errors import InfraError
from infra.spec.load import Loaded
from infra.spec.models import Cluster

KILLED = "killed"
UNDONE = ("running", "waiting")


@dataclass(slots=True)
class History:
    """Where a cluster's records are. ``session`` is None for files alone; ``notes`` say what could not be read."""

    cluster: Cluster
    work: Work
    session: Session | None = None
    notes: list[str] = field(default_factory=list)

    def read(self) -> list[Record]:
        """All records, oldest first; of a state in S3 everybody's. When S3 cannot be read, ours, and a note."""
        try:
            found = records.every(self.work, remote_records.of(self.cluster, self.session))
        except InfraError as error:
            problem = error.problems[0]
            self.notes.append(f"warning: only this machine's records: {problem.what} ({problem.where})")
            self.session = None
            found = records.every(self.work)
        return [self._settled(record) for record in found]

    def _settled(self, record: Record) -> Record:
        if record.status != OPEN or self._alive(record):
            return record
        regions = {
            name: {**facts, "status": KILLED if facts.get("status") == "running" else "not begun"}
            if facts.get("status") in UNDONE
            else facts
            for name, facts in record.regions.items()
        }
        return replace(record, status=KILLED, regions=regions)

    def _alive(self, record: Record) -> bool:
        """Whether its process lives: on this machine it holds our lock; elsewhere Terraform's in S3, if anything."""
        if record.host == platform.node():
            lock = locks.run_lock(self.work)
            return lock is not None and bool(lock.alive) and lock.pid == record.pid
        if self.session is None:
            return True
        try:
            return any(locks.s3_lock(self.session, self.cluster, region) for region in record.regions)
        except InfraError:
            return True


def of(loaded: Loaded) -> History:
    """The history of a file's cluster. Needs no engine; the embedded AWS is started only when the state is in it."""
    cluster = loaded.cluster
    work = Work.of(cluster, loaded.path)
    if cluster.state.s3 is None or cluster.aws is None:
        return History(cluster, work)
    url = None
    if cluster.local:
        from infra.local import control

        url = control.up().url
    return History(cluster, work, driver.session(cluster.aws, url))
