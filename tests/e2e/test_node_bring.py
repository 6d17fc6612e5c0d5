"""Machines brought to their policy: what is done, what is recorded, and that it is not done twice."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from infra.errors import LoginRefused
from infra.node.bring.bring import Options, Wants, bring
from infra.node.inventory.inventory import Inventory
from infra.node.ssh.auth import Auth
from infra.node.ssh.fleet import Fleet
from infra.node.ssh.trust import Pins
from infra.spec.load import load
from tests.bed import Bed
from tests.chef import client as real
from tests.conftest import Infra
from tests.e2e.bring_rig import Rig

STAGES = "/var/lib/infra/node.json /var/lib/infra/policy /opt/cinc"


@pytest.fixture
def rig(infra: Infra, bed: Bed, tmp_path: Path) -> Rig:
    return Rig.of(infra, bed, tmp_path)


@pytest.fixture
def pair(infra: Infra, bed: Bed, tmp_path: Path) -> Rig:
    return Rig.of(infra, bed, tmp_path, 2)


def test_bare_machines_become_what_the_file_says_and_once_is_enough(pair: Rig) -> None:
    refused = pair("bootstrap", "all", code=1, allow=False)
    assert "runs Debian GNU/Linux 12" in refused.err and "--allow-os" in refused.err
    for machine in pair.machines:
        assert machine.run(f"ls -d {STAGES} 2>/dev/null || :").out == "", "it was only looked at"

    first = pair("bootstrap", "all", "--json").json
    assert first["failed"] == 0
    for machine, result in zip(pair.machines, first["nodes"], strict=True):
        assert (result["state"], result["updated"], result["rebooted"]) == ("converged", 1, False)
        node = pair.node(machine)
        assert (node["profile"], node["digest"], node["origin"]) == ("box", result["digest"], "bootstrap")
        assert node["converged"].endswith("Z") and set(node["layers"]) == {"system"}
        current = machine.run("readlink /var/lib/infra/policy/current; cat /var/lib/infra/client").out.split()
        assert current == [result["digest"], pair.client.sha256, "cinc", "18.5.0-1"]

    again = pair("bootstrap", "all")
    assert again.out.count("nothing to do") == 4, again.out
    pair("converge", "all")
    assert [pair.calls(machine) for machine in pair.machines] == [1, 1]

    # Another policy: what would change is shown, then a canary goes first. The client is not sent once more.
    pair.write(profile="{attributes: {a: 1}}")
    pair.client.told(pair.machine, 'resources="package[a] file[/b]"')
    would = pair("converge", "all", "--why-run")
    assert "node0  would change package[a]" in would.out and pair.node()["digest"] == result["digest"]
    pair.client.told(pair.machine, 'resources="package[a] file[/b]"\ncode=37')
    boot = pair.machine.boot_id
    pair("converge", "all", "--why-run")
    assert pair.machine.boot_id == boot and pair.node()["converged"], "a why-run restarts nothing"
    pair.client.told(pair.machine, 'resources="package[a] file[/b]"')
    done = pair("converge", "all")
    assert done.out.index("node0  ✓") < done.out.index("node1  conv") and " → " in done.out
    assert pair.node()["digest"] != result["digest"]
    assert not pair.machine.run("ls /var/lib/infra/policy/ -a | grep new || :").out


def test_a_machine_that_must_be_restarted(rig: Rig) -> None:
    rig.client.told(rig.machine, "code=37")
    stopped = rig("bootstrap", "node0", "--no-reboot")
    assert "NOT DONE: it must be restarted" in stopped.out and rig.node() == {}
    for_ever = rig("bootstrap", "node0", code=1)
    assert "wants to be restarted again" in for_ever.err and rig.node() == {}

    boot = rig.machine.boot_id
    rig.client.told(rig.machine, "code=37\nonce=1")
    result = rig("bootstrap", "node0", "--json").json["nodes"][0]
    assert result["rebooted"] and result["smoke"].startswith("passed")
    assert rig.machine.boot_id != boot and rig.node()["digest"] == result["digest"]


def test_the_resource_that_failed_and_the_nodes_beside_it(pair: Rig) -> None:
    pair.client.told(pair.machine, 'fail="package[nvidia-driver-580]"')
    ran = pair("bootstrap", "all", code=1)
    assert "node0 failed at package[nvidia-driver-580] (action install)" in ran.err
    assert "E: Unable to locate package" in ran.err and "/var/log/infra/converge.log" in ran.err
    assert pair.node() == {} and pair.node(pair.machines[1])["profile"] == "box"

    pair.write(profile="{attributes: {a: 1}}")
    ran = pair("converge", "all", code=1)
    assert "node1 was left as it is" in ran.err and "node0, the first of box, failed" in ran.err
    assert pair.calls(pair.machines[1]) == 1

    # A smoke test that fails: converged, and yet not recorded so.
    pair.client.told(pair.machine)
    pair.machine.run("printf '[Service]\\nExecStart=/bin/false\\n' >/etc/systemd/system/ill.service")
    pair.machine.run("systemctl daemon-reload; systemctl start ill", check=False)
    ran = pair("converge", "node0", code=1)
    assert "its smoke test failed: units" in ran.err and "failed: ill.service" in ran.err
    assert pair.node() == {}
    pair.machine.run("rm /etc/systemd/system/ill.service; systemctl reset-failed; systemctl daemon-reload")
    pair("converge", "node0")
    assert pair.node()["converged"]


def test_where_the_client_comes_from(rig: Rig) -> None:
    rig.write(chef="")
    ran = rig("bootstrap", "node0", code=1)
    assert "there is no client on node0" in ran.err and "--client-package" in ran.err
    package = str(rig.client.path)
    ran = rig("bootstrap", "node0", "--client-package", package, "--client-sha256", "0" * 64, code=1)
    assert "is not the one that --client-sha256 names" in ran.err
    rig("bootstrap", "node0", "--client-package", package, "--client-sha256", rig.client.sha256)
    assert rig.calls() == 1

    rig.write(chef="", profile="{attributes: {a: 1}}")
    ran = rig("converge", "node0")
    assert "keeps the client that it has (cinc 18.5.0-1): chef: pins none" in ran.err and rig.calls() == 2


def test_who_comes_by_password_leaves_a_key(rig: Rig, tmp_path: Path) -> None:
    machine = rig.machine
    machine.run("rm -rf /home/ops/.ssh")
    loaded = load(rig.infra.folder / "cluster.yaml")
    node, wants = Inventory(loaded).pick(["node0"])[0], Wants(loaded)
    quiet = {"agent": False, "usual": False, "config": None, "sudo": machine.password}
    key = Auth(identities=[machine.key], **quiet)  # type: ignore[arg-type]
    pins = Pins(tmp_path / "pins")
    with pytest.raises(LoginRefused):
        Fleet(pins, key).connect(node)

    nobody = Auth(password=machine.password, **quiet)  # type: ignore[arg-type]
    said = Fleet(pins, nobody).each([node], lambda link: bring(link, wants.of(node), Options(allow_os=True)))
    assert "we have no key to put there" in said["node0"].text()  # type: ignore[union-attr]
    assert rig.calls() == 0

    both = Auth(identities=[machine.key], password=machine.password, **quiet)  # type: ignore[arg-type]
    with Fleet(pins, both).connect(node) as link:
        assert link.login == "password"
        assert bring(link, wants.of(node), Options(allow_os=True)).state == "converged"
    Fleet(pins, key).connect(node).close()
    assert machine.run("stat -c %a:%U /home/ops/.ssh/authorized_keys").out == "600:ops\n"


@pytest.mark.skipif(bool(real.missing()), reason=real.missing())
def test_with_a_real_client(infra: Infra, bed: Bed, tmp_path: Path) -> None:
    rig = Rig.of(infra, bed, tmp_path, layers=[real.layer()])
    book = infra.folder / "chef/cookbooks/desk"
    (book / "recipes").mkdir(parents=True)
    (book / "metadata.rb").write_text("name 'desk'\nversion '1.0.0'\n")
    (book / "recipes/default.rb").write_text("file('/etc/desk') { content node['desk']['text'] }\n")
    client = real.find()
    rig.machine.run(f"ln -s {client} /usr/local/bin/{client.name}" if client else "false")
    text = '{run_list: ["recipe[desk]"], attributes: {desk: {text: one}}}'
    rig.write(chef="", profile=text)
    accept = {"CHEF_LICENSE": "accept-silent"}
    first = rig("bootstrap", "node0", "--json", **accept).json["nodes"][0]
    assert first["changed"] == ["file[/etc/desk]"]
    rig.write(chef="", profile=text.replace("one", "two"))
    would = rig("converge", "node0", "--why-run", **accept)
    assert "would change file[/etc/desk]" in would.out and rig.machine.get("/etc/desk") == b"one"
    rig("converge", "node0", **accept)
    assert rig.machine.get("/etc/desk") == b"two"
    report = json.loads(rig.machine.get("/var/lib/infra/report.json"))
    assert report["status"] == "converged" and report["digest"] == rig.node()["digest"]
