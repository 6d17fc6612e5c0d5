"""Machines in a plan: what is due on them, one by one, beside what is baked and built, and how it goes on after a kill.

The Chef client is a stand-in (tests/bed/standin.py): what it would change on a machine, a test has it do by a hook.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.bed import Bed, Machine
from tests.bed.standin import StandIn, build
from tests.conftest import Infra

RECIPE = "file '/etc/mine' do\n  content '{content}'\nend\n"
SETTING = "net.core.somaxconn"


@dataclass
class Floor:
    """Some machines, the cluster.yaml that names them, and the client that they are given."""

    infra: Infra
    machines: list[Machine]
    client: StandIn

    def cookbook(self, content: str) -> None:
        folder = self.infra.folder / "chef/cookbooks/mine"
        (folder / "recipes").mkdir(parents=True, exist_ok=True)
        (folder / "metadata.rb").write_text("name 'mine'\nversion '1.0.0'\n")
        (folder / "recipes/default.rb").write_text(RECIPE.format(content=content))

    def write(self, head: str = "", more: str = "", at_once: int = 1) -> None:
        hosts = "\n".join(
            f"      - {{name: {machine.name}, address: {machine.address}, host_key: {machine.host_key}}}"
            for machine in self.machines
        )
        self.infra.write(
            f"version: 1\ncluster: floor\n{head}"
            f"chef: {{url: {self.client.path}, sha256: {self.client.sha256}}}\n"
            'profiles:\n  box: {os: ubuntu-22.04, run_list: ["recipe[mine]"]}\n'
            f"metal:\n  rack:\n    profile: box\n    user: ops\n    max_unavailable: {at_once}\n"
            f"    hosts:\n{hosts}\n{more}"
        )

    def told(self, text: str) -> None:
        for machine in self.machines:
            self.client.told(machine, text)

    def calls(self) -> list[int]:
        """How often the client was started on each machine."""
        return [len(self.client.calls(machine)) for machine in self.machines]

    def apply(self, code: int = 0) -> str:
        return self.infra("apply", "--yes", "--allow-os", code=code).all


@pytest.fixture
def floor(bed: Bed, infra: Infra, tmp_path: Path) -> Floor:
    """Three machines that nobody has touched."""
    home = tmp_path / "home"
    (home / ".ssh").mkdir(parents=True)
    found = Floor(infra, bed.start(3), build(tmp_path))
    (home / ".ssh/id_ed25519").write_bytes(found.machines[0].key.read_bytes())
    (home / ".ssh/id_ed25519").chmod(0o600)
    infra.env |= {"HOME": str(home), "INFRA_SUDO_PASSWORD": found.machines[0].password}
    for machine in found.machines:
        machine.run(f"sysctl -qw {SETTING}=4096")
    found.cookbook("one")
    found.write()
    return found


def test_what_somebody_changed_by_hand_is_in_the_plan_and_mended_by_it(floor: Floor) -> None:
    infra = floor.infra
    planned = infra("plan", code=2).out
    assert "bootstrap node[0-2]" in planned and "never converged" in planned and "3 machines to bootstrap" in planned
    assert "Done" in infra("apply", "--allow-os").out
    assert floor.calls() == [1, 1, 1]
    done = infra("plan", code=0).out
    assert "as the file wants them: node[0-2]" in done and "floor: no changes" in done
    assert "3 machines done" in infra("log").out

    bad = floor.machines[1]
    bad.run(f"sysctl -qw {SETTING}=128")
    planned = infra("plan", code=2).out
    assert f"sysctl {SETTING}: 4096 → 128" in planned and "converge node1" in planned
    # A converge that does not mend it must not bless it.
    left = infra("apply", "--allow-os").all
    assert "still not as it was" in left and "infra node verify --accept node1" in left
    assert infra("plan", code=2).out.count(SETTING) == 1
    floor.client.told(bad, f"hook='sysctl -qw {SETTING}=4096'")
    assert "still not as it was" not in infra("apply", "--allow-os").all
    assert "floor: no changes" in infra("plan", code=0).out
    assert floor.calls() == [1, 3, 1]


def test_the_first_of_a_profile_goes_ahead_and_its_failure_stops_the_others(floor: Floor) -> None:
    floor.client.told(floor.machines[0], "fail='package[curl]'")
    floor.write(at_once=2)
    said = floor.apply(code=1)
    assert "package[curl]" in said and "Unable to locate package" in said
    assert "bootstrap node1 was not begun" in said and "it waits for bootstrap node0, which failed" in said
    assert floor.calls() == [1, 0, 0]
    assert floor.machines[0].run("cat /var/lib/infra/node.json", check=False).code != 0, "recorded, and not converged"
    record = json.loads(floor.infra("log", "1", "--json").out)
    assert {name: node["status"] for name, node in record["nodes"].items()} == {
        "node0": "failed",
        "node1": "waiting",
        "node2": "waiting",
    }
    floor.told("")
    planned = json.loads(floor.infra("plan", "--json", code=2).out)
    assert [step["after"] for step in planned["steps"]] == [[], ["bootstrap:node0"], ["bootstrap:node0"]]
    floor.apply()
    assert floor.infra("plan", code=0)


def test_a_killed_apply_goes_on_with_what_it_began(floor: Floor) -> None:
    floor.told("sleep=12")
    argv = [sys.executable, "-m", "infra", "apply", "--yes", "--allow-os"]
    with subprocess.Popen(argv, cwd=floor.infra.folder, env=floor.infra.env, stdout=subprocess.DEVNULL) as killed:
        end = time.monotonic() + 90
        while floor.calls() != [1, 0, 0]:
            assert time.monotonic() < end
            time.sleep(0.2)
        killed.send_signal(signal.SIGKILL)
    assert "is still at work" in floor.infra("plan", code=2).out
    for machine in floor.machines[1:]:
        floor.client.told(machine)
    (floor.infra.folder / ".infra/floor/plan.json").unlink()  # the machine's converge may end at any moment
    floor.apply()
    assert floor.calls() == [1, 1, 1], "the converge that was begun was not begun again"
    assert "floor: no changes" in floor.infra("plan", code=0).out


def test_a_plan_of_machines_is_stale_when_they_moved(floor: Floor) -> None:
    infra = floor.infra
    infra("plan", code=2)
    floor.cookbook("two")
    assert "node0: the policy of box changed" in infra("apply", code=1).err
    infra("plan", code=2)
    assert infra("node", "bootstrap", "node1", "--allow-os", "--yes").code == 0
    stale = infra("apply", code=1).err
    assert "node1: is already as wanted" in stale and "infra plan" in stale
    assert floor.calls() == [0, 1, 0]
    infra("plan", code=2)
    floor.machines[2].link("down")
    stale = infra("apply", code=1).err
    assert "node2: cannot be looked at any more" in stale
    planned = infra("plan", code=2).out
    assert "not in this plan: node2" in planned
    infra("apply", "--allow-os")
    assert floor.calls() == [1, 1, 0]
    quiet = infra("plan", code=0).out
    assert "as the file wants them: node0, node1" in quiet and "not in this plan: node2" in quiet
