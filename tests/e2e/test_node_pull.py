"""Pull mode on a test machine: its timer, its own curl, S3 of the embedded AWS; a stand-in where the Chef client is."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from infra.policy import of
from infra.spec.load import load
from tests.bed import Bed, Machine, standin
from tests.bed.relay import relay
from tests.bed.standin import StandIn
from tests.chef import client
from tests.conftest import Infra
from tests.e2e import embedded

pytestmark = pytest.mark.engine

LAB = """\
version: 1
cluster: lab
aws: {{regions: [us-west-2], endpoint: local}}
converge: {{pull: 5m}}
profiles:
  desk: {{run_list: ["recipe[desk]"], attributes: {{desk: {{note: {note}}}}}}}
metal:
  box: {{profile: desk, user: ops, hosts: [node0, node1]}}
"""
RECIPES = Path(__file__).parents[2] / "chef/cookbooks/base/recipes"


def units(minutes: int = 5) -> dict[str, str]:
    """The units that the recipe writes, by name."""
    text = (RECIPES / "pull.rb").read_text()
    found = re.findall(r"systemd_unit '(infra-pull\.\w+)' do\n +content <<~UNIT\n(.*?)\n +UNIT", text, re.S)
    made = {}
    for name, body in found:
        body = re.sub(r"(?m)^ {6}", "", body).replace("#{minutes}", str(minutes))
        made[name] = body.replace("#{minutes * 12}", str(minutes * 12)) + "\n"
    assert set(made) == {"infra-pull.service", "infra-pull.timer"}
    return made


class Desk:
    """A lab whose machines pull, on the embedded AWS."""

    def __init__(self, infra: Infra) -> None:
        self.infra = infra
        book = infra.folder / "chef/cookbooks/desk"
        (book / "recipes").mkdir(parents=True)
        (book / "metadata.rb").write_text("name 'desk'\nversion '1.0.0'\n")
        (book / "recipes/default.rb").write_text("log node['desk']['note']\n")
        self.note("first")

    def note(self, text: str) -> str:
        """Another policy in the file; its digest."""
        path = self.infra.write(LAB.format(note=text))
        return of(load(path), "desk").digest

    def machine(self, machine: Machine, endpoint: str) -> None:
        """As a bootstrap with the file's policy leaves it, with the keys of its operator."""
        policy = of(load(self.infra.folder / "cluster.yaml"), "desk")
        tar = self.infra.folder / "desk.tar"
        tar.write_bytes(policy.archive())
        machine.put(tar, "/root/policy.tar")
        home = f"/var/lib/infra/policy/{policy.digest}"
        machine.run(f"mkdir -p {home} /etc/infra && tar -xf /root/policy.tar -C {home} && {home}/bin/converge")
        node = {"profile": "desk", "digest": policy.digest, "converged": "2026-01-01T00:00:00Z", "origin": "image"}
        machine.put(json.dumps(node), "/var/lib/infra/node.json")
        pull = policy.attributes["infra"]["pull"]
        keys = {
            "BUCKET": "bucket",
            "REGION": "region",
            "PREFIX": "prefix",
            "ENDPOINT": "endpoint",
            "INTERVAL": "interval",
        }
        conf = "".join(f"{key}='{pull.get(name, '')}'\n" for key, name in keys.items())
        machine.put(f"{conf}PROFILE='desk'\n", "/etc/infra/pull.conf")
        machine.put(
            f"AWS_ACCESS_KEY_ID=test\nAWS_SECRET_ACCESS_KEY=secret-of-the-lab\nINFRA_S3_ENDPOINT={endpoint}\n",
            "/etc/infra/pull.env",
        )
        machine.run("chmod 600 /etc/infra/pull.env")


@pytest.fixture
def desk(infra: Infra) -> Desk:
    return Desk(infra)


def prepared(bed: Bed, tmp_path: Path, count: int) -> tuple[list[Machine], StandIn]:
    """Machines with curl and the stand-in, from a repository of the bed's own."""
    made = standin.build(tmp_path / "standin")
    url = bed.packages(["curl"], [made.path])
    found = bed.start(count)
    for machine in found:
        machine.put(f"deb [trusted=yes] {url} ./\n", "/etc/apt/sources.list")
        machine.run("apt-get -q update && apt-get -qy install --no-install-recommends curl cinc", timeout=300)
    return found, made


PULL = "sh /var/lib/infra/policy/current/bin/pull"


