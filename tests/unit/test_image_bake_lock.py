"""One bake of a digest at a time: who holds, who is dead, who may take over; against a Systems Manager in memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from infra.errors import StateLocked
from infra.image import lock

NOW = datetime(2026, 11, 22, 5, 0, tzinfo=UTC)
DIGEST = "d" * 64
NAME = f"/infra/lab/bakes/gpu/{DIGEST[:12]}"


class Ssm:
    """Parameters with the moment of their last change, by AWS's clock."""

    def __init__(self) -> None:
        self.kept: dict[str, tuple[str, datetime]] = {}
        self.clock = NOW
        self.zone = ""

    def put_parameter(self, Name: str, Value: str, Type: str, Overwrite: bool) -> None:
        if Name in self.kept and not Overwrite:
            raise self._no("ParameterAlreadyExists")
        self.kept[Name] = (Value, self.clock)

    def get_parameter(self, Name: str) -> dict[str, Any]:
        if Name not in self.kept:
            raise self._no("ParameterNotFound")
        return {"Parameter": self._shown(Name), **self._head()}

    def delete_parameter(self, Name: str) -> None:
        if Name not in self.kept:
            raise self._no("ParameterNotFound")
        del self.kept[Name]

    def get_paginator(self, _operation: str) -> Ssm:
        return self

    def paginate(self, Path: str, Recursive: bool) -> list[dict[str, Any]]:
        found = [self._shown(name) for name in self.kept if name.startswith(f"{Path}/")]
        return [{"Parameters": found, **self._head()}]

    def _shown(self, name: str) -> dict[str, Any]:
        value, changed = self.kept[name]
        return {"Name": name, "Value": value, "LastModifiedDate": changed}

    def _head(self) -> dict[str, Any]:
        self.zone = "GMT" if self.zone == "-0000" else "-0000"  # both are written
        date = format_datetime(self.clock, usegmt=True).replace("GMT", self.zone)
        return {"ResponseMetadata": {"HTTPHeaders": {"date": date}}}

    def _no(self, code: str) -> ClientError:
        return ClientError({"Error": {"Code": code}}, "Parameter")


class Session:
    """As much of a session as a lock needs."""

    profile = ""

    def __init__(self) -> None:
        self.ssm = Ssm()
        self.aws = self
        self.home = "us-west-2"

    def client(self, _service: str, _region: str) -> Ssm:
        return self.ssm


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(lock, "SETTLE", 0.0)
    return Session()


MINE = lock.owner("us-west-2", "lab-gpu-1")
OTHERS = replace(MINE, id="0123456789ab", who="ada@laptop", machine="laptop/1", pid=17)


def hold(session: Any, mine: lock.Owner = MINE) -> Any:
    return lock.held(session, "lab", "gpu", DIGEST, mine)


def there(session: Any, owner: lock.Owner, age: float, name: str = NAME) -> None:
    session.ssm.kept[name] = (json.dumps(asdict(owner)), NOW - timedelta(seconds=age))


def test_it_is_free_before_and_after(session: Any) -> None:
    with hold(session) as former:
        assert former is None
        assert json.loads(session.ssm.kept[NAME][0])["pid"] == os.getpid()
    assert session.ssm.kept == {}


def test_it_is_free_again_after_a_failure(session: Any) -> None:
    with pytest.raises(ZeroDivisionError), hold(session):
        raise ZeroDivisionError
    assert session.ssm.kept == {}


def test_a_second_bake_is_told_who_has_it(session: Any) -> None:
    there(session, OTHERS, age=100)
    with pytest.raises(StateLocked) as caught, hold(session):
        pass
    problem = caught.value.problems[0]
    assert "is running already" in problem.what and "process 17 of ada@laptop" in problem.why
    assert NAME in session.ssm.kept, "it is still the other's"


def test_without_a_pulse_it_is_dead_by_awss_clock(session: Any) -> None:
    there(session, OTHERS, age=lock.DEAD + 1)
    with hold(session) as former:
        assert former == OTHERS


@pytest.mark.skipif(not lock.BOOT.exists(), reason="only Linux tells which start of a machine this is")
def test_a_process_of_this_machine_that_is_gone_is_dead_at_once(session: Any) -> None:
    gone = subprocess.Popen([sys.executable, "-c", "pass"])
    gone.wait()
    there(session, replace(MINE, pid=gone.pid), age=1)
    with hold(session) as former:
        assert former is not None and former.pid == gone.pid
    there(session, replace(MINE, id="another"), age=1)
    with pytest.raises(StateLocked), hold(session):
        pass


def test_a_lock_that_cannot_be_read_is_none(session: Any) -> None:
    session.ssm.kept[NAME] = ("{", NOW)
    with hold(session) as former:
        assert former is None


def test_dead_bakes_of_other_digests_are_found(session: Any) -> None:
    other = f"/infra/lab/bakes/cpu/{'e' * 12}"
    there(session, OTHERS, age=lock.DEAD + 1, name=other)
    there(session, OTHERS, age=1, name=f"/infra/lab/bakes/cpu/{'f' * 12}")
    assert lock.abandoned(session, "lab") == [(other, OTHERS)]
    lock.forget(session, other)
    assert lock.abandoned(session, "lab") == []
