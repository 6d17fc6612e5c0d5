"""Test machines that are brought to a policy by the command line, with the recording stand-in for the Chef client."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.bed import Bed, Machine, standin
from tests.bed.standin import StandIn
from tests.conftest import Infra, Ran

LOG = "/var/lib/infra/job/log"


@dataclass
class Rig:
    """``file`` is written for ``machines``: one metal group, the profile ``box``."""

    infra: Infra
    bed: Bed
    client: StandIn
    machines: list[Machine] = field(default_factory=list)

    @classmethod
    def of(cls, infra: Infra, bed: Bed, folder: Path, count: int = 1, layers: Sequence[Path] = ()) -> Rig:
        rig = cls(infra, bed, standin.build(folder))
        rig.machines = bed.start(count, layers=layers)
        infra.env["INFRA_SUDO_PASSWORD"] = rig.machines[0].password
        rig.write()
        return rig

    @property
    def machine(self) -> Machine:
        return self.machines[0]

    def write(self, *, profile: str = "{}", chef: str | None = None, more: str = "") -> None:
        """The file; ``more`` are further keys of the group, ``chef`` "" leaves the client unnamed."""
        named = f"chef: {{url: {self.client.path}, sha256: {self.client.sha256}}}\n"
        hosts = [
            f"{{name: {machine.name}, address: {machine.address}, host_key: {machine.host_key}}}"
            for machine in self.machines
        ]
        self.infra.write(
            f"version: 1\ncluster: lab\n{named if chef is None else chef}profiles: {{box: {profile}}}\n"
            f"metal:\n  rack: {{profile: box, user: ops, hosts: [{', '.join(hosts)}]{more}}}\n"
        )

    def __call__(self, verb: str, *words: str, code: int | None = 0, allow: bool = True, **env: str) -> Ran:
        """``infra node VERB …`` with the machines' key."""
        return self.infra(*self._words(verb, words, allow), code=code, **env)

    def begin(self, verb: str, *words: str, **env: str) -> subprocess.Popen[str]:
        """The same, as a process that a test can kill."""
        return subprocess.Popen(
            [sys.executable, "-m", "infra", *self._words(verb, words, True)],
            cwd=self.infra.folder,
            env={**self.infra.env, **env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def _words(self, verb: str, words: Sequence[str], allow: bool) -> list[str]:
        return ["node", verb, *words, "-i", str(self.bed.key), *(["--allow-os"] if allow else [])]

    def calls(self, machine: Machine | None = None) -> int:
        return len(self.client.calls(machine or self.machine))

    def working(self, since: int = 0, machine: Machine | None = None) -> None:
        """Wait until the client is at work, called once more than ``since``."""
        box = machine or self.machine
        until(lambda: self.calls(box) > since and "second 2" in box.run(f"cat {LOG}", check=False).out)

    def node(self, machine: Machine | None = None) -> dict[str, Any]:
        """What the machine says it is; {} when it says nothing."""
        text = (machine or self.machine).run("cat /var/lib/infra/node.json", check=False).out
        return dict(json.loads(text)) if text else {}


def until(done: Callable[[], bool], timeout: float = 60) -> None:
    end = time.monotonic() + timeout
    while not done():
        assert time.monotonic() < end, f"not within {timeout:.0f} s"
        time.sleep(0.1)


def ended(process: subprocess.Popen[str], code: int = 0, timeout: float = 120) -> str:
    """What it said, after its end."""
    out, err = process.communicate(timeout=timeout)
    assert process.returncode == code, out + err
    assert "Traceback" not in out + err
    return out + err