def test_a_fleet_follows_what_is_published(desk: Desk, bed: Bed, tmp_path: Path) -> None:
    infra = desk.infra
    (one, other), stand_in = prepared(bed, tmp_path, 2)
    server = urlsplit(embedded.start(infra.env))
    assert server.hostname and server.port
    with relay((server.hostname, server.port), host=bed.gateway) as way:
        for machine in (one, other):
            desk.machine(machine, f"http://{way.host}:{way.port}")
        first = desk.note("first")
        silent = infra("node", "reports", "--json").json
        assert [row["silent"] for row in silent["nodes"]] == [True, True]
        assert one.run(PULL, check=False).code in (66, 78)  # nothing was ever published

        # The units of the recipe, on a real systemd: what is published is here soon after the timer fires.
        infra("policy", "publish", "desk")
        second = desk.note("second")
        assert infra("policy", "publish", "desk", "--json").json["moved"] is True
        for name, unit in units().items():
            one.put(unit, f"/etc/systemd/system/{name}")
        one.run("systemd-analyze verify /etc/systemd/system/infra-pull.timer")
        one.run("mkdir -p /run/systemd/system/infra-pull.timer.d")
        quick = "[Timer]\nOnActiveSec=\nOnActiveSec=1s\nRandomizedDelaySec=0\n"
        one.put(quick, "/run/systemd/system/infra-pull.timer.d/quick.conf")
        one.run("systemctl daemon-reload && systemctl enable --now infra-pull.timer")
        wait(one, f"grep -q {second} /var/lib/infra/node.json")
        journal = one.run("journalctl -u infra-pull.service -o cat").out
        assert f"pull: desk {first[:12]} -> {second[:12]}" in journal and "secret-of-the-lab" not in journal
        assert one.run("readlink /var/lib/infra/policy/current").out.strip() == second

        # The other one fails at a resource: it stays what it was, and the operator reads where.
        stand_in.told(other, 'fail="apt_package[nvidia]"')
        assert other.run(PULL, check=False).code == 1
        rows = {row["name"]: row for row in infra("node", "reports", "--json").json["nodes"]}
        assert (rows["node0"]["status"], rows["node0"]["digest"], rows["node0"]["behind"]) == (
            "converged",
            second,
            False,
        )
        assert (rows["node1"]["status"], rows["node1"]["digest"], rows["node1"]["behind"]) == ("failed", first, True)
        assert rows["node1"]["resource"] == "apt_package[nvidia]" and not rows["node1"]["silent"]
        table = infra("node", "reports").out
        assert "2 machines, 1 as promoted" in table and "at apt_package[nvidia]" in table
        stand_in.told(other)
        other.run(f"{PULL} --now")
        assert "2 machines, 2 as promoted" in infra("node", "reports").out

        # Nothing to do: nothing is converged. Then back to the first, which both have.
        before = len(stand_in.calls(other))
        other.run(PULL)
        assert len(stand_in.calls(other)) == before
        infra("policy", "publish", "desk", "--to", first[:8])
        other.run(PULL)
        assert first in text(other, "/var/lib/infra/node.json")

        # A line that is cut on the way leaves what was, and the next run brings it.
        third = desk.note("third")
        infra("policy", "publish", "desk")
        other.link("down")
        down = other.run(f"INFRA_PULL_PATIENCE=1 {PULL}", check=False, timeout=60)
        assert down.code == 69 and "no connection" in down.err and first in text(other, "/var/lib/infra/node.json")
        other.link("up")
        other.run(PULL)
        assert third in text(other, "/var/lib/infra/node.json")
        assert (
            other.run("ls -A /var/lib/infra/policy /run/infra | grep -c pull.[A-Za-z0-9]*[A-Z] || :").out.strip() == "0"
        )

        # While somebody converges the machine, pull keeps away.
        stand_in.told(other, "sleep=60")
        other.run("systemd-run -q --unit=push /var/lib/infra/policy/current/bin/converge")
        wait(other, "! flock -n /run/infra/converge.lock true")
        desk.note("fourth")
        infra("policy", "publish", "desk")
        kept = other.run(PULL, check=False)
        assert kept.code == 75 and "somebody else" in kept.out and third in text(other, "/var/lib/infra/node.json")
        other.run("systemctl kill --signal=KILL push", check=False)


@pytest.mark.skipif(bool(client.missing()), reason=client.missing())
def test_the_recipe_with_a_real_client(bed: Bed, tmp_path: Path) -> None:
    """It installs what the other test takes out of its text, leaves it alone, and takes it away again."""
    machine = bed.start(1, layers=[client.layer()])[0]
    book = tmp_path / "chef/cookbooks/only"
    (book / "recipes").mkdir(parents=True)
    (book / "metadata.rb").write_text("name 'only'\nversion '1.0.0'\ndepends 'base'\n")
    (book / "recipes/default.rb").write_text("directory '/etc/infra'\ninclude_recipe 'base::pull'\n")
    path = tmp_path / "cluster.yaml"
    head = (
        "version: 1\ncluster: lab\naws: {regions: [us-west-2], account: '123456789012'}\n"
        "profiles:\n  only: {run_list: ['recipe[only]']}\n"
    )

    def converge(more: str) -> int:
        path.write_text(head + more)
        policy = of(load(path), "only")
        home = f"/var/lib/infra/policy/{policy.digest}"
        (tmp_path / "only.tar").write_bytes(policy.archive())
        machine.put(tmp_path / "only.tar", "/root/policy.tar")
        machine.run(f"mkdir -p {home} && tar -xf /root/policy.tar -C {home}")
        machine.run(f"CHEF_LICENSE=accept-silent {home}/bin/converge --client {client.find()}", timeout=300)
        return int(re.findall(r'"updated_count": (\d+)', text(machine, "/var/lib/infra/report.json"))[0])

    assert converge("converge: {pull: 30m}\n") > 0
    assert machine.run("systemctl is-active infra-pull.timer").out.strip() == "active"
    assert text(machine, "/etc/systemd/system/infra-pull.timer") == units(30)["infra-pull.timer"]
    assert "BUCKET='lab-infra-123456789012'\nREGION='us-west-2'\n" in text(machine, "/etc/infra/pull.conf")
    assert converge("converge: {pull: 30m}\n") == 0
    assert converge("") > 0
    assert converge("") == 0
    assert machine.run("ls /etc/infra /etc/systemd/system/infra-pull.* 2>/dev/null || :").out == "/etc/infra:\n"


def text(machine: Machine, path: str) -> str:
    return machine.get(path).decode()


def wait(machine: Machine, condition: str, seconds: float = 40) -> None:
    end = time.monotonic() + seconds
    while machine.run(condition, check=False).code != 0:
        assert time.monotonic() < end, machine.run("journalctl -n 40 -o cat", check=False).out
        time.sleep(0.3)
