"""Scripts over SSH on test machines: what the account's shell is and prints makes no difference."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.errors import InfraError, NodeFailed, SudoRefused
from infra.node.model import Node
from infra.node.ssh.auth import Auth
from infra.node.ssh.fleet import Connection, Fleet
from infra.node.ssh.trust import Pins
from tests.bed import Bed, Machine

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
    monkeypatch.setattr("infra.node.ssh.channel.header", lambda data: f"{len(data)} {'0' * 64}\n".encode())
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
