"""What Packer says with ``-machine-readable``, line by line: parsing, and the phase that a bake is in. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

KEPT = 60  # lines of a phase's output that an error may want to show
AMI = re.compile(r"\bami-[0-9a-f]{8,17}\b")
INSTANCE = re.compile(r"Instance ID: (i-[0-9a-f]+)")
# What Packer says of itself once a build has failed: nothing that a person could use.
CLOSING = re.compile(
    r"^(=*>? ?Some builds didn't complete|--> amazon-ebs|=*>? ?Wait completed after|=*>? ?Builds finished"
    r"|Build '.*' (errored|finished) after|Provisioning step had errors|No (volumes|AMIs) to clean ?up"
    r"|Cleaning up any extra)"
)
CHECK = re.compile(r"^(PASS|FAIL|SKIPPED) ([^:]+): ?(.*)$")

# What Packer announces -> what a person calls that part of a bake. The first that is found in a line counts.
PHASES = (
    ("Launching a source AWS instance", "launch"),
    ("Waiting for SSH to become available", "connect"),
    ("scripts/prepare.sh", "prepare"),
    ("scripts/unpack.sh", "upload"),
    ("Uploading", "upload"),
    ("scripts/converge.sh", "converge"),
    ("scripts/rehearse.sh", "converge"),
    ("scripts/smoke.sh", "smoke"),
    ("scripts/packages.sh", "packages"),
    ("scripts/seal.sh", "seal"),
    ("Stopping the source instance", "stop"),
    ("Creating AMI", "image"),
    ("Terminating the source AWS instance", "clean"),
)
ORDER = ("launch", "connect", "prepare", "upload", "converge", "smoke", "packages", "seal", "stop", "image", "clean")


@dataclass(frozen=True, slots=True)
class Event:
    """One line. ``kind`` is Packer's (``ui``, ``artifact``, ``error``…), ``data`` its fields with commas put back."""

    kind: str
    data: tuple[str, ...] = ()
    target: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the smoke test."""

    name: str
    status: str
    what: str

    def data(self) -> dict[str, str]:
        return {"name": self.name, "status": self.status, "what": self.what}


def parse(line: str) -> Event:
    """An event of any line: what is not in Packer's form (a plugin's stray print) is kept as one of kind ``text``."""
    parts = line.rstrip("\r\n").split(",")
    if len(parts) < 3 or not parts[0].isdigit():
        return Event("text", (line.rstrip("\r\n"),))
    return Event(parts[2], tuple(_plain(part) for part in parts[3:]), parts[1])


def _plain(text: str) -> str:
    return text.replace("%!(PACKER_COMMA)", ",").replace("\\n", "\n").replace("\\r", "")


Sink = Callable[[dict[str, Any]], None]


@dataclass(slots=True)
class Story:
    """A bake as it is told: where it is, what was said last, and what came of it.

    ``phase`` is one of ORDER, "" before the first. ``lines`` are of the present phase.
    """

    phase: str = ""
    lines: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    instance: str = ""
    image: str = ""
    failed_in: str = ""

    def hear(self, event: Event, sink: Sink | None = None) -> None:
        """Take in one event; ``sink`` gets a dict for each thing worth showing."""
        if event.kind == "ui" and len(event.data) >= 2:
            self._said(event.data[0], event.data[1], sink)
        elif event.kind == "artifact" and len(event.data) >= 3 and event.data[1] == "id":
            self.image = event.data[2].rpartition(":")[2]
        elif event.kind == "error":
            self._error("\n".join(event.data))
        elif event.kind == "text" and event.data and event.data[0].strip():
            self._keep(event.data[0])

    def _said(self, level: str, text: str, sink: Sink | None) -> None:
        for line in text.splitlines():
            said = _without_target(line)
            if not said or CLOSING.match(said):
                continue
            if level == "say":
                self._enter(said, sink)
            if self.failed_in:
                continue  # the builder is being removed
            if level == "error":
                self._error(said)
            if found := INSTANCE.search(said):
                self.instance = found[1]
            self._keep(said)
            if check := CHECK.match(said):
                self.checks.append(Check(check[2], check[1], check[3]))
            if sink is not None and level != "say" and not said.startswith("Adding tag:"):
                sink({"type": "bake_line", "phase": self.phase, "text": said, "level": level})

    def _enter(self, said: str, sink: Sink | None) -> None:
        phase = next((name for words, name in PHASES if words in said), self.phase)
        if phase == self.phase or self.failed_in:
            return
        if phase == "clean" and "image" not in (self.phase, self.failed_in):
            self.failed_in = self.phase  # the builder goes before there was an image: what came before went wrong
            return
        self.phase = phase
        self.lines.clear()
        if sink is not None:
            sink({"type": "bake_phase", "phase": phase, "text": said})

    def _error(self, text: str) -> None:
        self.errors.append(text)

    def _keep(self, line: str) -> None:
        self.lines.append(line)
        del self.lines[:-KEPT]

    @property
    def where(self) -> str:
        """The phase that failed."""
        return self.failed_in or self.phase

    def tail(self, count: int = 12) -> str:
        return "\n".join(self.lines[-count:])

    def smoke(self) -> str:
        """``passed``, ``passed, 2 skipped``, or ``failed: …``, as the ledger has it."""
        failed = [check.name for check in self.checks if check.status == "FAIL"]
        skipped = sum(check.status == "SKIPPED" for check in self.checks)
        if failed:
            return f"failed: {' '.join(failed)}"
        return f"passed, {skipped} skipped" if skipped else "passed"


def _without_target(line: str) -> str:
    """A line without the ``==> amazon-ebs.image:`` that Packer puts before each."""
    return re.sub(r"^(==>|   )? *amazon-ebs(\.image)?: ?", "", line).rstrip()
