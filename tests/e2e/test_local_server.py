"""The server of the embedded AWS as a process: started once, found again, stopped, and survived by its record."""

from __future__ import annotations

import concurrent.futures
import functools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.errors import LocalError
from infra.local import control, inventory
from infra.local import record as records

pytestmark = pytest.mark.engine


@pytest.fixture(autouse=True)
def place(tmp_path: Path, session_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "aws"
    monkeypatch.setenv("XDG_CACHE_HOME", session_environment["XDG_CACHE_HOME"])
    monkeypatch.setenv("INFRA_LOCAL_DIR", str(folder))
    yield folder
    control.down()


def gone(pid: int, seconds: float = 5) -> bool:
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        if not Path(f"/proc/{pid}").exists():
            return True
        time.sleep(0.02)
    return False


def test_up_twice_status_and_down(place: Path) -> None:
    first = control.up()
    assert first.fresh
    again = control.up()
    assert (again.pid, again.url, again.fresh) == (first.pid, first.url, False)
    assert control.status().running
    assert os.getsid(first.pid) != os.getsid(0)
    assert (place / "server.json").stat().st_mode & 0o077 == 0
    assert (place / "server.log").stat().st_mode & 0o077 == 0
    stopped = control.down()
    assert stopped.pid == first.pid
    assert gone(first.pid)
    assert not (place / "server.json").exists()
    assert not control.down().running


def test_many_commands_at_once_start_one_server(place: Path) -> None:
    code = "from infra.local import control; print(control.up().pid)"
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        runs = [pool.submit(subprocess.check_output, [sys.executable, "-c", code], text=True) for _ in range(4)]
        pids = {run.result().strip() for run in runs}
    assert pids == {str(control.status().pid)}


def test_a_killed_server_is_started_anew_and_is_empty(place: Path) -> None:
    first = control.up()
    os.kill(first.pid, signal.SIGKILL)
    assert gone(first.pid)
    assert not control.status().running
    second = control.up()
    assert second.fresh
    assert second.pid != first.pid
    assert inventory.resources() == []


def test_a_pid_that_another_program_got_is_left_alone(place: Path) -> None:
    with subprocess.Popen(["sleep", "60"]) as stranger:
        place.mkdir()
        record = records.Record(stranger.pid, 1, "2026-01-01T00:00:00+00:00", "0", "x")
        records.write(record, place / "server.json")
        assert not control.status().running
        assert not control.down().running
        records.write(record, place / "server.json")
        assert control.up().fresh
        assert stranger.poll() is None
        stranger.kill()


def test_a_taken_port_gives_way_to_a_free_one(place: Path) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert control.up(port).port != port


def test_a_server_that_hangs_is_reported_and_stopped(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    running = control.up()
    os.kill(running.pid, signal.SIGSTOP)
    monkeypatch.setattr(records, "healthy", functools.partial(records.healthy, timeout=0.2))
    monkeypatch.setattr(control, "READY_DEADLINE", 0.5)
    monkeypatch.setattr(control, "STOP_DEADLINE", 0.5)
    with pytest.raises(LocalError) as error:
        control.up()
    assert "infra local down" in error.value.text()
    assert control.down().pid == running.pid
    assert gone(running.pid)


def test_a_server_that_cannot_start_shows_its_log(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = place.parent / "modules"
    (broken / "flask").mkdir(parents=True)
    (broken / "flask" / "__init__.py").write_text("raise RuntimeError('broken flask')")
    monkeypatch.setenv("PYTHONPATH", str(broken))
    with pytest.raises(LocalError) as error:
        control.up()
    assert "broken flask" in error.value.text()
    assert not control.status().running


def test_our_own_requests_want_the_token(place: Path) -> None:
    import urllib.error
    import urllib.request

    running = control.up()
    for path in ("/_infra/inventory", "/_infra/reset", "/moto-api/reset"):
        request = urllib.request.Request(running.url + path, method="POST", headers={"X-Infra-Token": "guess"})
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request, timeout=10)
        assert refused.value.code in (403, 404)
        refused.value.close()


def test_the_command_line(place: Path) -> None:
    def infra(*words: str) -> str:
        return subprocess.check_output([sys.executable, "-m", "infra", "local", *words], text=True, timeout=60)

    up = json.loads(infra("up", "--json"))
    assert up["fresh"] is True
    assert up["url"] in infra("up")
    status = json.loads(infra("status", "--json"))
    assert status["running"] is True
    assert status["resources"] == {}
    assert "It is empty" in infra("status")
    lines = infra("env", "--region", "eu-west-1").splitlines()
    assert f"export AWS_ENDPOINT_URL={up['url']}" in lines
    assert "export AWS_REGION=eu-west-1" in lines
    assert json.loads(infra("env", "--json"))["set"]["AWS_ENDPOINT_URL"] == up["url"]
    assert json.loads(infra("down", "--json")) == {"lost": 0, "pid": up["pid"], "stopped": True}
    assert "does not run" in infra("status")
