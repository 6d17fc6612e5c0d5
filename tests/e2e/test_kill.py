"""``infra apply`` and everything under it are killed (-9) at random moments; a rerun always converges.

Afterwards ``infra plan`` is empty, and the embedded AWS holds nothing that the state does not know. The moments are
drawn over a whole apply: at a request that changes something (before it is done; or when it is done, and its answer
never arrives), or at a time. ``INFRA_TEST_SEED`` draws others, ``INFRA_TEST_KILLS`` says how many.
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from tests.conftest import Infra
from tests.e2e.killing import Run, Server, Trap, door, pids, state_ids

pytestmark = [pytest.mark.engine, pytest.mark.skipif(sys.platform != "linux", reason="finds processes in /proc")]

SEED = int(os.environ.get("INFRA_TEST_SEED", "20160822"))
KILLS = int(os.environ.get("INFRA_TEST_KILLS", "20"))
SIDE_BY_SIDE = 4  # most of an apply is waiting
REGION = "us-west-2"
CHANGES = 53  # of a whole apply of this spec; a few more or fewer only move the moments
SECONDS = 24.0  # from its first change to its last
SPEC = """\
version: 1
cluster: kills
aws: {regions: [us-west-2], endpoint: local}
network: {zones: 1, nat: none, flow_logs: false}
access:
  users:
    ada: {keys: ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFrORCiFghWA5IVhIrl+Sfz3oMUZ5NRhtPQ7MAB7L40P ada@laptop"]}
profiles: {cpu: {}}
pools:
  burst: {profile: cpu, instance_types: [m5.large, m5.xlarge], size: {max: 2}, capacity: spot, placement: cluster}
hosts:
  head: {profile: cpu, instance_type: m5.large}
storage:
  datasets: {efs: {}, mount: /data}
  results: {s3: {bucket: kills-results}, mount: /results}
"""


@dataclass
class Outcome:
    """What came of one kill and of the two commands after it."""

    trap: Trap
    survivors: list[int]
    first: int = 0
    again: int = 0
    said: str = ""
    planned: int = 0
    plan: str = ""
    unknown: tuple[tuple[str, str], ...] = ()
    leftovers: tuple[tuple[str, str], ...] = ()
    adopted: int = 0
    seconds: float = 0

    def __str__(self) -> str:
        return (
            f"{self.trap}: exit {self.first}; rerun exit {self.again} with {self.adopted} adopted in "
            f"{self.seconds:.0f} s; plan exit {self.planned}; {len(self.unknown)} unknown to the state"
        )


def moments(number: int) -> list[Trap]:
    """So many traps, always the same for one seed."""
    draw = random.Random(SEED)
    kinds = ("after", "time", "before", "after", "time")
    found = []
    for index in range(number):
        kind = kinds[index % len(kinds)]
        if kind == "time":
            found.append(Trap(at=1, delay=draw.uniform(0.05, SECONDS)))
        else:
            found.append(Trap(at=draw.randint(1, CHANGES), after=kind == "after"))
    return found


@dataclass
class Yard:
    """Folders with an embedded AWS each, used over and over: a kill is tried in an empty one."""

    base: Path
    environment: dict[str, str]

    def lab(self, number: int, name: str, spec: str = SPEC) -> tuple[Infra, Server]:
        folder = self.base / f"{name}-{number}"
        folder.mkdir()
        infra = Infra(folder, {**self.environment, "INFRA_LOCAL_DIR": str(self.base / f"aws-{name}-{number}")})
        infra.write(spec)
        return infra, Server.of(infra)


@pytest.fixture(scope="module")
def yard(tmp_path_factory: pytest.TempPathFactory, session_environment: dict[str, str]) -> Yard:
    return Yard(tmp_path_factory.mktemp("kills"), session_environment)


def work(infra: Infra) -> Path:
    return infra.folder / ".infra" / "kills@local" / REGION


def adopted(infra: Infra) -> int:
    """How many things the last apply adopted, as its record says."""
    paths = sorted((infra.folder / ".infra" / "kills@local" / "log").glob("*.json"))
    regions = json.loads(paths[-1].read_text())["regions"] if paths else {}
    return sum(len(facts.get("adopted", ())) for facts in regions.values())


def one_kill(yard: Yard, number: int, trap: Trap) -> Outcome:
    infra, server = yard.lab(number, "apply")
    try:
        with door(infra, trap):
            trap.run = Run.start(infra, "apply", "--yes")
            outcome = Outcome(trap, [], first=trap.run.wait())
        outcome.survivors = pids(trap.run.mark)
        started = time.monotonic()
        rerun = infra("apply", "--yes", code=None)
        outcome.seconds = time.monotonic() - started
        outcome.again, outcome.said, outcome.adopted = rerun.code, rerun.all, adopted(infra)
        planned = infra("plan", code=None)
        outcome.planned, outcome.plan = planned.code, planned.all
        outcome.unknown = tuple(sorted(server.asked_for() - state_ids(work(infra))))
        return outcome
    finally:
        infra("local", "down", code=None, timeout=60)


@pytest.fixture(scope="module")
def outcomes(yard: Yard) -> Iterator[list[Outcome]]:
    traps = moments(KILLS)
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        found = list(pool.map(partial(one_kill, yard), range(KILLS), traps))
    print(f"\nseed {SEED}")
    for number, outcome in enumerate(found):
        print(f"{number:3} {outcome}")
    yield found


@pytest.mark.parametrize("number", range(KILLS))
def test_a_rerun_converges(outcomes: list[Outcome], number: int) -> None:
    outcome = outcomes[number]
    assert outcome.survivors == []
    assert outcome.again == 0, f"{outcome}\n{outcome.said}"
    assert outcome.planned == 0, f"{outcome}\n{outcome.said}\n{outcome.plan}"
    assert outcome.unknown == (), str(outcome)


def test_the_kills_were_real(outcomes: list[Outcome]) -> None:
    """Most moments hit an apply in the middle, and much of what it had made was not in the state."""
    killed = [outcome for outcome in outcomes if outcome.first == -9]
    assert len(killed) >= 0.7 * len(outcomes)
    assert sum(outcome.adopted for outcome in outcomes) >= len(outcomes)
