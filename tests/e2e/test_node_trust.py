"""Who is who on test machines: host keys, certificates, jump hosts, and the ways to log in."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from infra.errors import HostKeyError, LoginRefused, NodeUnreachable
from infra.node.model import Node
from infra.node.ssh.auth import Auth
from infra.node.ssh.fleet import Connection, Fleet
from infra.node.ssh.trust import Pins, fingerprint
from tests.bed import Bed, Machine
from tests.e2e.relay import Relay
from tests.e2e.test_node_ssh import free
from tests.e2e.test_node_ssh_link import _no_threads


def node(machine: Machine, **more: Any) -> Node:
    about = {"address": machine.address, "where": "cluster.yaml:7", **more}
    return Node(machine.name, "metal", "lab", "gpu", machine.user, **about)


def keys(machine: Machine, **more: Any) -> Auth:
    return Auth(**{"identities": [machine.key], "agent": False, "usual": False, "config": None, "sudo": "", **more})


def keygen(*words: object) -> str:
    argv = ["ssh-keygen", *(str(word) for word in words)]
    return subprocess.run(argv, check=True, capture_output=True, text=True, timeout=60).stdout


@pytest.fixture
def machine(machines: Callable[..., list[Machine]]) -> Machine:
    (made,) = machines(1, "plain")
    free(made)
    return made


def whoami(connection: Connection) -> str:
    return connection.run("id -un", root=False).out.strip()


def seen(machine: Machine) -> str:
    return keygen("-lf", machine.folder / "host_key.pub").split()[1]


# --- host keys


def test_an_unknown_host_is_refused_with_its_fingerprint(machine: Machine, tmp_path: Path) -> None:
    pins = Pins(tmp_path / "known_hosts")
    with pytest.raises(HostKeyError, match="not known yet") as refused:
        Fleet(pins, keys(machine)).connect(node(machine))
    text = refused.value.text()
    assert seen(machine) in text and f"--accept-host-key {seen(machine)}" in text
    assert f"host_key: {machine.host_key}" in text and "cluster.yaml:7" in text
    assert not pins.path.exists()
    _no_threads()


def test_first_contact_confirmed_once(machine: Machine, tmp_path: Path) -> None:
    pins = Pins(tmp_path / "known_hosts")
    asked: list[tuple[str, str]] = []

    def confirm(node: Node, shown: str) -> bool:
        asked.append((node.name, shown))
        return len(asked) > 1

    fleet = Fleet(pins, keys(machine), confirm=confirm)
    with pytest.raises(HostKeyError):
        fleet.connect(node(machine))
    for _ in range(2):
        with fleet.connect(node(machine)) as connection:
            assert whoami(connection) == "ops"
    assert asked == [(machine.name, seen(machine))] * 2
    assert pins.path.read_text() == f"metal/{machine.name} {machine.host_key}\n"
    assert oct(pins.path.stat().st_mode & 0o777) == "0o600"


def test_a_fingerprint_given_on_the_command_line(machine: Machine, tmp_path: Path) -> None:
    with Fleet(Pins(tmp_path / "k"), keys(machine), accepted=[seen(machine)]).connect(node(machine)) as connection:
        assert whoami(connection) == "ops"
    with Fleet(Pins(tmp_path / "k"), keys(machine)).connect(node(machine, address=machine.address)) as connection:
        assert whoami(connection) == "ops"


def test_a_pin_is_of_the_machine_not_of_its_address(bed: Bed, tmp_path: Path) -> None:
    one, two = bed.start(2, "plain")
    pins = Pins(tmp_path / "known_hosts")
    pins.pin(node(one), one.host_key)
    with Relay(one.address) as relay:
        moved = node(one, address="127.0.0.1", port=relay.port)
        with Fleet(pins, keys(one)).connect(moved) as connection:
            assert whoami(connection) == "ops"
    with pytest.raises(HostKeyError, match="another host key"):
        Fleet(pins, keys(one)).connect(node(one, address=two.address))


@pytest.mark.parametrize("source", ["cluster.yaml", "pins"])
@pytest.mark.parametrize("kind", ["ed25519", "rsa"])
def test_a_changed_key_stops_before_anything_is_sent(machine: Machine, tmp_path: Path, source: str, kind: str) -> None:
    """Also when the machine has no key any more of the type that we know."""
    keygen("-q", "-t", kind, "-N", "", "-f", tmp_path / "other")
    other = " ".join((tmp_path / "other.pub").read_text().split()[:2])
    pins = Pins(tmp_path / "known_hosts")
    target = node(machine, host_keys=(other,)) if source == "cluster.yaml" else node(machine)
    if source == "pins":
        pins.pin(target, other)
    used: list[str] = []
    auth = keys(machine, identities=[], password="secret-password", ask=lambda what: used.append(what) or "")
    with pytest.raises(HostKeyError, match="another host key than the one we know") as refused:
        Fleet(pins, auth, confirm=lambda *_: True).connect(target)
    text = refused.value.text()
    assert fingerprint(other) in text and seen(machine) in text
    assert ("cluster.yaml:7" if source == "cluster.yaml" else f"{pins.path}:1") in text
    assert not used
    # said on purpose, a pin gives way; what cluster.yaml says does not
    fleet = Fleet(pins, keys(machine), accepted=[seen(machine)])
    if source == "cluster.yaml":
        with pytest.raises(HostKeyError):
            fleet.connect(target)
    else:
        with fleet.connect(target) as connection:
            assert whoami(connection) == "ops"
        assert pins.path.read_text() == f"metal/{machine.name} {machine.host_key}\n"
    _no_threads()


def sshd(machine: Machine, settings: str) -> None:
    """Other settings for the sshd of a plain machine; it is started anew."""
    machine.put(settings, "/etc/ssh/sshd_config.d/test.conf")
    machine.run("sshd -t && pkill -HUP -o -x sshd")
    time.sleep(0.3)
    machine.wait()


def certified(machine: Machine, folder: Path, *words: str, name: str = "ca") -> str:
    """Give the machine a host certificate; the CA's public key."""
    if not (folder / name).exists():
        keygen("-q", "-t", "ed25519", "-N", "", "-C", "lab CA", "-f", folder / name)
    (folder / "host.pub").write_text(machine.host_key + "\n")
    keygen("-q", "-s", folder / name, "-I", "host", "-h", *words, folder / "host.pub")
    machine.put((folder / "host-cert.pub").read_text(), "/etc/ssh/host-cert.pub")
    sshd(machine, "HostCertificate /etc/ssh/host-cert.pub\n")
    return (folder / f"{name}.pub").read_text().strip()


