"""What may go wrong while a machine is brought to its policy: nothing is lost, and nothing is recorded that is not."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path

import pytest

from tests.bed import Bed
from tests.conftest import Infra
from tests.e2e.bring_rig import Rig, ended, until


@pytest.fixture
def rig(infra: Infra, bed: Bed, tmp_path: Path) -> Rig:
    return Rig.of(infra, bed, tmp_path)


def hold(rig: Rig) -> None:
    """Take dpkg's lock as dpkg does: it is of the POSIX kind. Perl is on every Debian."""
    script = (
        "use Fcntl; open(F, '>>', '/var/lib/dpkg/lock-frontend'); "
        "my $lock = pack('s s x4 q q l', F_WRLCK, 0, 0, 0, 0); fcntl(F, F_SETLK, $lock) or die $!; sleep 600"
    )
    rig.machine.put(script, "/tmp/hold.pl")
    rig.machine.run("setsid perl /tmp/hold.pl >/dev/null 2>&1 & sleep 0.5")


def test_the_operator_is_killed_and_comes_back(rig: Rig) -> None:
    rig.client.told(rig.machine, 'sleep=12\nresources="package[c]"')
    process = rig.begin("bootstrap", "node0")
    rig.working()
    process.kill()
    process.communicate()
    # Somebody else is told who it is; the same person finds the job at work, and no second one is started.
    ran = rig("bootstrap", "node0", code=1, LOGNAME="eve", USER="eve")
    assert "converges node0 since" in ran.err and "a job with the policy" in ran.err
    other = rig("converge", "node0", "--why-run", code=1)
    assert "converges node0 since" in other.err
    hold(rig)  # as the converge itself may: that is no other package manager to wait for
    assert "its job is at work already" in rig("bootstrap", "node0", "--wait", "1").out
    rig.machine.run("pkill perl")
    assert rig.calls() == 1 and rig.node()["converged"]
    assert "nothing to do" in rig("bootstrap", "node0").out


def test_ctrl_c_leaves_the_job_at_work(rig: Rig) -> None:
    rig.client.told(rig.machine, "sleep=8")
    process = rig.begin("bootstrap", "node0")
    rig.working()
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    said = ended(process, code=1)
    assert time.monotonic() - began < 8 and "run the same command again" in said
    assert "its job is at work already" in rig("bootstrap", "node0").out
    assert rig.calls() == 1 and rig.node()["converged"]


def test_killed_anywhere_and_run_again(rig: Rig) -> None:
    rig.client.told(rig.machine, "sleep=1")
    chance = random.Random(4)
    for turn in range(5):
        process = rig.begin("bootstrap", "node0")
        time.sleep(0.5 + chance.random() * 3.5)
        process.kill()
        process.communicate()
        node = rig.node()
        assert not node or node["converged"], f"turn {turn}: {node}"
    rig("bootstrap", "node0")
    assert rig.node()["converged"] and rig.calls() <= 6
    left = rig.machine.run("ls -A /var/lib/infra /var/lib/infra/policy").out.split()
    assert not [name for name in left if ".new" in name or name.endswith(".deb")], left


def test_a_cut_connection_costs_nothing(rig: Rig) -> None:
    rig.client.told(rig.machine, 'sleep=14\nresources="package[c]"')
    process = rig.begin("bootstrap", "node0", "--details")
    rig.working()
    rig.machine.run("nft add table inet cut; nft add chain inet cut in '{ type filter hook input priority 0; }'")
    rig.machine.run("nft add rule inet cut in tcp dport 22 reject with tcp reset")
    time.sleep(3)
    rig.machine.run("nft delete table inet cut")
    said = ended(process)
    assert "LINK DOWN" in said and "connected again" in said
    assert [said.count(f"second {number}\n") for number in range(1, 15)] == [1] * 14, said
    assert rig.calls() == 1 and rig.node()["converged"]


def test_a_link_that_is_down_for_ten_seconds(rig: Rig) -> None:
    rig.client.told(rig.machine, 'sleep=14\nresources="package[c]"')
    process = rig.begin("bootstrap", "node0")
    rig.working()
    rig.machine.link("down")
    time.sleep(10)
    rig.machine.link("up")
    ended(process)
    assert rig.calls() == 1 and rig.node()["converged"]


def test_a_machine_that_restarts_in_the_middle(rig: Rig) -> None:
    rig.client.told(rig.machine, 'sleep=6\nresources="package[c]"')
    process = rig.begin("bootstrap", "node0")
    rig.working()
    rig.machine.power("off")
    rig.machine.power("on")
    rig.machine.wait()
    said = ended(process)
    assert "converging again: it restarted in the middle" in said
    assert rig.calls() == 2 and rig.node()["converged"]


