"""``infra autoscale run`` and ``explain`` as a user runs them, on the embedded AWS and the tests' API server."""

from __future__ import annotations

import functools
import http.server
import json
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Infra
from tests.e2e.autoscaled import World, world
from tests.e2e.faulty_aws import wait_until
from tests.e2e.kube_objects import pod
from tests.unit.test_json_docs import table

pytestmark = pytest.mark.engine

CLUSTER = """\
version: 1
cluster: lab
aws: {regions: [us-west-2], endpoint: local}
profiles:
  cpu: {}
pools:
  cpu: {profile: cpu, instance_types: [m5.2xlarge], size: {max: 2}}
kubernetes: {version: "1.36", autoscale: {pools: [cpu]}}
"""


@pytest.fixture
def place(tmp_path: Path, session_environment: dict[str, str]) -> Iterator[tuple[World, Infra]]:
    with world(CLUSTER, tmp_path) as found:
        env = {"INFRA_LOCAL_DIR": str(tmp_path / "aws"), "KUBECONFIG": str(found.kubectl.config)}
        runner = Infra(tmp_path, {**session_environment, **env})
        runner.write(CLUSTER)
        yield found, runner


def desired(found: World) -> int:
    groups = found.machines.client("autoscaling", "us-west-2").describe_auto_scaling_groups()["AutoScalingGroups"]
    return sum(one["DesiredCapacity"] for one in groups)


def test_a_look_then_one_loop_then_nothing_to_do(place: tuple[World, Infra]) -> None:
    found, infra = place
    assert "Nothing to do." in infra("autoscale", "run", "--once", "--dry-run").out
    for name in ("a", "b"):
        found.kube.put(pod(name, cpu="5"))
    found.kube.put(pod("huge", cpu="500"))

    looked = infra("autoscale", "run", "--once", "--dry-run", "--json", code=2).json
    table(looked, "infra autoscale run")
    assert {one["kind"] for one in looked["decisions"]} >= {"buy", "refuse"}
    assert (looked["pending"], desired(found)) == ({"placed": 2, "too-large": 1}, 0)
    assert "default/huge waits" in infra("autoscale", "explain", "huge").out
    assert "bought are 2 × m5.2xlarge at $0.384/h" in infra("autoscale", "explain", "default/a").out

    ran = infra("autoscale", "run", "--once")
    assert "$0.77/h" in ran.out
    assert desired(found) == 2
    again = infra("autoscale", "run", "--once", "--dry-run", "--json").json
    assert not [one for one in again["decisions"] if one["kind"] == "buy"]


class Ear(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.server.heard.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))  # type: ignore[attr-defined]
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        pass


def test_for_ever_with_metrics_a_log_and_notices_until_it_is_told_to_stop(place: tuple[World, Infra]) -> None:
    found, infra = place
    found.kube.put(pod("a", cpu="5"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Ear) as ear, socket.socket() as free:
        ear.heard = []  # type: ignore[attr-defined]
        threading.Thread(target=ear.serve_forever, daemon=True).start()
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        words = ["autoscale", "run", "--interval", "1", "--settle", "2", "--metrics", str(port)]
        process = subprocess.Popen(
            [sys.executable, "-m", "infra", *words, "--webhook", f"http://127.0.0.1:{ear.server_port}/hook"],
            cwd=infra.folder,
            env=infra.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            text = wait_for(port, "infra_autoscaler_launches_total")
            assert 'infra_autoscaler_pending_pods{reason="placed"} 1.0' in text
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=10) as answer:
                assert answer.status == 200
        finally:
            process.send_signal(signal.SIGTERM)
            out, err = process.communicate(timeout=60)
            ear.shutdown()
    assert process.returncode == 0, err
    lines = [json.loads(line) for line in out.splitlines()]
    kinds = list(dict.fromkeys(one["kind"] for one in lines))
    assert kinds[:3] == ["lead", "gather", "buy"]
    heard = ear.heard  # type: ignore[attr-defined]
    assert sum("\nbuy " in one["text"] for one in heard) == 1
    lease = found.kubectl("get", "lease", "-n", "kube-system", "infra-autoscaler", "-o", "json").json
    assert not lease["spec"].get("holderIdentity"), "the next one may lead at once"


def wait_for(port: int, text: str) -> str:
    """The metrics, once they hold a text."""
    until = time.monotonic() + 60
    found = ""
    while time.monotonic() < until:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
                found = answer.read().decode()
        except OSError:
            found = ""
        if text + "{" in found:
            return found
        time.sleep(0.2)
    raise AssertionError(f"no {text} in\n{found}")


def test_of_two_one_acts_and_the_other_goes_on_when_it_is_killed(place: tuple[World, Infra]) -> None:
    found, infra = place
    words = [sys.executable, "-m", "infra", "autoscale", "run", "--interval", "1", "--settle", "0"]
    running: dict[str, subprocess.Popen[bytes]] = {}
    try:
        for name in ("one", "other"):
            out = (infra.folder / name).open("wb")
            env = {**infra.env, "POD_NAME": name}
            running[name] = subprocess.Popen(words, cwd=infra.folder, env=env, stdout=out, stderr=subprocess.STDOUT)
            out.close()
            assert wait_until(functools.partial(told, infra, name), 60)
        assert (said(infra, "one")[0], set(said(infra, "other"))) == ("lead", {"follow"})
        found.kube.put(pod("a", cpu="5"))
        assert wait_until(lambda: desired(found) == 1, 30)
        running["one"].kill()
        # A minute is long for a test, so what the dead one has left lasts for two seconds.
        lease = ["lease", "-n", "kube-system", "infra-autoscaler", "--type=merge"]
        found.kubectl("patch", *lease, "-p", '{"spec": {"leaseDurationSeconds": 2}}')
        found.kube.put(pod("b", cpu="5"))
        assert wait_until(lambda: desired(found) == 2, 30), said(infra, "other")
        assert list(dict.fromkeys(said(infra, "other")))[:3] == ["follow", "lead", "buy"]
        assert said(infra, "one").count("buy") == said(infra, "other").count("buy") == 1
    finally:
        for process in running.values():
            process.kill()
            process.wait(10)


def told(infra: Infra, name: str) -> bool:
    return bool(said(infra, name))


def said(infra: Infra, name: str) -> list[str]:
    """The kinds of the decisions that a process told of."""
    lines = (infra.folder / name).read_text().splitlines()
    return [str(json.loads(line)["kind"]) for line in lines if line.endswith("}")]
