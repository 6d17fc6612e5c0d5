"""The bad input and faults of the issue on machines, what each command said of it, and the page that shows that."""

from __future__ import annotations

import os
import re
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from infra.policy import of
from infra.spec.load import load
from tests.bed import Machine
from tests.conftest import Ran
from tests.e2e.bring_rig import Rig

PAGE = Path(__file__).resolve().parents[2] / "docs/node-faults.md"
HEAD = """\
# Faults of machines, and what each printed

Every row was tried on a test machine (a Debian with a systemd and an sshd of its own; a recording stand-in takes the
place of the Chef client), by `tests/e2e/test_node_faults.py`, which also looks that no machine is recorded as converged
that is not, that there was no traceback, and that the same command works once the fault is gone.
`INFRA_GOLDEN=write pytest tests/e2e/test_node_faults.py` writes this page from what the commands said.

| fault | made by | exit code | what it printed | afterwards |
| --- | --- | --- | --- | --- |
"""
# What differs from run to run.
FLEETING = (
    (r"10\.99\.\d+\.", "10.99.1."),
    (r"/\S*/lab/", ""),
    (r"/tmp/\S+", "…"),
    (r"SHA256:[A-Za-z0-9+/]{43}", "SHA256:…"),
    (r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "2026-01-01T00:00:00Z"),
    (r"\bport \d{5}\b|(?<=127\.0\.0\.1:)\d{5}", "12345"),
    (r"\bprocess \d+", "process 1234"),
    (r"\b[0-9a-f]{12,64}\b", "3f9a1c0b7d24"),
    (r"\bjob [0-9a-f]{8}\b", "job 0c1d2e3f"),
    (r" \(\d+ s\)", ""),
    (r"@\w+ (?=converges)", "@desk "),
)


@dataclass
class Book:
    """What every fault printed, in the order of the tests."""

    rows: dict[str, str] = field(default_factory=dict)

    def note(self, fault: str, made: str, code: int, said: str, after: str) -> None:
        text = said.strip()
        for pattern, instead in FLEETING:
            text = re.sub(pattern, instead, text)
        shown = "<br>".join(line.strip().replace("|", "\\|") for line in text.splitlines())
        self.rows[fault] = f"| {fault} | {made} | {code} | {shown} | {after} |"

    def write(self) -> None:
        """The page anew; of faults that were not tried now, what it says already."""
        if os.environ.get("INFRA_GOLDEN") == "write":
            lines = PAGE.read_text().splitlines() if PAGE.is_file() else []
            kept = {line.split(" | ")[0].removeprefix("| "): line for line in lines if line.startswith("| ")}
            kept = {fault: line for fault, line in kept.items() if fault not in ("fault", "---")}
            PAGE.write_text(HEAD + "\n".join({**kept, **self.rows}.values()) + "\n")


@dataclass
class Faults:
    """A rig whose machines were brought up once; each policy is a new one, so that there is something to do."""

    rig: Rig
    book: Book
    turn: int = 0

    def policy(self) -> None:
        """Another policy in the file."""
        self.turn += 1
        self.rig.write(profile=f"{{attributes: {{turn: {self.turn}}}}}")

    def fresh(self, machine: Machine) -> str:
        """Another policy, and a client that has nothing to say; the digest that the machine has before."""
        self.policy()
        self.rig.client.told(machine)
        return str(self.rig.node(machine)["digest"])

    def stopped(self, fault: str, made: str, machine: Machine, ran: Ran, *words: str, had: str = "") -> None:
        """It ended with 1 and said what, why and how to mend it; the machine is not said to be what it is not."""
        assert ran.code == 1, ran.all
        for word in (*words, "error: ", "fix: "):
            assert word in ran.err, f"{fault}: {word!r} is not in\n{ran.err}"
        node = self.rig.node(machine) if machine.pid else {}
        assert not node or node["digest"] == had or not node["converged"], node
        self.book.note(fault, made, ran.code, problems(ran.err), "the same command, once mended: converged")

    def mended(self, machine: Machine) -> None:
        """The same command again brings the machine there."""
        self.rig("converge", machine.name)
        self.there(machine)

    def there(self, machine: Machine) -> None:
        node = self.rig.node(machine)
        wanted = of(load(self.rig.infra.folder / "cluster.yaml"), "box").digest
        assert (node["digest"], bool(node["converged"])) == (wanted, True), node

    def works(self, fault: str, made: str, machine: Machine, said: str, after: str = "converged") -> None:
        """It is no obstacle: the machine is converged all the same."""
        self.there(machine)
        self.book.note(fault, made, 0, said, after)


def problems(text: str) -> str:
    """The errors of what a command said, without its progress."""
    shown, found = False, []
    for line in text.splitlines():
        if line[:1].strip():  # a new message; what belongs to it is indented
            shown = line.startswith("error: ") or (shown and not line.startswith("warning: "))
        if shown and line.strip():
            found.append(line)
    return "\n".join(found)


def line_of(text: str, *words: str) -> str:
    """The first lines that hold these words, for a fault that is got over."""
    found = [next((line.strip() for line in text.splitlines() if word in line), "") for word in words]
    return "\n".join(line for line in found if line)


@contextmanager
def broken(machine: Machine, how: str, back: str) -> Iterator[None]:
    """While inside, the machine has that fault."""
    machine.run(how)
    try:
        yield
    finally:
        machine.run(back)


def cut(machine: Machine, seconds: float, kind: str) -> None:
    """Cut the machine's SSH by a rule of its own firewall: ``reset`` ends connections, ``drop`` swallows all."""
    what = "reject with tcp reset" if kind == "reset" else "drop"
    machine.run(
        "nft add table inet cut; nft add chain inet cut in '{ type filter hook input priority 0; }';"
        f"nft add rule inet cut in tcp dport 22 {what}"
    )
    time.sleep(seconds)
    machine.run("nft delete table inet cut")


def after(seconds: float, work: object, *words: object) -> threading.Thread:
    """Call ``work`` so much later, beside what a test does."""
    assert callable(work)
    thread = threading.Timer(seconds, work, words)
    thread.start()
    return thread


def outcome(process: subprocess.Popen[str], timeout: float = 120) -> Ran:
    """What a process of the rig came to."""
    out, err = process.communicate(timeout=timeout)
    assert "Traceback" not in out + err, out + err
    return Ran(process.returncode, out, err)
