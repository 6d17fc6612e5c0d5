"""Pins, certificates and sudo's refusals: the parts of trust that need no machine."""

from __future__ import annotations

import re
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest

import infra
from infra.errors import FileError, HostKeyError
from infra.node.model import Node
from infra.node.ssh import certificate, sudo, trust
from infra.node.ssh.auth import Auth
from infra.node.ssh.trust import Judge, Pins
from infra.proc import SECRETS

INFRA = Path(infra.__file__).parent


def node(name: str = "titan-01", **more: Any) -> Node:
    return Node(name, "metal", "titan", "gpu", "ops", **{"address": "10.0.0.1", "where": "cluster.yaml:9", **more})


def key(folder: Path, name: str, kind: str = "ed25519") -> str:
    if not (folder / name).exists():
        words = ["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", str(folder / name)]
        subprocess.run(words, check=True, timeout=60)
    return " ".join((folder / f"{name}.pub").read_text().split()[:2])


def blob(text: str) -> tuple[str, bytes]:
    import base64

    return text.split()[0], base64.b64decode(text.split()[1])


def test_fingerprints_are_those_of_ssh_keygen(tmp_path: Path) -> None:
    text = key(tmp_path, "one")
    words = ["ssh-keygen", "-lf", str(tmp_path / "one.pub")]
    shown = subprocess.run(words, check=True, capture_output=True, text=True, timeout=10).stdout
    assert trust.fingerprint(text) == shown.split()[1]
    assert trust.fingerprint("nonsense") == "SHA256:(not a key)"
    assert trust.text(blob(text)[1]) == text


def test_pins_are_read_as_openssh_reads_them(tmp_path: Path) -> None:
    pins = Pins(tmp_path / "work" / "known_hosts")
    one, two = key(tmp_path, "one"), key(tmp_path, "two")
    assert pins.known(node()) == []
    pins.pin(node(), one)
    pins.pin(node(), one)
    pins.pin(node("titan-02"), two)
    assert [known.text for known in pins.known(node())] == [one]
    assert pins.known(node("titan-02"))[0].where == f"{pins.path}:2"
    words = ["ssh-keygen", "-F", "metal/titan-02", "-f", str(pins.path)]
    assert two in subprocess.run(words, check=True, capture_output=True, text=True, timeout=10).stdout
    pins.pin(node(), two, instead=True)
    assert [known.text for known in pins.known(node())] == [two]
    assert pins.forget(node()) == 1 and pins.known(node()) == [] and pins.forget(node()) == 0


def test_pins_of_many_threads_and_processes_are_all_kept(tmp_path: Path) -> None:
    text = key(tmp_path, "one")
    many = [Pins(tmp_path / "known_hosts") for _ in range(4)]  # as other processes would

    def write(number: int) -> None:
        for item in range(10):
            many[number].pin(node(f"n{number}-{item}"), text)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len((tmp_path / "known_hosts").read_text().splitlines()) == 40
    assert all(pins.known(node("n3-9")) for pins in many)


def test_pins_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FileError):
        Pins(tmp_path / "file" / "known_hosts").pin(node(), key(tmp_path, "one"))


def test_what_vouches_comes_before_pins(tmp_path: Path) -> None:
    pins = Pins(tmp_path / "known_hosts")
    one, two = key(tmp_path, "one"), key(tmp_path, "two")
    pins.pin(node(), two)
    vouched = node(host_keys=(one + " a comment",))
    Judge(pins).judge(vouched, *blob(one))
    with pytest.raises(HostKeyError) as refused:
        Judge(pins, accepted=frozenset([trust.fingerprint(two)]), confirm=lambda *_: True).judge(vouched, *blob(two))
    text = refused.value.text()
    assert trust.fingerprint(one) in text and trust.fingerprint(two) in text and "cluster.yaml:9" in text


def test_a_pin_gives_way_only_to_a_fingerprint_given_by_name(tmp_path: Path) -> None:
    pins = Pins(tmp_path / "known_hosts")
    one, two = key(tmp_path, "one"), key(tmp_path, "two")
    pins.pin(node(), one)
    with pytest.raises(HostKeyError, match="another host key"):
        Judge(pins, confirm=lambda *_: True).judge(node(), *blob(two))
    Judge(pins, accepted=frozenset([trust.fingerprint(two)])).judge(node(), *blob(two))
    assert [known.text for known in pins.known(node())] == [two]


