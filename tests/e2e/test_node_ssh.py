"""Scripts over SSH on test machines: what the account's shell is and prints makes no difference."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.errors import InfraError, Interrupted, NodeFailed, NodeUnreachable, SudoRefused
from infra.node.auth import Auth
from infra.node.model import Node
from infra.node.ssh import Connection, Fleet
from infra.node.trust import Pins
from infra.proc import Cancel
from tests.bed import Bed, Machine
from tests.e2e.relay import Relay

NOISE = "echo noise before; echo noise on stderr >&2; printf 'no line end'\n"


def node(machine: Machine, **more: Any) -> Node:
    about = {"address": machine.address, "host_keys": (machine.host_key,), **more}
    return Node(machine.name, "metal", "lab", "gpu", machine.user, where="cluster.yaml:7", **about)


def fleet(machine: Machine, folder: Path, *, sudo: str = "", auth: Auth | None = None, **more: Any) -> Fleet:
    auth = auth or Auth(identities=[machine.key], agent=False, usual=False, config=None, sudo=sudo)
    return Fleet(Pins(folder / "known_hosts"), auth, **more)


def free(machine: Machine) -> None:
    machine.put("ops ALL=(ALL) NOPASSWD: ALL\n", "/etc/sudoers.d/ops")


@pytest.fixture
def machine(machines: Callable[..., list[Machine]]) -> Machine:
    (made,) = machines(1, "plain")
    return made


@pytest.fixture
def connection(machine: Machine, tmp_path: Path) -> Iterator[Connection]:
    with fleet(machine, tmp_path, sudo=machine.password).connect(node(machine)) as made:
        yield made


def test_a_script_its_words_output_and_code(connection: Connection) -> None:
    script = 'printf "<%s>" "$@"; echo; id -un; echo said >&2; printf end; exit 3'
    ran = connection.run(script, "a b", "it's", "$HOME", "", check=False)
    assert (ran.code, ran.out, ran.err) == (3, "<a b><it's><$HOME><>\nroot\nend", "said\n")
    assert connection.run("id -un; pwd", root=False).out == "ops\n/\n"
    assert connection.login == "key"


def test_a_failure_carries_the_last_lines(connection: Connection) -> None:
    with pytest.raises(NodeFailed) as failed:
        connection.run("echo first >&2; echo the reason >&2; exit 4")
    assert "exit code 4" in failed.value.text() and "the reason" in failed.value.text()
    with pytest.raises(NodeFailed):
        connection.run("if")  # a mistake in the script itself is its failure, not ours


def test_lines_come_as_they_are_printed(connection: Connection) -> None:
    seen: list[tuple[str, float]] = []
    connection.run("echo one; sleep 0.6; printf two", on_line=lambda line: seen.append((line, time.monotonic())))
    assert [line for line, _ in seen] == ["one", "two"]
    assert seen[1][1] - seen[0][1] > 0.4


@pytest.mark.parametrize("size", [0, 1, 70_000, 3_000_000])
def test_a_blob_is_fetched_and_checked(connection: Connection, size: int) -> None:
    data = os.urandom(size)
    sent: list[int] = []

    def blob() -> bytes:
        sent.append(1)
        return data

    script = 'if [ -n "$1" ]; then infra_blob it >/tmp/it; sha256sum </tmp/it; echo x | cat; fi; cat'
    assert connection.run(script, "", blobs={"it": blob}).out == "" and not sent  # nobody asked for it
    ran = connection.run(script, "yes", blobs={"it": blob})
    assert ran.out == f"{hashlib.sha256(data).hexdigest()}  -\nx\n"
    ran = connection.run("infra_blob it | wc -c; infra_blob it | wc -c", blobs={"it": blob})
    assert ran.out.split() == [str(size), str(size)]


def test_a_damaged_blob(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.node.channel.header", lambda data: f"{len(data)} {'0' * 64}\n".encode())
    with pytest.raises(NodeFailed, match="did not arrive whole"):
        connection.run("infra_blob it >/tmp/it; touch /tmp/after", blobs={"it": lambda: b"data"})
    assert connection.run("ls /tmp/after || true").out == ""


def test_a_blob_that_the_disk_cannot_take(connection: Connection) -> None:
    with pytest.raises(NodeFailed, match="did not arrive whole") as failed:
        connection.run("infra_blob it >/dev/full", blobs={"it": lambda: b"data" * 1000})
    assert "No space left" in failed.value.text()


def test_a_blob_that_cannot_be_read_here(connection: Connection) -> None:
    def gone() -> bytes:
        raise InfraError("the file is gone")

    with pytest.raises(InfraError, match="gone"):
        connection.run("infra_blob it", blobs={"it": gone})
    assert connection.run("echo well").out == "well\n"


def test_what_a_script_leaves_behind_does_not_hold_us(connection: Connection) -> None:
    began = time.monotonic()
    assert connection.run("sleep 20 & echo started").out == "started\n"
    assert time.monotonic() - began < 5


def test_much_output_and_odd_bytes(connection: Connection) -> None:
    ran = connection.run("head -c 3000000 /dev/zero | tr '\\0' x; printf '\\n\\377\\n'; head -c 300000 /dev/zero >&2")
    assert len(ran.out) == 3_000_003 and ran.out.endswith("\n�\n") and len(ran.err) == 300_000


@pytest.mark.parametrize("root", [True, False])
def test_a_noisy_bashrc(machine: Machine, tmp_path: Path, root: bool) -> None:
    machine.put(NOISE, "/home/ops/.bashrc")
    with fleet(machine, tmp_path, sudo=machine.password).connect(node(machine)) as connection:
        for _ in range(2):
            ran = connection.run("echo mine; infra_blob it", root=root, blobs={"it": lambda: b"blob"})
            assert (ran.out, ran.err) == ("mine\nblob", "")


@pytest.mark.parametrize("shell", ["fish", "tcsh"])
def test_other_login_shells(bed: Bed, machine: Machine, tmp_path: Path, shell: str) -> None:
    url = bed.packages([shell])
    machine.put(f"deb [trusted=yes] {url} ./\n", "/etc/apt/sources.list")
    machine.run(f"apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y {shell}", timeout=300)
    machine.run(f"usermod -s /usr/bin/{shell} ops; echo 'echo noise' >/home/ops/.tcshrc")
    machine.run("mkdir -p /home/ops/.config/fish; echo 'echo noise' >/home/ops/.config/fish/config.fish")
    for password in (machine.password, ""):
        if not password:
            free(machine)
        with fleet(machine, tmp_path, sudo=password).connect(node(machine)) as connection:
            for _ in range(2):
                ran = connection.run('echo "$1"; infra_blob it; id -un', "it's!", blobs={"it": lambda: b"blob\n"})
                assert (ran.out, ran.err) == ("it's!\nblob\nroot\n", "")


def test_a_shell_that_runs_nothing(machine: Machine, tmp_path: Path) -> None:
    free(machine)
    machine.put("echo go away; exit 0\n", "/home/ops/.bashrc")
    with fleet(machine, tmp_path).connect(node(machine)) as connection:
        with pytest.raises(NodeFailed, match="runs no commands") as failed:
            connection.run("echo never")
        assert "go away" in failed.value.text()
    machine.run("usermod -s /usr/sbin/nologin ops")
    with (
        fleet(machine, tmp_path).connect(node(machine)) as connection,
        pytest.raises(NodeFailed, match="runs no commands") as failed,
    ):
        connection.run("echo never")
    assert "not available" in failed.value.text()


# --- sudo


def test_sudo_without_a_password_is_never_told_one(machine: Machine, tmp_path: Path) -> None:
    free(machine)
    with fleet(machine, tmp_path, sudo="never sent").connect(node(machine)) as connection:
        for _ in range(2):
            assert connection.run("id -un; cat", "").out == "root\n"
        assert connection._sudo == "free"


def test_sudo_asks_once_for_all(bed: Bed, tmp_path: Path) -> None:
    both = bed.start(2, "plain")
    asked: list[str] = []

    def ask(what: str) -> str:
        asked.append(what)
        return both[0].password

    auth = Auth(identities=[bed.key], agent=False, usual=False, config=None, sudo="", ask=ask)
    said = fleet(both[0], tmp_path, auth=auth).each(
        [node(machine) for machine in both], lambda connection: [connection.run("id -un").out for _ in range(3)]
    )
    assert list(said.values()) == [["root\n"] * 3] * 2
    assert asked == ["sudo password"]


@pytest.mark.parametrize("setting", ["use_pty", "log_input,log_output", "lecture=always", "timestamp_timeout=0"])
def test_sudo_as_it_is_set_up_elsewhere(machine: Machine, tmp_path: Path, setting: str) -> None:
    machine.put(f"Defaults {setting}\n", "/etc/sudoers.d/settings")
    data = os.urandom(200_000)
    with fleet(machine, tmp_path, sudo=machine.password).connect(node(machine)) as connection:
        for _ in range(2):
            ran = connection.run("infra_blob it | sha256sum", blobs={"it": lambda: data}, deadline=30)
            assert ran.out.split()[0] == hashlib.sha256(data).hexdigest()


def refused(machine: Machine, folder: Path, sudo: str) -> str:
    with (
        fleet(machine, folder, sudo=sudo).connect(node(machine)) as connection,
        pytest.raises(SudoRefused) as error,
    ):
        connection.run("id -un")
    text = error.value.text()
    assert "cluster.yaml:7" in text and "fix:" in text
    assert sudo == "" or sudo not in text
    return text


def test_every_way_that_sudo_refuses(machine: Machine, tmp_path: Path) -> None:
    assert "wants a password" in refused(machine, tmp_path, "")
    began = time.monotonic()
    assert "the password is wrong" in refused(machine, tmp_path, "not-the-one")
    assert time.monotonic() - began < 10
    machine.put("Defaults requiretty\n", "/etc/sudoers.d/tty")
    assert "requiretty" in refused(machine, tmp_path, machine.password)
    machine.run("rm /etc/sudoers.d/tty; gpasswd --delete ops sudo")
    assert "does not allow ops" in refused(machine, tmp_path, machine.password)
    assert "does not allow ops" in refused(machine, tmp_path, "") or "wants a password" in refused(
        machine, tmp_path, ""
    )
    machine.run("mv /usr/bin/sudo /usr/bin/sudo.gone")
    assert "there is no sudo" in refused(machine, tmp_path, "")
    attempts = machine.run("cat /var/log/auth.log 2>/dev/null || true").out.count("3 incorrect")
    assert attempts == 0


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
    monkeypatch.setattr("infra.node.ssh_exec.PING", 1.0)
    monkeypatch.setattr("infra.node.ssh_exec.SILENT", 3.0)
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
    monkeypatch.setattr("infra.node.channel.MOST", 4 << 20)
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
