"""Every lock that can stop a cluster's next run: whose it is, how old, whether its owner lives, and its release.

Three kinds. ``run``: ours, ``lock.json`` in the work folder, held with flock. ``state``: Terraform's on a local state,
held with a POSIX lock. ``s3``: Terraform's on a state in S3, an object beside it; only this kind outlives its owner
and stops anybody.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import platform
import struct
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from infra.cloud import aws_s3
from infra.cloud.aws import Session
from infra.cloud.project.settings import state_key
from infra.cloud.work import Work
from infra.errors import Refused, StateLocked
from infra.files import explain
from infra.plan.model import LINKS
from infra.spec.models import Cluster, S3State

OPERATIONS = {"OperationTypeApply": "apply", "OperationTypePlan": "plan", "OperationTypeRefresh": "refresh"}
# How the C library lays out struct flock: (format, place of the pid, fields for a write lock on the whole file).
_FLOCK = ("qqihh4x", 2) if sys.platform == "darwin" else ("hhxxxxqqixxxx", 4)


@dataclass(frozen=True, slots=True)
class Lock:
    """One lock. ``alive``: its owner runs on this machine; False: it does not; None: it is (or was) elsewhere.

    ``blocks`` is False for what a dead owner left behind without stopping anybody. ``etag`` is of the S3 object.
    """

    kind: str
    place: str
    region: str = ""
    id: str = ""
    who: str = ""
    operation: str = ""
    created: datetime | None = None
    alive: bool | None = None
    blocks: bool = True
    pid: int = 0
    etag: str = ""

    def age(self, now: datetime | None = None) -> float | None:
        """Seconds since it was taken; None when it does not say."""
        return None if self.created is None else ((now or datetime.now(UTC)) - self.created).total_seconds()

    def data(self) -> dict[str, Any]:
        age = self.age()
        return {
            "kind": self.kind,
            "place": self.place,
            "region": self.region,
            "id": self.id,
            "who": self.who,
            "operation": self.operation,
            "created": self.created.isoformat(timespec="seconds") if self.created else None,
            "age_seconds": None if age is None else round(age),
            "owner_alive": self.alive,
            "blocks": self.blocks,
            "pid": self.pid or None,
        }


def every(cluster: Cluster, work: Work, regions: tuple[str, ...], session: Session | None) -> list[Lock]:
    """All locks of a cluster: ours first, then region by region. ``session`` is needed for a state in S3."""
    found = [run_lock(work)]
    shared = cluster.state.s3 is not None and cluster.kubernetes is not None
    between = [LINKS] if shared or (work.region(LINKS) / "main.tf.json").is_file() else []
    for region in (*regions, *between):
        found.append(state_lock(work.region(region), region))
        if cluster.state.s3 is not None and session is not None:
            found.append(s3_lock(session, cluster, region))
    return [lock for lock in found if lock is not None]


def run_lock(work: Work) -> Lock | None:
    """Ours. The kernel frees it with its owner: what a dead one leaves is only its name."""
    path = work.folder / "lock.json"
    owner, held = _owner(path)
    if not owner and not held:
        return None
    return Lock(
        kind="run",
        place=str(path),
        who=str(owner.get("who", "?")),
        operation=str(owner.get("command", "")),
        created=_time(str(owner.get("started", ""))),
        alive=held,
        blocks=held,
        pid=int(owner.get("pid") or 0),
    )


def state_lock(folder: Path, region: str) -> Lock | None:
    """Terraform's on the local state in a region's folder; it, too, dies with its owner."""
    info = folder / ".terraform.tfstate.lock.info"
    pid = _holder(folder / "terraform.tfstate")
    if not info.exists() and not pid:
        return None
    said = _json(info)
    return _terraforms(said, kind="state", place=str(info), region=region, alive=bool(pid), blocks=bool(pid), pid=pid)


def s3_lock(session: Session, cluster: Cluster, region: str) -> Lock | None:
    """Terraform's on a state in S3. It stays when its owner dies."""
    state = cluster.state.s3
    assert state is not None
    key = lock_key(cluster, region)
    stored = aws_s3.read(session, state.region, state.bucket, key)
    if stored is None:
        return None
    said = _parse(stored.body)
    pid = _worker(state, state_key(cluster, region), session.endpoint)
    here = str(said.get("Who", "")).rpartition("@")[2] == platform.node()
    lock = _terraforms(
        said,
        kind="s3",
        place=f"s3://{state.bucket}/{key}",
        region=region,
        alive=True if pid else False if here and pid is not None else None,
        pid=pid or 0,
        etag=stored.etag,
    )
    return lock if lock.created or stored.modified is None else _with_time(lock, stored.modified)


def lock_key(cluster: Cluster, region: str) -> str:
    return f"{state_key(cluster, region)}.tflock"


