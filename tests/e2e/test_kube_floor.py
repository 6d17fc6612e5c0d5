"""A control plane on three physical machines: made, joined and reached at an address that moves, by a real keepalived.

The machines have a real systemd, SSH and network; kubeadm and the API server are stand-ins (tests/e2e/kube_rig.py).
"""

from __future__ import annotations

import json
import ssl
import subprocess
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.bed import Bed, Machine
from tests.bed import root as roots
from tests.conftest import Infra
from tests.e2e.bring_rig import Rig, until
from tests.e2e.kube_rig import PACKAGES, layer, read

LAB = """\
version: 1
cluster: lab
chef: {{url: {client.path}, sha256: {client.sha256}}}
profiles: {{box: {{os: ubuntu-22.04, run_list: ["recipe[kubernetes]"]}}}}
metal:
  rack: {{profile: box, user: ops, hosts: [{hosts}]}}
kubernetes: {{control_plane: {{metal: ["node[0-2]"], address: {virtual}}}}}
"""
SOON = 20.0  # seconds for the address to be at another machine; it takes about 4


def answers(virtual: str) -> str:
    """The machine whose API server answers at the address; "" for none."""
    lax = ssl.create_default_context()
    lax.check_hostname, lax.verify_mode = False, ssl.CERT_NONE
    try:
        with urllib.request.urlopen(f"https://{virtual}:6443/version", timeout=1, context=lax) as said:
            return str(said.read().decode().strip())
    except OSError:
        return ""


def moves(virtual: str, away: Machine, act: Callable[[], object]) -> tuple[str, float]:
    """Who answers at the address after that, and how many seconds nobody else did."""
    assert answers(virtual) == away.name
    act()
    began = time.monotonic()
    until(lambda: answers(virtual) not in ("", away.name), SOON)
    return answers(virtual), time.monotonic() - began


@pytest.fixture
def virtual(bed: Bed) -> str:
    return f"10.99.{bed.number}.200"


@pytest.fixture
def rig(infra: Infra, bed: Bed, tmp_path: Path, virtual: str) -> Rig:
    """Three machines for the control plane, and a worker. Without keepalived from Debian's mirror this skips."""
    try:
        roots.download(["keepalived"])
    except (subprocess.SubprocessError, OSError) as error:
        why = getattr(error, "stderr", "") or error
        pytest.skip(f"KEEPALIVED IS NOT TRIED: it cannot be had from the mirror: {why}")
    plan = {"machines": [f"10.99.{bed.number}.{place + 2}" for place in range(3)], "address": virtual}
    made = Rig.of(infra, bed, tmp_path, 4, [layer(tmp_path / "layer", [*PACKAGES, "keepalived"], plan)])
    hosts = [f"{{name: {box.name}, address: {box.address}, host_key: {box.host_key}}}" for box in made.machines]
    infra.write(LAB.format(client=made.client, hosts=", ".join(hosts), virtual=virtual))
    own = infra.folder / "chef/cookbooks/kubernetes/recipes"  # what it would leave is there: the machines' layer
    own.mkdir(parents=True)
    (own / "default.rb").write_text("# nothing\n")
    (own.parent / "metadata.rb").write_text("name 'kubernetes'\nversion '1.0.0'\n")
    return made


def test_the_api_moves_to_a_machine_that_is_well(rig: Rig, virtual: str, tmp_path: Path) -> None:
    first, second, third, worker = rig.machines
    rows = {row["name"]: row for row in rig("bootstrap", "node*", "--json", "--yes").json["nodes"]}
    assert {name: row["kubernetes"] for name, row in rows.items()} == dict.fromkeys(rows, "joined")
    assert len(rows) == 4
    did = {box.name: box.get("/did").decode() for box in rig.machines}
    assert [name for name, text in did.items() if "\ninit --upload-certs" in f"\n{text}"] == ["node0"]
    assert all(text.count("join --config") == (name != "node0") for name, text in did.items())
    assert ["controlPlane" in read(box, "/config") for box in (second, third, worker)] == [True, True, False]
    endpoint = read(worker, "/config")["discovery"]["bootstrapToken"]["apiServerEndpoint"]
    assert endpoint == f"{virtual}:6443"

    # The address is where the cluster was made, and on no other machine.
    holders = [box.name for box in rig.machines if virtual in box.run("ip -4 addr").out]
    assert holders == [answers(virtual)] == ["node0"]
    token = read(worker, "/config")["discovery"]["bootstrapToken"]["token"]
    key = read(second, "/config")["controlPlane"]["certificateKey"]
    for box in rig.machines:
        seen = box.run("journalctl -o cat; cat /did; ls /run/infra; cat /var/lib/infra/job/log").out
        assert token not in seen and key not in seen and "given" not in seen and "invitation" not in seen

    # kubectl goes there: what it needs comes over SSH.
    path = tmp_path / "kubeconfig"
    said = rig.infra("kube", "config", "-o", str(path), "-i", str(rig.bed.key), "--json").json
    assert said["server"] == f"https://{virtual}:6443" and path.stat().st_mode & 0o777 == 0o600
    assert yaml.safe_load(path.read_text())["current-context"] == "lab"

    # Its API server ends: another has the address, and keeps it when the first is well again.
    where, seconds = moves(virtual, first, lambda: first.run("systemctl stop api.path api.service"))
    print(f"the API server of node0 ended: {where} has {virtual} after {seconds:.1f} s")
    first.run("systemctl start api.path")
    holder = next(box for box in rig.machines if box.name == where)
    # That machine loses its power.
    last, seconds = moves(virtual, holder, lambda: holder.power("off"))
    print(f"{where} lost its power: {last} has {virtual} after {seconds:.1f} s")
    holder.power("on")
    holder.wait()
    rows = {row["name"]: row for row in rig("bootstrap", "node*", "--json", "--yes").json["nodes"]}
    assert {(row["state"], row["kubernetes"]) for row in rows.values()} == {("nothing", "there")}

    # A machine that is at its policy, and no node: the plan says so, and an apply mends it.
    rig.infra.env["HOME"] = str(tmp_path)
    keys = tmp_path / ".ssh"
    keys.mkdir()
    (keys / "id_ed25519").write_bytes(rig.bed.key.read_bytes())
    (keys / "id_ed25519").chmod(0o600)
    worker.run("rm -rf /etc/kubernetes /var/lib/kubelet && /var/lib/infra/policy/current/bin/manifest --save")
    planned = rig.infra("plan", "--json", code=2).json
    (step,) = planned["nodes"]
    assert (step["node"], step["action"], step["joins"]) == ("node3", "join", "node")
    rig.infra("apply", "--yes")
    assert worker.get("/did").decode().count("join --config") == 2
    assert "no changes" in rig.infra("plan", code=0).out
    assert json.loads(rig.infra("log", "1", "--json").out)["nodes"]["node3"]["kubernetes"] == "joined"
