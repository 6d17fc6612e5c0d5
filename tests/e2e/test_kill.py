"""``infra apply`` and everything under it are killed (-9) at random moments; a rerun always converges.

Afterwards ``infra plan`` is empty, and the embedded AWS holds nothing that the state does not know. The moments are
drawn over a whole apply: at a request that changes something (before it is done; or when it is done, and its answer
never arrives), or at a time. ``INFRA_TEST_SEED`` draws others, ``INFRA_TEST_KILLS`` says how many.
"""

from __future__ import annotations

import json
import os
import queue
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from infra.local.endpoint import session_arguments
from tests.conftest import Infra, Ran
from tests.e2e.killing import Id, Run, Server, Trap, door, ids_in, pids, state_ids

pytestmark = [pytest.mark.engine, pytest.mark.skipif(sys.platform != "linux", reason="finds processes in /proc")]

SEED = int(os.environ.get("INFRA_TEST_SEED", "20160822"))
KILLS = int(os.environ.get("INFRA_TEST_KILLS", "20"))
SIDE_BY_SIDE = 3  # most of an apply is waiting; other files run meanwhile
REGION = "us-west-2"
CHANGES = 53  # of a whole apply of this spec; a few more or fewer only move the moments
SECONDS = 24.0  # from its first change to its last
REMOVALS = 36  # of a whole destroy
# Provider 3.39 looks two minutes and a half for a route table association that is gone, in each of two plans.
PATIENCE = 900.0
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
BUCKET = "kills-state"
IN_S3 = SPEC + f"state: {{s3: {{bucket: {BUCKET}, region: {REGION}}}}}\n"


@dataclass
class Outcome:
    """What came of one kill, of the same command again, and of what follows it."""

    kind: str
    trap: Trap
    killed: int = 0
    survivors: list[int] = field(default_factory=list)
    again: Ran | None = None
    after: Ran | None = None
    unknown: set[Id] = field(default_factory=set)
    adopted: int = 0
    seconds: float = 0
    said: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        codes = [str(ran.code) if ran else "-" for ran in (self.again, self.after)]
        return (
            f"{self.kind}, {self.trap}: exit {self.killed}; again exit {codes[0]} in {self.seconds:.0f} s, "
            f"{self.adopted} adopted; after it exit {codes[1]}; {len(self.unknown)} unknown to the state"
        )

    @property
    def all(self) -> str:
        return "\n".join([str(self), *self.said, *(ran.all for ran in (self.again, self.after) if ran)])


@dataclass
class Yard:
    """A few embedded AWSes, used over and over: each kill is tried in an empty one and in a new folder."""

    base: Path
    environment: dict[str, str]
    slots: queue.Queue[str] = field(default_factory=queue.Queue)

    def run(self, number: int, job: Callable[[Infra, Server, Trap], Outcome], spec: str, trap: Trap) -> Outcome:
        slot = self.slots.get()
        try:
            folder = self.base / f"lab-{number}"
            folder.mkdir()
            infra = Infra(folder, {**self.environment, "INFRA_LOCAL_DIR": slot})
            infra.write(spec)
            server = Server.of(infra)
            server.reset()
            return job(infra, server, trap)
        finally:
            self.slots.put(slot)


def moments(number: int, changes: int, seconds: float, draw: random.Random) -> list[Trap]:
    """So many traps, always the same for one seed."""
    kinds = ("after", "time", "before", "after", "time")
    found = []
    for index in range(number):
        kind = kinds[index % len(kinds)]
        if kind == "time":
            found.append(Trap(at=1, delay=draw.uniform(0.05, seconds)))
        else:
            found.append(Trap(at=draw.randint(1, changes), after=kind == "after"))
    return found


def apply_again(infra: Infra, server: Server, trap: Trap) -> Outcome:
    """Kill an apply, apply again, plan."""
    outcome = killed("apply", infra, trap, "apply", "--yes")
    again(outcome, infra, "apply", "--yes")
    outcome.after = infra("plan", code=None)
    outcome.unknown = server.asked_for() - state_ids(work(infra))
    return outcome


def apply_again_in_s3(infra: Infra, server: Server, trap: Trap) -> Outcome:
    """The same with the state in S3, where the dead one's lock is in the way."""
    outcome = killed("apply, state in S3", infra, trap, "apply", "--yes")
    outcome.said += [infra("plan", code=None).all, infra("unlock", "--yes").all]
    again(outcome, infra, "apply", "--yes")
    outcome.after = infra("plan", code=None)
    outcome.unknown = server.asked_for() - state_in_s3(server) - {("aws_s3_bucket", BUCKET)}
    return outcome


def destroy_instead(infra: Infra, server: Server, trap: Trap) -> Outcome:
    """Kill an apply, and want nothing of it."""
    outcome = killed("apply, then destroy", infra, trap, "apply", "--yes")
    again(outcome, infra, "destroy", "--yes-i-mean", "kills")
    outcome.after = infra("destroy", "--yes-i-mean", "kills", code=None)
    outcome.unknown = server.asked_for()
    return outcome