def test_a_job_that_is_killed(rig: Rig) -> None:
    rig.client.told(rig.machine, "sleep=20")
    process = rig.begin("bootstrap", "node0")
    rig.working()
    rig.machine.run(
        "pkill -9 -f 'job/[r]un run'; pkill -9 -f 'bin/[c]onverge'; pkill -9 -f '[c]inc-client'", check=False
    )
    assert "the job that converged it was killed" in ended(process, code=1)
    assert rig.node() == {}
    rig.client.told(rig.machine)
    rig("bootstrap", "node0")
    assert rig.node()["converged"]


def test_what_stops_before_anything_is_done(rig: Rig) -> None:
    machine = rig.machine
    cases = {
        "cannot write on /var": ("mount -t tmpfs -o ro tmpfs /var/lib", "umount /var/lib"),
        "GB free on /var": ("mount -t tmpfs -o size=8m tmpfs /var && mkdir /var/lib", "umount /var"),
        "has a clock 24 hours ahead of ours": (
            'printf \'#!/bin/sh\\n[ "$1" = +%%s ] && exec /bin/date -d "1 day" +%%s; exec /bin/date "$@"\\n\' '
            ">/usr/local/bin/date; chmod 755 /usr/local/bin/date",
            "rm /usr/local/bin/date",
        ),
        "cannot resolve deb.example.invalid": (
            "echo 'deb http://deb.example.invalid/debian stable main' >/etc/apt/sources.list",
            ": >/etc/apt/sources.list",
        ),
        "half installed": (
            "mkdir -p /var/lib/dpkg/updates; touch /var/lib/dpkg/updates/0001",
            "rm /var/lib/dpkg/updates/0001",
        ),
        "installed by a .run file": ("touch /usr/bin/nvidia-uninstall", "rm /usr/bin/nvidia-uninstall"),
    }
    rig.write(profile="{nvidia: {driver: '580'}}")
    said = {}
    for words, (break_it, mend_it) in cases.items():
        machine.run(break_it)
        said[words] = rig("bootstrap", "node0", code=1).err
        machine.run(mend_it)
    for words, text in said.items():
        assert words in text and "fix: " in text, f"{words}: {text}"
    assert machine.run("ls /var/lib/infra /opt/cinc 2>/dev/null || :").out == ""


def test_another_package_manager_at_work(rig: Rig) -> None:
    hold(rig)
    ran = rig("bootstrap", "node0", "--wait", "2", code=1)
    holder = rig.machine.run("pgrep -n perl").out.strip()
    assert "another package manager is at work on node0" in ran.err and f"process {holder} perl" in ran.err
    process = rig.begin("bootstrap", "node0", "--wait", "60")
    assert process.stdout and f"waiting: for process {holder} perl" in process.stdout.readline()
    rig.machine.run(f"kill {holder}")
    ended(process)
    assert rig.node()["converged"]


def test_a_kubernetes_node_is_drained_and_comes_back(rig: Rig, tmp_path: Path) -> None:
    rig("bootstrap", "node0")
    rig.machine.run("mkdir -p /etc/kubernetes && touch /etc/kubernetes/kubelet.conf")
    rig.write(profile="{attributes: {a: 1}}")
    ran = rig("converge", "node0", code=1, PATH="/usr/bin:/bin")
    assert "is a Kubernetes node, and kubectl cannot set it aside first" in ran.err and "--no-drain" in ran.err
    assert rig.calls() == 1

    tools, log = tmp_path / "tools", tmp_path / "kubectl.log"
    tools.mkdir()
    (tools / "kubectl").write_text(f'#!/bin/sh\necho "$*" >>{log}\n')
    (tools / "kubectl").chmod(0o755)
    path = f"{tools}:/usr/bin:/bin"
    rig.client.told(rig.machine, 'fail="package[c]"')
    rig("converge", "node0", code=1, PATH=path)
    asked = [line.split(" ")[0] for line in log.read_text().splitlines()]
    assert asked == ["get", "cordon", "drain", "uncordon"], "also after a failure"

    # Killed while it is set aside: who comes after knows that it was us.
    rig.client.told(rig.machine, "sleep=6")
    calls = rig.calls()
    process = rig.begin("converge", "node0", PATH=path)
    rig.working(calls)
    process.kill()
    process.communicate()
    until(lambda: "converged" in rig.machine.run("cat /var/lib/infra/report.json", check=False).out)
    (tools / "kubectl").write_text(f'#!/bin/sh\necho "$*" >>{log}\n[ "$1" != get ] || echo true\n')
    log.write_text("")
    rig("converge", "node0", PATH=path)
    assert "uncordon node0" in log.read_text()
    assert rig.machine.run("ls /var/lib/infra/drained 2>/dev/null || :").out == ""
