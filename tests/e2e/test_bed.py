"""The test machines themselves: what a test may take for granted."""

from __future__ import annotations

import concurrent.futures
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.bed import Bed, Machine


def _ssh(bed: Bed, machine: Machine, command: str) -> subprocess.CompletedProcess[str]:
    options = [
        "-o",
        f"UserKnownHostsFile={bed.known_hosts()}",
        "-o",
        "StrictHostKeyChecking=yes",
        "-o",
        "BatchMode=yes",
    ]
    return subprocess.run(
        ["ssh", "-i", bed.key, *options, f"{machine.user}@{machine.address}", command],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_a_machine_is_a_machine(bed: Bed) -> None:
    one, two = bed.start(2)
    assert one.settle().run("systemctl is-system-running").out == "running\n"
    done = _ssh(bed, one, f"echo {one.password} | sudo -S -p '' id -u; hostname")
    assert (done.returncode, done.stdout) == (0, "0\nnode0\n"), done.stderr
    assert one.host_key != two.host_key and one.boot_id != two.boot_id
    one.put("kept\n", "/etc/note", mode="600")
    one.reboot()
    assert one.get("/etc/note") == b"kept\n"
    two.power("off")
    assert two.pid == 0
    two.power("on")
    assert two.wait().run("cat /etc/hostname").out == "node1\n"


def test_there_is_no_way_out_but_to_what_the_test_serves(bed: Bed) -> None:
    machine = bed.start(1, "plain")[0]
    assert machine.run("ip route get 192.0.2.1", check=False).code != 0
    url = bed.packages(["jq"])
    machine.put(f"deb [trusted=yes] {url} ./\n", "/etc/apt/sources.list.d/bed.list")
    machine.run("apt-get update -q && apt-get install -qy jq")
    assert machine.run("echo '{\"a\": 1}' | jq .a").out == "1\n"


def test_nothing_is_left_of_a_bed(machines: Callable[..., list[Machine]], bed: Bed) -> None:
    machine = machines(1)[0]
    bed.down()
    assert not machine.cgroup.exists() and not machine.folder.exists()
    assert not [item for item in Path("/run/netns").iterdir() if item.name.startswith(f"{bed.name}-")]


def test_a_restart_while_something_is_run_inside(machines: Callable[..., list[Machine]]) -> None:
    """It ends at once what runs there, and the machine comes back."""
    [machine] = machines(1)
    before = machine.boot_id
    with concurrent.futures.ThreadPoolExecutor() as pool:
        ran = [pool.submit(machine.run, "sleep 100", check=False) for _ in range(3)]
        time.sleep(1)
        machine.reboot()
        assert all(result.result(20).code != 0 for result in ran)
    assert machine.boot_id not in ("", before)


@pytest.mark.parametrize("mode", ["systemd", "plain"])
def test_a_cut_cable_and_its_mending(machines: Callable[..., list[Machine]], mode: str) -> None:
    machine = machines(1, mode)[0]
    machine.link("down")
    with pytest.raises(AssertionError, match="does not answer ssh"):
        machine.wait(timeout=2)
    machine.link("up")
    machine.wait()