def destroy_again(infra: Infra, server: Server, trap: Trap) -> Outcome:
    """Kill a destroy, and destroy again."""
    infra("apply", "--yes")
    outcome = killed("destroy", infra, trap, "destroy", "--yes-i-mean", "kills")
    again(outcome, infra, "destroy", "--yes-i-mean", "kills")
    outcome.after = infra("destroy", "--yes-i-mean", "kills", code=None)
    outcome.unknown = server.asked_for()
    return outcome


def killed(kind: str, infra: Infra, trap: Trap, *command: str) -> Outcome:
    with door(infra, trap):
        trap.run = Run.start(infra, *command)
        outcome = Outcome(kind, trap, killed=trap.run.wait())
        if outcome.killed == -signal.SIGKILL:
            assert trap.ended.wait(20), f"the killing itself has not ended: {trap}"
    outcome.said.append(trap.run.words)
    outcome.survivors = pids(trap.run.mark)
    return outcome


def again(outcome: Outcome, infra: Infra, *command: str) -> None:
    started = time.monotonic()
    outcome.again = infra(*command, code=None, timeout=PATIENCE)
    outcome.seconds = time.monotonic() - started
    outcome.adopted = adopted(infra)


def work(infra: Infra) -> Path:
    return infra.folder / ".infra" / "kills@local" / REGION


def adopted(infra: Infra) -> int:
    """How many things the last apply adopted, as its record says."""
    paths = sorted(work(infra).parent.joinpath("log").glob("*.json"))
    regions = json.loads(paths[-1].read_text())["regions"] if paths else {}
    return sum(len(facts.get("adopted", ())) for facts in regions.values())


def state_in_s3(server: Server) -> set[Id]:
    import boto3

    client = boto3.client("s3", **session_arguments(REGION, server.record.url))
    body = client.get_object(Bucket=BUCKET, Key=f"kills/{REGION}/terraform.tfstate")["Body"].read()
    return ids_in(json.loads(body))


@pytest.fixture(scope="module")
def outcomes(
    tmp_path_factory: pytest.TempPathFactory, session_environment: dict[str, str]
) -> Iterator[dict[str, list[Outcome]]]:
    """All kills, several at a time; by kind."""
    yard = Yard(tmp_path_factory.mktemp("kills"), session_environment)
    slots = [str(yard.base / f"aws-{number}") for number in range(SIDE_BY_SIDE)]
    for slot in slots:
        yard.slots.put(slot)
    draw = random.Random(SEED)
    some = max(1, KILLS // 7)
    plan = [(apply_again, SPEC, trap) for trap in moments(KILLS, CHANGES, SECONDS, draw)]
    plan += [(apply_again_in_s3, IN_S3, trap) for trap in moments(some, CHANGES, SECONDS, draw)]
    plan += [(destroy_instead, SPEC, trap) for trap in moments(some, CHANGES, SECONDS, draw)]
    plan += [(destroy_again, SPEC, trap) for trap in moments(some, REMOVALS, SECONDS / 2, draw)]
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        futures = [pool.submit(yard.run, number, *item) for number, item in enumerate(plan)]
        found = [future.result() for future in futures]
    for slot in slots:
        Infra(yard.base, {**session_environment, "INFRA_LOCAL_DIR": slot})("local", "down", code=None, timeout=60)
    print(f"\nseed {SEED}", *found, sep="\n")
    kinds: dict[str, list[Outcome]] = {}
    for outcome in found:
        kinds.setdefault(outcome.kind, []).append(outcome)
    yield kinds


@pytest.mark.parametrize("number", range(KILLS))
def test_a_rerun_converges(outcomes: dict[str, list[Outcome]], number: int) -> None:
    converged(outcomes["apply"][number])


def test_the_kills_were_real(outcomes: dict[str, list[Outcome]]) -> None:
    """Most moments hit an apply in the middle, and much of what it had made was not in the state."""
    found = outcomes["apply"]
    assert sum(outcome.killed == -9 for outcome in found) >= 0.7 * len(found)
    assert sum(outcome.adopted for outcome in found) >= len(found)


def test_a_state_in_s3(outcomes: dict[str, list[Outcome]]) -> None:
    """Terraform writes it every 20 seconds only, so that much more is found again."""
    for outcome in outcomes["apply, state in S3"]:
        converged(outcome)
        planned, unlocked = outcome.said[1:]
        if "the state is locked by" in planned:
            assert "its owner is dead" in unlocked, outcome.all
            assert "Released 1" in unlocked, outcome.all


@pytest.mark.parametrize("kind", ["apply, then destroy", "destroy"])
def test_a_destroy_leaves_nothing(outcomes: dict[str, list[Outcome]], kind: str) -> None:
    for outcome in outcomes[kind]:
        converged(outcome)


def converged(outcome: Outcome) -> None:
    assert outcome.survivors == [], outcome.all
    assert outcome.again, outcome.all
    assert outcome.again.code == 0, outcome.all
    assert outcome.after, outcome.all
    assert outcome.after.code == 0, outcome.all
    assert outcome.unknown == set(), f"{outcome.unknown}\n{outcome.all}"
