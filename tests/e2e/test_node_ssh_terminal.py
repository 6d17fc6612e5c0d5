"""What is asked at a terminal, and never elsewhere: a first contact, a password, a stop in the middle of a question."""

from __future__ import annotations

import os
import pty
import select
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.bed import Machine
from tests.conftest import Infra

SPEC = """\
version: 1
cluster: lab
profiles: {{gpu: {{}}}}
metal:
  titan:
    profile: gpu
    user: {user}
    hosts:
      - {{name: titan-01, address: {address}}}
"""


class Typing:
    """A command at a terminal of its own."""

    def __init__(self, infra: Infra, *words: str) -> None:
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # whoever runs the tests may be deaf to it
            os.chdir(infra.folder)
            os.execve(sys.executable, [sys.executable, "-m", "infra", *words], infra.env)
        self.text = ""

    def until(self, words: str) -> None:
        end = time.monotonic() + 30
        while words not in self.text:
            assert time.monotonic() < end, self.text
            if select.select([self.terminal], [], [], 0.2)[0]:
                try:
                    self.text += os.read(self.terminal, 4096).decode("utf-8", "replace").replace("\r\n", "\n")
                except OSError:
                    assert words in self.text, self.text
                    return

    def type(self, words: str) -> None:
        os.write(self.terminal, words.encode())

    def end(self) -> int:
        limit = time.monotonic() + 60
        try:
            while time.monotonic() < limit:
                if select.select([self.terminal], [], [], 0.2)[0]:
                    if not (piece := os.read(self.terminal, 4096)):
                        break
                    self.text += piece.decode("utf-8", "replace").replace("\r\n", "\n")
            else:
                os.kill(self.pid, signal.SIGKILL)
        except OSError:
            pass
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


@pytest.fixture
def machine(machines: Callable[..., list[Machine]], infra: Infra) -> Machine:
    (made,) = machines(1, "plain")
    infra.write(SPEC.format(user=made.user, address=made.address))
    return made


def test_first_contact_and_sudo(infra: Infra, machine: Machine) -> None:
    words = ["node", "exec", "titan-01", "--identity", str(machine.key), "--sudo", "--", "id", "-un"]
    command = Typing(infra, *words)
    command.until("[y/N]:")
    assert "SHA256:" in command.text and "titan-01" in command.text
    command.type("y\n")
    command.until("Sudo password:")
    command.type(f"{machine.password}\n")
    assert command.end() == 0, command.text
    assert "root" in command.text and machine.password not in command.text
    assert machine.host_key in (infra.folder / ".infra/lab/known_hosts").read_text()
    assert "INFRA_SUDO_PASSWORD" in infra(*words, code=1).all  # pinned now, but nobody to ask
    assert infra(*words, INFRA_SUDO_PASSWORD=machine.password).out.strip().endswith("root")


def test_no_is_no(infra: Infra, machine: Machine) -> None:
    command = Typing(infra, "node", "exec", "titan-01", "--identity", str(machine.key), "--", "id")
    command.until("[y/N]:")
    command.type("\n")
    assert command.end() == 1
    assert "is not known yet" in command.text
    assert not (infra.folder / ".infra/lab/known_hosts").exists()


@pytest.mark.parametrize("how", ["key", "signal"])
def test_a_stop_in_the_middle_of_a_question(infra: Infra, machine: Machine, how: str) -> None:
    command = Typing(infra, "node", "exec", "titan-01", "--identity", str(machine.key), "--", "id")
    command.until("[y/N]:")
    began = time.monotonic()
    if how == "key":
        command.type("\x03")
    else:
        os.kill(command.pid, signal.SIGTERM)
    assert command.end() != 0 and time.monotonic() - began < 8, command.text
    assert "Traceback" not in command.text


def test_nothing_is_asked_without_a_terminal(infra: Infra, machine: Machine, tmp_path: Path) -> None:
    words = ["node", "exec", "titan-01", "--identity", str(machine.key), "--", "id", "-un"]
    assert "--accept-host-key SHA256:" in infra(*words, code=1).all
    (said,) = infra(*words[:3], "--json", *words[3:], code=1).json["nodes"]
    assert said["error"] == "HostKeyError" and "SHA256:" in said["reason"]
    wrong = infra(*words[:3], "--accept-host-key", "nonsense", *words[3:], code=1)
    assert "is no fingerprint" in wrong.err
    assert "nobody to ask" in infra(*words[:3], "--ask-sudo", *words[3:], code=1).err