def test_host_certificates(machine: Machine, tmp_path: Path) -> None:
    pins = Pins(tmp_path / "known_hosts")

    def attempt(authority: str) -> str:
        try:
            with Fleet(pins, keys(machine), authorities=[authority]).connect(node(machine)) as connection:
                return whoami(connection)
        except HostKeyError as error:
            return error.text()

    authority = certified(machine, tmp_path, "-n", f"{machine.name},other")
    assert attempt(authority) == "ops"
    assert not pins.path.exists()
    certified(machine, tmp_path, "-n", "some-other-machine")
    assert f"it is for some-other-machine, not for {machine.name}" in attempt(authority)
    certified(machine, tmp_path)
    assert "it is for nobody by name" in attempt(authority)
    certified(machine, tmp_path, "-n", machine.address, "-V", "20200101:20200201")
    assert "not valid now" in attempt(authority)
    certified(machine, tmp_path, "-n", "node*")
    assert attempt(authority) == "ops"
    other = certified(machine, tmp_path, "-n", machine.name, name="other")
    assert "signed by another CA" in attempt(authority)
    assert attempt(other) == "ops"
    pins.pin(node(machine), machine.host_key)  # a pin needs no certificate
    assert attempt(authority) == "ops"


# --- a node that is not there, or not itself


def test_a_node_that_hangs_in_its_banner(machine: Machine, tmp_path: Path) -> None:
    began = time.monotonic()
    with Relay("", hang=True) as relay, pytest.raises(NodeUnreachable) as lost:
        Fleet(Pins(tmp_path / "k"), keys(machine)).connect(node(machine, address="127.0.0.1", port=relay.port))
    assert "said no SSH banner" in lost.value.text() and time.monotonic() - began < 16
    _no_threads()


def test_what_is_no_ssh_server(bed: Bed, machine: Machine, tmp_path: Path) -> None:
    url = bed.serve(tmp_path)
    port = int(url.rpartition(":")[2])
    with pytest.raises(NodeUnreachable) as lost:
        Fleet(Pins(tmp_path / "k"), keys(machine)).connect(node(machine, address=bed.gateway, port=port))
    assert "no SSH server" in lost.value.text() or "banner" in lost.value.text()