def release(lock: Lock, cluster: Cluster, session: Session | None, force: bool = False) -> None:
    """Release one lock. Raises Refused when its owner lives (``force`` overrides that for S3 only), StateLocked when
    it is another lock by now."""
    if lock.alive and (lock.kind != "s3" or not force):
        raise refusal(lock)
    if lock.kind == "s3":
        _release_s3(lock, cluster, session)
        return
    path = Path(lock.place)
    try:
        if lock.kind == "state":
            path.unlink(missing_ok=True)
        else:
            os.truncate(path, 0)
    except OSError as error:
        raise explain("release", path, error) from error


def refusal(lock: Lock) -> Refused:
    process = f"process {lock.pid}" if lock.pid else "its process"
    force = ", or release it all the same: infra unlock --force" if lock.kind == "s3" else ""
    return Refused(
        f"{lock.who or 'somebody'} is at work: {process} lives on this machine",
        where=lock.place,
        why="a lock taken from a living run lets two of them write the same state",
        fix=f"wait for it, or end it (kill {lock.pid or 'PID'}){force}",
    )


def _release_s3(lock: Lock, cluster: Cluster, session: Session | None) -> None:
    state = cluster.state.s3
    assert state is not None
    assert session is not None
    key = lock_key(cluster, lock.region)
    stored = aws_s3.read(session, state.region, state.bucket, key)
    if stored is None:
        return
    same = str(_parse(stored.body).get("ID", "")) == lock.id
    if not same or not aws_s3.remove(session, state.region, state.bucket, key, stored.etag):
        raise StateLocked(
            "it is another lock by now: somebody else began to work",
            where=lock.place,
            why=f"the lock that you looked at was {lock.id} of {lock.who}",
            fix="look again: infra unlock",
        )


def _terraforms(said: Mapping[str, Any], **rest: Any) -> Lock:
    operation = str(said.get("Operation", ""))
    return Lock(
        id=str(said.get("ID", "")),
        who=str(said.get("Who", "?")),
        operation=f"terraform {OPERATIONS.get(operation, operation)}".strip(),
        created=_time(str(said.get("Created", ""))),
        **rest,
    )


def _with_time(lock: Lock, moment: datetime) -> Lock:
    from dataclasses import replace

    return replace(lock, created=moment)


def _owner(path: Path) -> tuple[dict[str, Any], bool]:
    """What our lock file says, and whether somebody holds it."""
    try:
        with path.open("rb") as handle:
            held = False
            try:
                fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
                fcntl.flock(handle, fcntl.LOCK_UN)
            except BlockingIOError:
                held = True
            return _parse(handle.read()), held
    except OSError:
        return {}, False


def _holder(path: Path) -> int:
    """The pid that holds a POSIX lock on the file, 0 for nobody. Asks only: takes no lock."""
    layout, place = _FLOCK
    query = [0, 0, 0, 0, 0]
    query[3 if sys.platform == "darwin" else 0] = fcntl.F_WRLCK
    with contextlib.suppress(OSError, struct.error), path.open("rb") as handle:
        said = struct.unpack(layout, fcntl.fcntl(handle, fcntl.F_GETLK, struct.pack(layout, *query)))
        if said[3 if sys.platform == "darwin" else 0] != fcntl.F_UNLCK:
            return int(said[place])
    return 0


def _worker(state: S3State, key: str, endpoint: str | None) -> int | None:
    """The pid of a Terraform on this machine that works on that state; 0: there is none; None: cannot be known.

    ``endpoint`` is None for AWS itself. Two embedded AWSes may each hold a bucket of one name.
    """
    if not Path("/proc/self/cmdline").exists():
        return None
    hidden = False
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            words = entry.joinpath("cmdline").read_bytes().split(b"\0")
            if not _is_engine(words):
                continue
            folder = entry.joinpath("cwd").resolve(strict=True)
        except PermissionError:
            hidden = True
            continue
        except OSError:  # it ended while we looked
            continue
        backend = _json(folder / ".terraform" / "terraform.tfstate").get("backend", {})
        config = backend.get("config", {}) if isinstance(backend, dict) else {}
        served = (config.get("endpoints") or {}).get("s3")
        if (config.get("bucket"), config.get("key"), served) == (state.bucket, key, endpoint):
            return int(entry.name)
    return None if hidden else 0


def _is_engine(words: list[bytes]) -> bool:
    """``terraform …``, ``tofu …``, or our embedded one (a Python program of that name); not a provider."""
    names = [word.rpartition(b"/")[2] for word in words[:4]]
    return any(name in (b"terraform", b"tofu", b"terraform.py") for name in names)


def _json(path: Path) -> dict[str, Any]:
    try:
        return _parse(path.read_bytes())
    except OSError:
        return {}


def _parse(raw: bytes) -> dict[str, Any]:
    """An object, or {}: a lock file may be empty or cut off when its writer was killed or the disk was full."""
    try:
        data = json.loads(raw)
    except ValueError:
        return {}
    return data if isinstance(data, dict) else {}


def _time(text: str) -> datetime | None:
    """Terraform writes nanoseconds, Python reads microseconds."""
    head, dot, rest = text.partition(".")
    digits = "".join(char for char in rest if char.isdigit())[:6]
    try:
        moment = datetime.fromisoformat(f"{head}.{digits}+00:00" if dot else head.replace("Z", "+00:00"))
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
