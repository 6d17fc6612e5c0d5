"""One bake of a digest at a time, wherever it is run from: a parameter in Systems Manager with an owner and a pulse.

The owner writes it anew every minute. One whose last pulse is older than five minutes, by AWS's own clock, is dead;
so is one of this very machine whose process is gone.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import secrets
import threading
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

from infra.cloud.aws import Session, code_of, translated
from infra.cloud.work import now, who
from infra.errors import InfraError, StateLocked

PULSE = 60.0
DEAD = 5 * PULSE
SETTLE = 1.0
BOOT = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class Owner:
    """Who bakes. ``id`` is the bake's: what it starts carries it as the tag ``infra:bake``."""

    id: str
    who: str
    machine: str
    pid: int
    since: str
    region: str
    name: str


def owner(region: str, name: str) -> Owner:
    """Us, about to bake the AMI ``name``."""
    return Owner(secrets.token_hex(6), who(), _machine(), os.getpid(), now(), region, name)


@contextlib.contextmanager
def held(session: Session, cluster: str, profile: str, digest: str, mine: Owner) -> Iterator[Owner | None]:
    """Hold the lock; the value is a dead owner whose place was taken, or None. Raises StateLocked naming the other."""
    home = session.aws.home
    parameter = f"/infra/{cluster}/bakes/{profile}/{digest[:12]}"
    former = _take(session, home, parameter, mine, profile, digest)
    ended = threading.Event()
    pulse = threading.Thread(target=_beat, args=(session, home, parameter, mine, ended), daemon=True)
    pulse.start()
    try:
        yield former
    finally:
        ended.set()
        pulse.join(timeout=10)
        with translated("ssm:DeleteParameter", parameter, session.profile):
            _delete(session, home, parameter)


def abandoned(session: Session, cluster: str) -> list[tuple[str, Owner]]:
    """Locks of other digests of the cluster whose owners are dead: their parameters, and who they were."""
    home, found = session.aws.home, []
    folder = f"/infra/{cluster}/bakes"
    with translated("ssm:GetParametersByPath", folder, session.profile):
        pages = session.client("ssm", home).get_paginator("get_parameters_by_path")
        for page in pages.paginate(Path=folder, Recursive=True):
            for item in page["Parameters"]:
                age = (_date(page) - item["LastModifiedDate"]).total_seconds()
                owner = _parsed(item["Value"])
                if owner is not None and _dead(owner, age):
                    found.append((str(item["Name"]), owner))
    return found


def forget(session: Session, parameter: str) -> None:
    """Remove the lock of a dead owner, when all that it left is gone."""
    with translated("ssm:DeleteParameter", parameter, session.profile):
        _delete(session, session.aws.home, parameter)


def _take(session: Session, home: str, parameter: str, mine: Owner, profile: str, digest: str) -> Owner | None:
    if _put(session, home, parameter, mine, fresh=True):
        return None
    found, age = _read(session, home, parameter)
    if found is not None and not _dead(found, age):
        raise StateLocked(
            f"a bake of {profile} ({digest[:12]}) is running already",
            where=f"{home}:{parameter}",
            why=f"process {found.pid} of {found.who}, since {found.since}, building {found.name} in {found.region}",
            fix="wait for it to end; then the same command finds its image",
        )
    with translated("ssm:DeleteParameter", parameter, session.profile):
        _delete(session, home, parameter)
    if not _put(session, home, parameter, mine, fresh=True):
        return _take(session, home, parameter, mine, profile, digest)
    threading.Event().wait(SETTLE)  # another may have seen the same dead owner, and have taken it from us
    now_there, _ = _read(session, home, parameter)
    if now_there is None or now_there.id != mine.id:
        return _take(session, home, parameter, mine, profile, digest)
    return found


def _dead(found: Owner, age: float) -> bool:
    """No pulse for too long, or a process of this machine that is gone (its number may also be another's by now)."""
    ours = found.machine == _machine() and BOOT.exists()
    return age > DEAD or (ours and not Path(f"/proc/{found.pid}").exists())


def _beat(session: Session, home: str, parameter: str, mine: Owner, ended: threading.Event) -> None:
    while not ended.wait(PULSE):
        with contextlib.suppress(InfraError):  # the next one may get through; five missed are death
            _put(session, home, parameter, mine, fresh=False)


def _put(session: Session, home: str, parameter: str, mine: Owner, fresh: bool) -> bool:
    """False when ``fresh`` and it is there already."""
    from botocore.exceptions import ClientError

    with translated("ssm:PutParameter", parameter, session.profile):
        try:
            session.client("ssm", home).put_parameter(
                Name=parameter, Value=json.dumps(asdict(mine)), Type="String", Overwrite=not fresh
            )
        except ClientError as error:
            if code_of(error) == "ParameterAlreadyExists":
                return False
            raise
    return True


def _read(session: Session, home: str, parameter: str) -> tuple[Owner | None, float]:
    """The owner and the seconds since its last pulse; None for what is gone or cannot be read."""
    from botocore.exceptions import ClientError

    with translated("ssm:GetParameter", parameter, session.profile):
        try:
            said = session.client("ssm", home).get_parameter(Name=parameter)
        except ClientError as error:
            if code_of(error) == "ParameterNotFound":
                return None, 0.0
            raise
    age = (_date(said) - said["Parameter"]["LastModifiedDate"]).total_seconds()
    return _parsed(said["Parameter"]["Value"]), age


def _parsed(text: str) -> Owner | None:
    with contextlib.suppress(ValueError, TypeError):
        return Owner(**json.loads(text))
    return None


def _date(said: Mapping[str, Any]) -> datetime:
    """AWS's clock: ours may be wrong."""
    text = said.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date", "")
    with contextlib.suppress(ValueError, TypeError):
        found = parsedate_to_datetime(text)
        return found if found.tzinfo else found.replace(tzinfo=UTC)  # some servers write -0000
    return datetime.now(UTC)


def _delete(session: Session, home: str, parameter: str) -> None:
    from botocore.exceptions import ClientError

    try:
        session.client("ssm", home).delete_parameter(Name=parameter)
    except ClientError as error:
        if code_of(error) != "ParameterNotFound":
            raise


def _machine() -> str:
    """This machine since it was started: a process number means something only there."""
    with contextlib.suppress(OSError):
        return f"{platform.node()}/{BOOT.read_text().strip()[:13]}"
    return platform.node()