def test_nobody_there(machine: Machine, tmp_path: Path) -> None:
    fleet = Fleet(Pins(tmp_path / "k"), keys(machine))
    for about, why in (
        ({"port": 9}, "nothing listens on port 9"),
        ({"address": "10.99.250.77"}, ""),
        ({"address": "no-such-name.invalid"}, "cannot be resolved"),
        ({"address": ""}, "no address"),
    ):
        with pytest.raises(NodeUnreachable, match="cannot be reached") as lost:
            fleet.connect(node(machine, **about))
        assert why in lost.value.text() and "cluster.yaml:7" in lost.value.text()


# --- logging in


def vouched(machine: Machine, **more: Any) -> Node:
    return node(machine, host_keys=(machine.host_key,), **more)


def test_the_wrong_key(machine: Machine, tmp_path: Path) -> None:
    names = []
    for number in range(7):  # more than sshd lets anybody try
        keygen("-q", "-t", "ed25519", "-N", "", "-f", tmp_path / f"key{number}")
        names.append(tmp_path / f"key{number}")
    for tried in (names[:1], names):
        with pytest.raises(LoginRefused, match="does not let ops in") as refused:
            Fleet(Pins(tmp_path / "k"), keys(machine, identities=tried)).connect(vouched(machine))
        assert "key0" in refused.value.text() and "authorized_keys" in refused.value.text()
    with pytest.raises(LoginRefused) as refused:
        Fleet(Pins(tmp_path / "k"), keys(machine, identities=[])).connect(vouched(machine))
    assert "no key, agent or password to try" in refused.value.text()
    _no_threads()


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_a_key_with_a_passphrase_is_asked_once(machine: Machine, tmp_path: Path, kind: str) -> None:
    keygen("-q", "-t", kind, "-N", "a passphrase", "-f", tmp_path / "key")
    machine.put((tmp_path / "key.pub").read_text(), "/home/ops/.ssh/authorized_keys")
    asked: list[str] = []
    auth = keys(machine, identities=[tmp_path / "key"], ask=lambda what: asked.append(what) or "a passphrase")
    fleet = Fleet(Pins(tmp_path / "k"), auth)
    for _ in range(2):
        with fleet.connect(vouched(machine)) as connection:
            assert (whoami(connection), connection.login) == ("ops", "key")
    assert asked == [f"passphrase of {tmp_path / 'key'}"]
    with pytest.raises(LoginRefused) as refused:  # nobody to ask
        Fleet(Pins(tmp_path / "k"), keys(machine, identities=[tmp_path / "key"])).connect(vouched(machine))
    assert "passphrase" in refused.value.text() and "ssh-add" in refused.value.text()


def test_a_password(machine: Machine, tmp_path: Path) -> None:
    asked: list[str] = []
    auth = keys(machine, identities=[], ask=lambda what: asked.append(what) or machine.password)
    fleet = Fleet(Pins(tmp_path / "k"), auth)
    for _ in range(2):
        with fleet.connect(vouched(machine)) as connection:
            assert (whoami(connection), connection.login) == ("ops", "password")
    assert asked == ["password of ops"]
    with pytest.raises(LoginRefused) as refused:
        Fleet(Pins(tmp_path / "k"), keys(machine, identities=[], password="not the one")).connect(vouched(machine))
    assert "refused: password" in refused.value.text() and "not the one" not in refused.value.text()


def test_an_agent(machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = subprocess.run(["ssh-agent", "-s"], check=True, capture_output=True, text=True, timeout=10).stdout
    found = dict(re.findall(r"(SSH_\w+)=([^;]+);", said))
    monkeypatch.setenv("SSH_AUTH_SOCK", found["SSH_AUTH_SOCK"])
    try:
        subprocess.run(["ssh-add", "-q", machine.key], check=True, env={**os.environ, **found}, timeout=10)
        fleet = Fleet(Pins(tmp_path / "k"), keys(machine, identities=[], agent=True))
        nodes = [
            Node(f"n{i}", "metal", "lab", "gpu", "ops", address=machine.address, host_keys=(machine.host_key,))
            for i in range(8)
        ]
        said_by = fleet.each(nodes, lambda connection: connection.login)
        assert set(said_by.values()) == {"agent"}, said_by
    finally:
        os.kill(int(found["SSH_AGENT_PID"]), 15)


def test_a_users_certificate(machine: Machine, tmp_path: Path) -> None:
    for name in ("ca", "me"):
        keygen("-q", "-t", "ed25519", "-N", "", "-f", tmp_path / name)
    keygen("-q", "-s", tmp_path / "ca", "-I", "me", "-n", "ops", tmp_path / "me.pub")
    machine.put(tmp_path / "ca.pub", "/etc/ssh/users_ca.pub")
    sshd(machine, "TrustedUserCAKeys /etc/ssh/users_ca.pub\n")
    fleet = Fleet(Pins(tmp_path / "k"), keys(machine, identities=[tmp_path / "me"]))
    with fleet.connect(vouched(machine)) as connection:
        assert (whoami(connection), connection.login) == ("ops", "certificate")


def test_what_ssh_config_adds(machine: Machine, tmp_path: Path) -> None:
    config = tmp_path / "config"
    with Relay(machine.address) as relay:
        config.write_text(
            f"Host {machine.name}\n  Port {relay.port}\n  HostName 127.0.0.1\n  IdentityFile {machine.key}\n"
            "  IdentitiesOnly yes\n"
        )
        fleet = Fleet(Pins(tmp_path / "k"), keys(machine, identities=[], config=config))
        with fleet.connect(vouched(machine, address=machine.name)) as connection:
            assert whoami(connection) == "ops"
        assert relay.connections == 1


# --- through a jump host


def test_one_connection_to_a_jump_host_for_all_behind_it(bed: Bed, tmp_path: Path) -> None:
    bastion, *behind = bed.start(4, "plain")
    with Relay(bastion.address) as relay:
        gate = Node("gate", "host", "lab", "cpu", "ops", "127.0.0.1", port=relay.port, host_keys=(bastion.host_key,))
        nodes = [vouched(machine, jump="gate") for machine in behind]
        fleet = Fleet(Pins(tmp_path / "k"), keys(bastion), nodes=[gate, *nodes])
        said = fleet.each(nodes, whoami)
        assert list(said.values()) == ["ops"] * 3, said
        assert relay.connections == 1
        came = behind[0].run("cat /proc/net/tcp | wc -l").out
        assert came
        _no_threads()
        nodes = [vouched(machine, jump=f"ops@127.0.0.1:{relay.port}") for machine in behind]
        said = Fleet(Pins(tmp_path / "k"), keys(bastion)).each(nodes, whoami)
        assert {type(item) for item in said.values()} == {HostKeyError}  # its key is looked at too
        said = Fleet(Pins(tmp_path / "k"), keys(bastion), accepted=[seen(bastion)]).each(nodes, whoami)
        assert list(said.values()) == ["ops"] * 3
        assert (tmp_path / "k").read_text() == f"host/127.0.0.1:{relay.port} {bastion.host_key}\n"
        chain = [vouched(behind[0], jump=behind[1].name), vouched(behind[1], jump="gate")]
        fleet = Fleet(Pins(tmp_path / "k"), keys(bastion), nodes=[gate, *chain])
        with fleet.connect(chain[0]) as connection:
            assert whoami(connection) == "ops"
    _no_threads()


def test_a_jump_host_that_is_gone(bed: Bed, tmp_path: Path) -> None:
    (machine,) = bed.start(1, "plain")
    gate = Node("gate", "host", "lab", "cpu", "ops", machine.address, port=9)
    nodes = [Node(f"n{i}", "metal", "lab", "gpu", "ops", "10.0.0.1", jump="gate") for i in range(20)]
    began = time.monotonic()
    said = Fleet(Pins(tmp_path / "k"), keys(machine), nodes=[gate]).each(nodes, whoami)
    assert {type(item) for item in said.values()} == {NodeUnreachable} and time.monotonic() - began < 5
    gate = Node("gate", "host", "lab", "cpu", "ops", machine.address, host_keys=(machine.host_key,))
    dead = vouched(machine, jump="gate", port=9)
    with pytest.raises(NodeUnreachable) as lost:
        Fleet(Pins(tmp_path / "k"), keys(machine), nodes=[gate]).connect(dead)
    assert "the jump host gate cannot connect to it" in lost.value.text()
    _no_threads()
