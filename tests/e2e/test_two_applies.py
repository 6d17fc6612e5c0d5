"""Two commands at once, an infra that dies while its Terraform lives, and Ctrl-C."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import SLICE, Infra
from tests.e2e.killing import Run, Server, engines, pids, state_ids, wait_until

pytestmark = [pytest.mark.engine, pytest.mark.skipif(sys.platform != "linux", reason="finds processes in /proc")]

REGION = "us-west-2"
IN_S3 = SLICE + f"state: {{s3: {{bucket: demo-state, region: {REGION}}}}}\n"
BEGUN = "identity: role node: created"  # long before the VPC, which takes the provider ten seconds


@pytest.fixture
def began(infra: Infra) -> Iterator[Run]:
    """An apply with Terraform at work on a VPC."""
    infra.write(SLICE)
    Server.of(infra)
    run = Run.start(infra, "apply", "--yes")
    try:
        run.wait_for(BEGUN)
        yield run
    finally:
        run.kill()


def records(infra: Infra) -> list[dict[str, object]]:
    paths = sorted((infra.folder / ".infra" / "demo@local" / "log").glob("*.json"))
    return [json.loads(path.read_text()) for path in paths]


def work(infra: Infra) -> Path:
    return infra.folder / ".infra" / "demo@local" / REGION


def test_the_second_is_refused_and_names_the_first(infra: Infra, began: Run) -> None:
    for command in (["apply", "--yes"], ["plan"], ["destroy", "--yes-i-mean", "demo"]):
        second = infra(*command, code=1)
        assert "infra apply is at work on this cluster" in second.err
        assert f"process {began.process.pid} of " in second.err
        assert "since 20" in second.err
    assert began.wait() == 0, began.words
    assert "no changes" in infra("plan", code=0).out


def test_with_the_state_in_s3_the_second_folder_is_refused_too(infra: Infra, tmp_path: Path) -> None:
    infra.write(IN_S3)
    Server.of(infra)
    (tmp_path / "elsewhere").mkdir()
    other = Infra(tmp_path / "elsewhere", infra.env)
    other.write(IN_S3)
    run = Run.start(infra, "apply", "--yes")
    try:
        run.wait_for(BEGUN)
        second = other("apply", "--yes", code=1)
        assert "the state is locked by" in second.err
        assert "OperationTypeApply since 20" in second.err
        assert f"{os.uname().nodename}" in second.err
        assert "is at work: process" in other("unlock", "--yes", code=1).err
        assert run.wait() == 0, run.words
    finally:
        run.kill()
    assert "no changes" in other("plan", code=0).out


def test_terraform_outlives_a_killed_infra_and_is_waited_for(infra: Infra, began: Run) -> None:
    """Only infra is killed. Terraform goes on, records everything, and nobody gets in its way."""
    began.process.kill()
    began.process.wait(timeout=10)
    (worker,) = engines(began.mark)
    second = infra("apply", "--yes", code=1)
    assert "terraform apply is still at work, though the infra that started it was killed" in second.err
    assert f"process {worker} of " in second.err
    assert wait_until(lambda: not pids(began.mark), 120)
    assert "no changes" in infra("apply", "--yes").out
    assert "no changes" in infra("plan", code=0).out
    assert Server.of(infra).asked_for() <= state_ids(work(infra))
    assert [record["status"] for record in records(infra)] == ["killed"]
    assert not list(work(infra).glob("apply.*"))


def test_a_killed_terraform_takes_its_provider_with_it(infra: Infra, began: Run) -> None:
    """The provider would work on alone, and nobody would hear of what it makes."""
    (worker,) = engines(began.mark)
    os.kill(worker, signal.SIGKILL)
    assert began.wait(30) == 1
    assert pids(began.mark) == []
    assert "terraform apply failed in us-west-2" in began.words
    assert [record["status"] for record in records(infra)] == ["failed"]
    assert "adopted" in infra("apply", "--yes").out
    assert "no changes" in infra("plan", code=0).out
    assert Server.of(infra).asked_for() <= state_ids(work(infra))


def test_ctrl_c_finishes_what_is_in_hand_and_the_next_apply_goes_on(infra: Infra, began: Run) -> None:
    os.kill(began.process.pid, signal.SIGINT)
    assert began.wait(60) == 1
    assert pids(began.mark) == []
    assert "SIGINT: waiting for the operation in hand" in began.words
    assert "network: VPC: created" in began.words
    assert "terraform apply was interrupted in us-west-2" in began.words
    assert "run the same command again: it goes on where it stopped" in began.words
    assert "Auto Scaling group: created" not in began.words
    assert [record["status"] for record in records(infra)] == ["interrupted"]
    assert Server.of(infra).asked_for() <= state_ids(work(infra))
    assert infra("apply", "--yes").code == 0
    assert "no changes" in infra("plan", code=0).out


def test_a_second_and_third_ctrl_c_are_firmer(infra: Infra, began: Run) -> None:
    """The third kills at once; what was in hand is found again."""
    for count in range(1, 4):
        os.kill(began.process.pid, signal.SIGINT)
        assert wait_until(lambda count=count: began.words.count("SIGINT:") >= count, 10)  # type: ignore[misc]
    assert began.wait(30) == 1
    assert wait_until(lambda: not pids(began.mark), 10)
    again = infra("apply", "--yes")
    assert "adopted" in again.out
    assert "no changes" in infra("plan", code=0).out
    assert Server.of(infra).asked_for() <= state_ids(work(infra))