def certified(folder: Path, *words: str, name: str = "host") -> tuple[str, bytes]:
    key(folder, name)
    key(folder, "ca")
    argv = ["ssh-keygen", "-q", "-s", str(folder / "ca"), "-I", "it", *words, str(folder / f"{name}.pub")]
    subprocess.run(argv, check=True, timeout=10)
    return blob((folder / f"{name}-cert.pub").read_text())


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("-h", "-n", "titan-01"), ""),
        (("-h", "-n", "other,10.0.0.1"), ""),
        (("-h", "-n", "TITAN-*"), ""),
        (("-h", "-n", "titan-02"), "it is for titan-02, not for titan-01 or 10.0.0.1"),
        (("-h",), "it is for nobody by name"),
        (("-n", "titan-01"), "user's certificate"),
        (("-h", "-n", "titan-01", "-V", "20200101:20200201"), "not valid now"),
        (("-h", "-n", "titan-01", "-V", "+1d:+2d"), "not valid now"),
    ],
)
def test_host_certificates(tmp_path: Path, words: tuple[str, ...], why: str) -> None:
    kind, raw = certified(tmp_path, *words)
    assert certificate.is_certificate(kind)
    assert certificate.plain(raw) == key(tmp_path, "host")
    said = certificate.refused(raw, [key(tmp_path, "ca") + " comment"], ("titan-01", "10.0.0.1"))
    assert why in said if why else said == ""
    assert "another CA" in certificate.refused(raw, [key(tmp_path, "two")], ("titan-01",))
    assert "another CA" in certificate.refused(raw, [], ("titan-01",))


def test_a_certificate_that_was_changed(tmp_path: Path) -> None:
    _, raw = certified(tmp_path, "-h", "-n", "titan-01")
    forged = raw.replace(b"titan-01", b"titan-99")
    assert "signature is wrong" in certificate.refused(forged, [key(tmp_path, "ca")], ("titan-99",))


def test_no_certificate_at_all(tmp_path: Path) -> None:
    assert certificate.refused(blob(key(tmp_path, "one"))[1], [], ("titan-01",)) == "it is no certificate"


@pytest.mark.parametrize(
    ("said", "why", "fix"),
    [
        ("sudo: sorry, you must have a tty to run sudo", "requiretty", "!requiretty"),
        ("ops is not in the sudoers file.", "does not allow ops", "usermod"),
        ("Sorry, user ops may not run sudo on titan-01.", "does not allow ops", "usermod"),
        ("sudo: a password is required", "wants a password", "--ask-sudo"),
        ("sudo: 1 incorrect password attempt", "password is wrong", "INFRA_SUDO_PASSWORD"),
        ("env: 'sudo': No such file or directory", "no sudo on it", "install sudo"),
        ("sudo: something new {odd}", "something new {odd}", "sudo -v"),
        ("", "without a word", "sudo -v"),
        (sudo.WRONG, "password is wrong", "--ask-sudo"),
    ],
)
def test_what_sudo_means(said: str, why: str, fix: str) -> None:
    problem = sudo.refusal(node(), said).problems[0]
    assert why in problem.why and fix in problem.fix and problem.where == "cluster.yaml:9"


def test_secrets_are_asked_once_and_never_shown() -> None:
    asked: list[str] = []
    auth = Auth(sudo="", ask=lambda what: asked.append(what) or "a-secret-word")
    assert [auth.sudo_password(), auth.sudo_password(), auth.secret("sudo password")] == ["a-secret-word"] * 3
    assert asked == ["sudo password"] and "a-secret-word" not in SECRETS.redact("it is a-secret-word")
    assert Auth(sudo="").sudo_password() == ""


def test_only_the_ssh_room_knows_paramiko() -> None:
    users = {
        str(path.relative_to(INFRA))
        for path in INFRA.rglob("*.py")
        if re.search(r"^\s*(import|from) paramiko", path.read_text(), re.M)
    }
    assert users and all(name.startswith("node/ssh/") for name in users)
