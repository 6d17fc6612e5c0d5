"""chef/bin/converge with a stand-in for the client: options, lock, signals, reports; no Chef and no root needed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

CHEF = Path(__file__).resolve().parents[2] / "chef"
DIGEST = "ab" * 32
# It records how it was called, does what $STAND_IN says, and leaves the summary that report.rb would.
CLIENT = """#!/bin/sh
config=; json=; next=
for word in "$@"; do
    case $next in -c) config=$word ;; -j) json=$word ;; esac
    next=$word
done
work=$(dirname "$config")
printf '%s\\n' "$@" >"$RECORD/argv"
cp "$config" "$RECORD/client.rb"
cp "$json" "$RECORD/node.json"
printf 'LC_ALL=%s\\n' "$LC_ALL" >"$RECORD/env"
if [ -e "/proc/$$/fd/9" ]; then echo held; else echo free; fi >"$RECORD/lock"
summary() {
    printf '%s\\n' '{' '  "client": "Stand-in 1",' '  "total": 3,' "  \\"updated_count\\": $1," '  "updated": [],' \\
        "  \\"failed\\": $2" '}' >"$work/summary.json"
}
echo "Converging 3 resources"
eval "$STAND_IN"
"""
FAILED = """
summary 1 '{"resource": "apt_package[x]", "message": "no such package"}'
printf 'at: apt_package[x]\\nError: no such package\\n' >"$work/failed.txt"
exit 1
"""

# Where converge looks.
PLACES = ":".join([os.environ["PATH"], "/usr/local/sbin:/usr/local/bin:/usr/sbin:/sbin:/opt/cinc/bin:/opt/chef/bin"])

pytestmark = pytest.mark.skipif(shutil.which("flock") is None, reason="there is no flock (util-linux) here")


@dataclass
class Machine:
    """A folder that stands for the root of a machine, with an unpacked policy and a client."""

    root: Path

    @property
    def policy(self) -> Path:
        return self.root / "var/lib/infra/policy" / DIGEST

    @property
    def client(self) -> Path:
        return self.root / "cinc-client"

    def env(self, stand_in: str) -> dict[str, str]:
        record = self.root / "record"
        record.mkdir(exist_ok=True)
        return {"PATH": os.environ["PATH"], "INFRA_PREFIX": str(self.root), "RECORD": str(record), "STAND_IN": stand_in}

    def argv(self, *words: str) -> list[str]:
        return [SHELL, str(self.policy / "bin/converge"), "--client", str(self.client), *words]

    def run(self, stand_in: str = "summary 0 null", *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.argv(*words), env=self.env(stand_in), capture_output=True, text=True, timeout=60, check=False
        )

    def start(self, stand_in: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.argv(), env=self.env(stand_in), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def report(self, name: str = "report.json") -> Any:
        return json.loads((self.root / "var/lib/infra" / name).read_text())

    def recorded(self, name: str) -> str:
        return (self.root / "record" / name).read_text()

    def go(self) -> None:
        """End the ``WAIT`` of its stand-in."""
        (self.root / "record" / "go").touch()

    def wait_for(self, text: str) -> None:
        log = self.root / "var/log/infra/converge.log"
        for _ in range(200):
            if log.is_file() and text in log.read_text():
                return
            time.sleep(0.05)
        raise AssertionError(f"{text!r} never came")


SHELL = shutil.which("dash") or "/bin/sh"
# A stand-in that is at work until it is told to go on; half a minute is more than any test takes.
WAIT = "i=0; while [ ! -e $RECORD/go ] && [ $i -lt 300 ]; do sleep 0.1; i=$((i + 1)); done"


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    found = Machine(tmp_path)
    (found.policy / "bin").mkdir(parents=True)
    for name in ("converge", "report.rb"):
        shutil.copy(CHEF / "bin" / name, found.policy / "bin" / name)
    (found.policy / "node.json").write_text('{"run_list": []}\n')
    found.client.write_text(CLIENT)
    found.client.chmod(0o755)
    return found


def test_a_converge(machine: Machine) -> None:
    done = machine.run("summary 2 null")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "Converging 3 resources\n"
    report = machine.report()
    assert report.pop("seconds") in range(30) and report.pop("started").endswith("Z")
    assert report == {
        "format": 1,
        "status": "converged",
        "exit": 0,
        "why_run": False,
        "digest": DIGEST,
        "client": "Stand-in 1",
        "total": 3,
        "updated_count": 2,
        "updated": [],
        "failed": None,
    }
    words = machine.recorded("argv").split()
    assert words[0] == "-z" and words[3:5] == ["-j", str(machine.policy / "node.json")]
    config = machine.recorded("client.rb")
    assert f'cookbook_path ["{machine.policy}/cookbooks"]' in config
    assert machine.recorded("lock") == "free\n"  # what the client starts cannot hold the lock
    assert machine.recorded("env") == "LC_ALL=C.UTF-8\n"
    state = machine.root / "var/lib/infra"
    assert (state / "policy/current").readlink() == Path(DIGEST)
    assert (state / "report.json").stat().st_mode & 0o777 == 0o600
    brief = (state / "status").read_text().split("\t")  # for everybody: no text of an error in it
    assert (brief[:3], brief[4]) == (["converged", "0", DIGEST], "\n")
    assert (state / "status").stat().st_mode & 0o777 == 0o644
    assert [path.name for path in (machine.root / "run/infra").iterdir()] == ["converge.lock"]
    assert (machine.root / "var/log/infra/converge.log").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("code", [35, 37])
def test_a_reboot_is_asked_for(machine: Machine, code: int) -> None:
    assert machine.run(f"summary 1 null; exit {code}").returncode == code
    assert machine.report()["status"] == "reboot"


def test_a_failure_is_told_with_its_reason(machine: Machine) -> None:
    done = machine.run(FAILED)
    assert done.returncode == 1
    assert "failed with exit code 1\nat: apt_package[x]\nError: no such package\n" in done.stderr
    report = machine.report()
    assert (report["status"], report["exit"], report["updated_count"]) == ("failed", 1, 1)
    assert report["failed"]["resource"] == "apt_package[x]"
    assert (machine.root / "var/lib/infra/status").read_text().split("\t")[4] == "apt_package[x]\n"
    assert not (machine.root / "var/lib/infra/policy/current").exists()


def test_a_client_that_dies_without_a_word(machine: Machine) -> None:
    done = machine.run(
        "echo execute[x] >$work/current; printf 'a \"quoted\" \\\\ line\\n\\001\\ttab\\n'; kill -KILL $$"
    )
    assert done.returncode == 137
    assert "at: execute[x]" in done.stderr
    report = machine.report()
    assert report["total"] is None and report["failed"]["resource"] == "execute[x]"
    assert (machine.root / "var/lib/infra/status").read_text().split("\t")[4] == "execute[x]\n"
    assert report["failed"]["message"] == 'Converging 3 resources\na "quoted" \\ line\n\ttab'


def test_a_client_that_says_nothing_has_not_converged(machine: Machine) -> None:
    done = machine.run("exit 0")
    assert done.returncode == 70 and "reported nothing" in done.stderr
    assert machine.report()["status"] == "failed"


def test_the_licence(machine: Machine) -> None:
    done = machine.run("exit 172")
    assert done.returncode == 172 and "CHEF_LICENSE=accept" in done.stderr


def test_why_run_leaves_the_report_alone(machine: Machine) -> None:
    machine.run("summary 2 null")
    done = machine.run("summary 1 null", "--why-run")
    assert done.returncode == 0 and machine.recorded("argv").split()[-1] == "--why-run"
    assert machine.report()["updated_count"] == 2
    found = machine.report("why-run.json")
    assert found["updated_count"] == 1 and found["why_run"] is True


def test_another_node_json_and_report(machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "mine.json").write_text('{"mine": 1}')
    machine.run("summary 0 null", "--json", str(tmp_path / "mine.json"), "--report", str(tmp_path / "r.json"))
    assert machine.recorded("node.json") == '{"mine": 1}'
    assert json.loads((tmp_path / "r.json").read_text())["exit"] == 0


def test_two_never_run_at_once(machine: Machine) -> None:
    first = machine.start(f"{WAIT}; summary 0 null")
    machine.wait_for("Converging")
    assert machine.report()["status"] == "running"
    second = machine.run("", "--wait", "0")
    assert second.returncode == 75 and f"another converge is at work: process {first.pid}, since" in second.stderr
    threading.Timer(0.3, machine.go).start()
    waiting = machine.run("summary 1 null", "--wait", "30")
    assert waiting.returncode == 0 and first.wait(timeout=30) == 0
    first.communicate()
    assert machine.report()["updated_count"] == 1


def test_who_only_looks_is_no_other_converge(machine: Machine) -> None:
    machine.run()
    with subprocess.Popen(["flock", str(machine.root / "run/infra/converge.lock"), "sleep", "1"]):
        time.sleep(0.2)
        assert machine.run().returncode == 0


def test_a_dead_converge_leaves_no_lock(machine: Machine) -> None:
    first = machine.start(f"{WAIT}; summary 0 null")
    machine.wait_for("Converging")
    first.kill()
    first.wait(timeout=30)
    machine.go()
    first.communicate()
    assert machine.run().returncode == 0


def test_a_signal_reaches_the_client(machine: Machine) -> None:
    stand_in = f"trap 'summary 0 null; echo stopped; exit 2' INT; {WAIT}"
    first = machine.start(stand_in)
    machine.wait_for("Converging")
    first.send_signal(signal.SIGTERM)
    out, err = first.communicate(timeout=30)
    assert first.returncode == 2 and "stopped" in out and "exit code 2" in err
    assert machine.report()["status"] == "failed"


def test_the_deadline(machine: Machine) -> None:
    done = machine.run("for i in 1 2 3 4 5 6 7 8 9; do sleep 1; done", "--deadline", "1")
    assert done.returncode == 124 and "stopped after 1 s" in done.stderr


def test_nobody_listens_any_more(machine: Machine) -> None:
    first = machine.start(f"{WAIT}; i=0; while [ $i -lt 5000 ]; do i=$((i + 1)); echo line $i; done; summary 1 null")
    assert first.stdout is not None and first.stderr is not None
    first.stdout.close()
    first.stderr.close()
    machine.go()
    assert first.wait(timeout=30) == 0
    assert machine.report()["updated_count"] == 1
    assert "line 5000" in (machine.root / "var/log/infra/converge.log").read_text()


def test_a_daemon_that_holds_the_pipe(machine: Machine) -> None:
    began = time.monotonic()
    done = machine.run("sleep 25 & echo $! >$RECORD/daemon; summary 0 null")
    os.kill(int(machine.recorded("daemon")), signal.SIGTERM)
    assert done.returncode == 0 and time.monotonic() - began < 20


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["--colour"], 64, "no option '--colour'"),
        (["--wait"], 64, "--wait lacks its value"),
        (["--wait", "soon"], 64, "takes a number of seconds"),
        (["--json", "/none"], 64, "/none cannot be read"),
        (["--client", "/none"], 69, "/none is not a program"),
        (["--client", "/"], 69, "/ is not a program"),
    ],
)
def test_wrong_use(machine: Machine, words: list[str], code: int, says: str) -> None:
    done = machine.run("summary 0 null", *words)
    assert done.returncode == code and says in done.stderr
    assert not (machine.root / "var/lib/infra/report.json").exists()


def test_help(machine: Machine) -> None:
    assert "usage: converge" in machine.run("", "--help").stdout


@pytest.mark.skipif(
    any(shutil.which(name, path=PLACES) for name in ("cinc-client", "chef-client")), reason="this machine has a client"
)
def test_no_client(machine: Machine) -> None:
    script = str(machine.policy / "bin/converge")
    done = subprocess.run([SHELL, script], env=machine.env(""), capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 69 and "there is no cinc-client or chef-client" in done.stderr


def test_shellcheck() -> None:
    tool = shutil.which("shellcheck")
    if tool is None:
        pytest.skip("there is no shellcheck here")
    argv = [tool, "--shell=sh", str(CHEF / "bin" / "converge")]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout
