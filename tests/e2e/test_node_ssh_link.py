"""The link to a machine: deadlines, cuts, delays, reboots; many machines at once, and stopping."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from pathlib import Path

import pytest

from infra.errors import InfraError, Interrupted, NodeFailed, NodeUnreachable, SudoRefused
from infra.node.model import Node
from infra.node.ssh.fleet import Connection
from infra.proc import Cancel
from tests.bed import Bed, Machine
from tests.e2e.relay import Relay
from tests.e2e.test_node_ssh import connection, fleet, free, machine, node

__all__ = ["connection", "machine"]  # fixtures


# --- the link


def test_a_deadline(connection: Connection) -> None:
    began = time.monotonic()
    with pytest.raises(NodeFailed, match="did not end within 1 s") as failed:
        connection.run("echo so far; sleep 30", deadline=1)
    assert "so far" in failed.value.text() and time.monotonic() - began < 4
    assert connection.run("echo well").out == "well\n"


def test_endless_output_ends_at_the_deadline(connection: Connection) -> None:
    with pytest.raises(NodeFailed, match="did not end"):
        connection.run("yes", deadline=2)


def test_the_machine_goes_away(machine: Machine, tmp_path: Path) -> None:
    with fleet(machine, tmp_path, sudo=machine.password).connect(node(machine)) as connection:
        connection.run("id -un")
        threading.Timer(1, machine.run, ("pkill -KILL -u ops sshd",), {"check": False}).start()
        with pytest.raises(NodeUnreachable, match="cannot be reached") as lost:
            connection.run("sleep 30")
        assert "connection was lost" in lost.value.text()
        with pytest.raises(NodeUnreachable):
            connection.run("echo never")
        connection.reconnect(deadline=20)
        assert connection.run("echo again").out == "again\n"


def test_a_dead_link_is_noticed(machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.node.ssh.exec.PING", 1.0)
    monkeypatch.setattr("infra.node.ssh.exec.SILENT", 3.0)
    free(machine)
    with fleet(machine, tmp_path).connect(node(machine)) as connection:
        connection.run("sleep 5")  # quiet, but alive: it answers when asked
        threading.Timer(0.5, machine.link, ("down",)).start()
        began = time.monotonic()
        with pytest.raises(NodeUnreachable, match="cannot be reached") as lost:
            connection.run("sleep 60")
        assert "nothing was heard" in lost.value.text() and time.monotonic() - began < 8
        machine.link("up")


def test_a_link_that_is_down_for_ten_seconds(machine: Machine, tmp_path: Path) -> None:
    free(machine)
    with fleet(machine, tmp_path).connect(node(machine)) as connection:
        threading.Timer(0.5, machine.link, ("down",)).start()
        threading.Timer(10.5, machine.link, ("up",)).start()
        assert connection.run("sleep 2; echo through").out == "through\n"


def test_a_reboot(machine: Machine, tmp_path: Path) -> None:
    free(machine)
    with fleet(machine, tmp_path).connect(node(machine)) as connection:
        before = connection.run("cat /proc/sys/kernel/random/boot_id").out
        thread = threading.Thread(target=machine.reboot)
        thread.start()
        connection.reconnect(deadline=60, new_boot=True)
        assert connection.run("cat /proc/sys/kernel/random/boot_id").out != before
        thread.join()


def test_200_ms_of_delay(machine: Machine, tmp_path: Path) -> None:
    free(machine)
    with Relay(machine.address, delay=0.1) as relay:
        far = node(machine, address="127.0.0.1", port=relay.port)
        with fleet(machine, tmp_path).connect(far) as connection:
            connection.run(":")
            ran = connection.run("infra_blob it | wc -c", blobs={"it": lambda: b"x" * 100_000})
            assert ran.out.strip() == "100000"
            assert ran.seconds < 1.6  # open, run, ask and get: four ways there and back at most


def test_keys_are_made_anew_on_the_way(machine: Machine, tmp_path: Path) -> None:
    free(machine)
    machine.put("RekeyLimit 1M\n", "/etc/ssh/sshd_config.d/rekey.conf")
    machine.run("pkill -HUP -o -x sshd")
    time.sleep(0.5)
    data = os.urandom(6_000_000)
    with fleet(machine, tmp_path).connect(node(machine)) as connection:
        for _ in range(2):
            ran = connection.run("infra_blob it | sha256sum; head -c 4000000 /dev/zero", blobs={"it": lambda: data})
            assert ran.out[:64] == hashlib.sha256(data).hexdigest() and len(ran.out) > 4_000_000


def test_too_much_output(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.node.ssh.channel.MOST", 4 << 20)
    with pytest.raises(NodeFailed, match="printed more than 4 MB"):
        connection.run("yes")
    with pytest.raises(NodeFailed, match="printed more than 4 MB"):
        connection.run("cat /dev/zero")
    assert connection.run("echo well").out == "well\n"


def test_a_connection_cut_at_any_point(machine: Machine, tmp_path: Path) -> None:
    free(machine)
    script = "for i in 1 2 3 4 5 6 7 8; do echo $i; infra_blob it >/tmp/it; done"
    with Relay(machine.address) as relay:
        far = node(machine, address="127.0.0.1", port=relay.port)

        def attempt() -> str:
            with fleet(machine, tmp_path).connect(far) as connection:
                return connection.run(script, blobs={"it": lambda: b"x" * 50_000}, deadline=20).out

        assert attempt().split()[-1] == "8"
        whole = relay.carried
        for step in range(12):
            relay.cut_after = relay.carried + whole * (step + 1) // 14
            with pytest.raises(NodeUnreachable):
                attempt()
        relay.cut_after = 0
        assert attempt().split()[-1] == "8"
    _no_threads()


# --- many at once, and stopping


def test_one_failed_node_stops_no_other(bed: Bed, tmp_path: Path) -> None:
    good, bad = bed.start(2, "plain")
    free(good)
    dead = Node("dead", "metal", "lab", "gpu", "ops", address=good.address, port=9)
    nodes = [node(good), node(bad), dead]
    ended: list[str] = []
    said = fleet(good, tmp_path).each(nodes, lambda c: c.run("id -un").out, lambda node, _: ended.append(node.name))
    assert list(said) == [good.name, bad.name, "dead"]
    assert said[good.name] == "root\n"
    assert isinstance(said[bad.name], SudoRefused) and isinstance(said["dead"], NodeUnreachable)
    assert sorted(ended) == sorted(said)
    _no_threads()


def test_a_mistake_in_our_own_code_is_not_hidden(machine: Machine, tmp_path: Path) -> None:
    def wrong(_: Connection) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fleet(machine, tmp_path).each([node(machine)], wrong)
    _no_threads()


def test_stopping_ends_all_quickly(machine: Machine, tmp_path: Path) -> None:
    free(machine)
    silent = Relay("", hang=True)
    cancel = Cancel()
    nodes = [node(machine), node(machine, address="127.0.0.1", port=silent.port), node(machine, address="192.0.2.1")]
    nodes = [Node(**{**{f: getattr(n, f) for f in n.__slots__}, "name": f"n{i}"}) for i, n in enumerate(nodes)]
    threading.Timer(1.5, cancel).start()
    began = time.monotonic()
    with silent:
        said = fleet(machine, tmp_path, cancel=cancel).each(nodes, lambda c: c.run("sleep 60").out)
    assert time.monotonic() - began < 5
    assert isinstance(said["n0"], Interrupted) and isinstance(said["n1"], Interrupted)
    assert all(isinstance(item, InfraError) for item in said.values())
    _no_threads()


def test_a_second_stop_waits_for_nothing(machine: Machine, tmp_path: Path) -> None:
    free(machine)
    cancel = Cancel()
    for seconds in (1.0, 2.0):
        threading.Timer(seconds, cancel).start()
    ended = threading.Event()

    def stubborn(connection: Connection) -> None:
        try:
            connection.run("sleep 60")
        except Interrupted:
            ended.wait(30)
            raise

    began = time.monotonic()
    said = fleet(machine, tmp_path, cancel=cancel).each([node(machine)], stubborn)
    assert isinstance(said[machine.name], Interrupted) and time.monotonic() - began < 5
    ended.set()


def _no_threads() -> None:
    end = time.monotonic() + 3
    while [t for t in threading.enumerate() if "Transport" in type(t).__name__] and time.monotonic() < end:
        time.sleep(0.05)
    assert not [t for t in threading.enumerate() if "Transport" in type(t).__name__]
