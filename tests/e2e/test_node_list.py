"""Machines by name: listed, asked, logged in to, and given to OpenSSH and Ansible. On real machines, by real sshd."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.bed.machine import Machine
from tests.conftest import Infra
from tests.e2e import boxes

Machines = Callable[..., list[Machine]]
DIGEST = "a" * 64
REPORT = {"format": 1, "status": "failed", "exit": 1, "digest": DIGEST, "total": 7, "updated_count": 2, "updated": []}


def nodes(infra: Infra, *words: str, sudo: str | None = None) -> dict[str, dict[str, object]]:
    """What the list says of each; ``sudo`` is another password than the right one."""
    env = {} if sudo is None else {"INFRA_SUDO_PASSWORD": sudo}
    return {node["name"]: node for node in infra("node", "list", *words, "--json", **env).json["nodes"]}


def test_list(infra: Infra, machines: Machines) -> None:
    up, failed, off = machines(3)
    boxes.lab(infra, [up, failed, off])
    key = boxes.identity([up])
    off.power("off")
    wanted = infra("policy", "show", "box", "--json").json["policies"][0]["digest"]
    node = {
        "profile": "box",
        "digest": wanted,
        "layers": {},
        "converged": "2026-11-22T07:00:00Z",
        "origin": "bootstrap",
    }
    up.put(json.dumps(node, indent=2), "/var/lib/infra/node.json")
    up.run(f"mkdir -p /var/lib/infra/policy/{wanted} && ln -s {wanted} /var/lib/infra/policy/current")
    failed.put(json.dumps({**node, "digest": DIGEST}), "/var/lib/infra/node.json")
    message = {"failed": {"resource": "package[nvidia]", "message": "x"}}
    failed.put(json.dumps({**REPORT, **message}, indent=2), "/var/lib/infra/report.json", mode="600")
    failed.put(f"failed\t1\t{DIGEST}\t2026-11-22T07:00:00Z\tpackage[nvidia]\n", "/var/lib/infra/status")
    failed.run("touch /run/reboot-required")
    found = nodes(infra, *key)
    assert [found[name]["reached"] for name in found] == [True, True, False]
    first, second, third = found.values()
    assert (first["current"], first["health"], first["digest"], first["wanted"]) == (True, [], wanted, wanted)
    assert (first["os"], first["boot_id"]) == ("debian-12", up.boot_id)
    assert (second["current"], second["reboot_pending"]) == (False, True)
    assert second["health"] == ["converge failed at package[nvidia]", "reboot needed", "older policy"]
    assert "cannot be reached" in str(third["reason"])
    assert third["current"] is None
    failed.run("rm /var/lib/infra/status")  # of an older make: then, and only then, it takes root to know
    assert nodes(infra, failed.name, *key)[failed.name]["health"] == second["health"]
    assert "sudo" in str(nodes(infra, failed.name, *key, sudo="")[failed.name]["reason"])
    assert nodes(infra, up.name, *key, sudo="")[up.name]["reached"]
    shown = infra("node", "list", *key).out
    assert "1 did not answer" in shown
    assert f"Next: infra node converge {failed.name}" in shown
    assert wanted[:12] in shown

    offline = nodes(infra, "--offline", "group:rack")
    assert not any(node["reached"] for node in offline.values())
    assert len(offline) == 3
    assert list(nodes(infra, "node[0-1]", *key)) == ["node0", "node1"]
    wrong = infra("node", "list", "nodo0", *key, code=1).err
    assert "no machine is named 'nodo0'" in wrong
    assert "did you mean: node0" in wrong
    assert "there are: node[0-2]" in wrong


def test_exec(infra: Infra, machines: Machines) -> None:
    made = machines(3, "plain")
    boxes.lab(infra, made)
    key = boxes.identity(made)
    same = infra("node", "exec", *key, "--", "echo", "one;", "echo", "two")
    assert same.out == "node[0-2]: one\nnode[0-2]: two\n"
    made[1].run("touch /odd")
    mixed = infra("node", "exec", *key, "--", "test ! -e /odd || { echo odd >&2; exit 3; }", code=1)
    assert mixed.out == ("node0, node2: (nothing)\nnode1: odd\nnode1: exit code 3\n\n1 of 3 machines failed: node1\n")
    data = infra("node", "exec", "node1", *key, "--json", "--", "id -un; cat", code=0).json
    assert data["nodes"] == [{"name": "node1", "code": 0, "out": "ops\n", "err": "", "error": "", "reason": ""}]
    assert infra("node", "exec", "node1", *key, "--sudo", "--", "id", "-un").out == "node1: root\n"
    followed = infra("node", "exec", "node0", *key, "--follow", "--", "echo a; echo b").out
    assert followed == "node0: a\nnode0: b\n"
    made[2].power("off")
    partly = infra("node", "exec", "node[1-2]", *key, "--json", "--", "true", code=1).json["nodes"]
    assert [(node["name"], node["code"], node["error"]) for node in partly] == [
        ("node1", 0, ""),
        ("node2", None, "NodeUnreachable"),
    ]
    late = infra("node", "exec", "node0", *key, "--deadline", "2", "--json", "--", "sleep 60", code=1, timeout=30).json
    assert late["nodes"][0]["code"] is None
    nothing = infra("node", "exec", "node0", code=1).err
    assert "there is no command to run" in nothing


def test_first_contact_ssh_and_its_files(infra: Infra, machines: Machines, tmp_path: Path) -> None:
    """A key that nobody vouches for is pinned once somebody does; OpenSSH then knows it, and nothing else."""
    made = machines(2, "plain")
    boxes.lab(infra, made, keys=False)
    key = boxes.identity(made)
    refused = infra("ssh", "node0", *key, "--", "hostname", code=1).err
    print_ = subprocess.run(
        ["ssh-keygen", "-lf", "-"], input=made[0].host_key, capture_output=True, text=True, check=True, timeout=10
    ).stdout.split()[1]
    assert "the host key of node0 is not known yet" in refused
    assert f"--accept-host-key {print_}" in refused
    assert "not pinned yet: infra ssh node0" in infra("ssh-config").out
    assert infra("ssh", "node0", *key, "--accept-host-key", print_, "--", "hostname").out == "node0\n"
    assert infra("ssh", "node0", *key, "--", "exit 7", code=7).out == ""
    assert infra("ssh", "node0", "--json").json["pinned"]

    # The text alone is enough for OpenSSH itself.
    config = tmp_path / "config"
    config.write_text(infra("ssh-config", *key).out)
    words = ["ssh", "-F", str(config), "-o", "BatchMode=yes"]
    done = subprocess.run([*words, "node0.bench", "hostname"], capture_output=True, text=True, timeout=30, check=False)
    assert done.stdout == "node0\n", done.stderr
    other = subprocess.run([*words, "node1", "hostname"], capture_output=True, text=True, timeout=30, check=False)
    assert other.returncode == 255
    assert "Host key verification failed" in other.stderr

    # Another key at that address ends it, whatever the address says.
    made[0].run("rm /etc/ssh/ssh_host_*; ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/ssh_host_ed25519_key")
    made[0].power("off")
    made[0].power("on")
    made[0].wait()
    changed = infra("ssh", "node0", *key, "--", "hostname", code=255)
    assert "REMOTE HOST IDENTIFICATION HAS CHANGED" in changed.err


def test_through_a_jump_host(infra: Infra, machines: Machines, tmp_path: Path) -> None:
    """Both are checked, each under its own name; two jumps are no more than one twice."""
    made = machines(3, "plain")
    text = boxes.HEAD + boxes.metal(made[:1], group="door")
    text += boxes.metal(made[1:2], group="hall", more="jump: node0").removeprefix("metal:\n")
    text += boxes.metal(made[2:], group="vault", more="jump: node1").removeprefix("metal:\n")
    infra.write(text)
    key = boxes.identity(made)
    shown = infra("ssh", "node2", *key, "--", "echo $SSH_CONNECTION").out.split()
    assert shown[0] == made[1].address
    config = tmp_path / "config"
    config.write_text(infra("ssh-config", "node2", *key).out)
    words = ["ssh", "-F", str(config), "-o", "BatchMode=yes", "node2.bench", "echo $SSH_CONNECTION"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=30, check=False)
    assert done.stdout.split()[0] == made[1].address, done.stderr
    assert infra("node", "exec", "node2", *key, "--", "echo $SSH_CONNECTION").out.split()[1] == made[1].address


def test_a_host_certificate(infra: Infra, machines: Machines, tmp_path: Path) -> None:
    """Where a CA vouches for host keys, OpenSSH goes by it as we do: no pin is needed, none is made."""
    made = machines(2, "plain")
    ca = tmp_path / "ca"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", ca], check=True, timeout=10)
    (tmp_path / "host.pub").write_text(made[0].host_key)
    words = ["ssh-keygen", "-q", "-s", ca, "-I", "x", "-h", "-n", f"node0,{made[0].address}", tmp_path / "host.pub"]
    subprocess.run(words, check=True, timeout=10)
    made[0].put((tmp_path / "host-cert.pub").read_text(), "/etc/ssh/host-cert.pub")
    made[0].run("echo HostCertificate /etc/ssh/host-cert.pub >>/etc/ssh/sshd_config.d/ca.conf")
    made[0].power("off")
    made[0].power("on")
    made[0].wait()
    authority = " ".join(ca.with_suffix(".pub").read_text().split()[:2])
    infra.write(f"{boxes.HEAD}access: {{ssh_ca: [{authority}]}}\n{boxes.metal(made, keys=False)}")
    key = boxes.identity(made)
    assert infra("ssh", "node0", *key, "--", "hostname").out == "node0\n"
    assert "is not known yet" in infra("ssh", "node1", *key, "--", "hostname", code=1).err
    assert not (infra.folder / ".infra" / "bench" / "known_hosts").exists()


def test_install(infra: Infra, machines: Machines, tmp_path: Path) -> None:
    infra.lab("two-boxes")
    home = tmp_path / "home"
    (home / ".ssh").mkdir(parents=True)
    own = home / ".ssh" / "config"
    own.write_text("Host x\n  User y\n")
    shown = infra("ssh-config", "--install", HOME=str(home)).out
    assert "Include config.d/infra-desk" in shown
    assert own.read_text() == "Host x\n  User y\n", "never ours to change"
    written = home / ".ssh" / "config.d" / "infra-desk"
    assert written.stat().st_mode & 0o777 == 0o600
    assert "Host left left.desk" in written.read_text()
    own.write_text("Include config.d/*\nHost x\n")
    assert "Include" not in infra("ssh-config", "--install", HOME=str(home)).out
    assert infra("ssh-config", "--json", HOME=str(home)).json["included"] is True


def test_ansible(infra: Infra, machines: Machines) -> None:
    """What Ansible would call OpenSSH with gets there."""
    made = machines(1, "plain")
    boxes.lab(infra, made)
    found = infra("inventory", "--ansible", "--list").json
    assert found["group_rack"] == {"hosts": ["node0"]}
    assert found["profile_box"]["hosts"] == found["kind_metal"]["hosts"] == found["all"]["hosts"] == ["node0"]
    values = found["_meta"]["hostvars"]["node0"]
    assert infra("inventory", "--ansible", "--host", "node0").json == values
    words = f"{values['ansible_ssh_common_args']} -i {made[0].key} -o BatchMode=yes"
    command = f"ssh {words} ops@{values['ansible_host']} hostname"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=30, check=False)
    assert done.stdout == "node0\n", done.stderr


CLOUD = """\
version: 1
cluster: lab
aws: {regions: [us-west-2], endpoint: local}
access: {ssh_from: [203.0.113.0/24]}
profiles:
  cpu: {}
hosts:
  head: {profile: cpu, instance_type: m5.large}
pools:
  work: {profile: cpu, instance_types: [m5.large], size: 2}
"""


@pytest.mark.engine
def test_instances(infra: Infra, machines: Machines, tmp_path: Path) -> None:
    """Hosts and pools of the embedded AWS: the key is taken from the console, the way in is the public host."""
    made = machines(3, "plain")
    for machine in made:
        boxes.ubuntu(machine)
    seats = [{"address": machine.address, "host_key": machine.host_key} for machine in made]
    (tmp_path / "machines.json").write_text(json.dumps({"head-1": seats[0], "work": seats[1:]}))
    infra("local", "nodes", str(tmp_path / "machines.json"))
    infra.write(CLOUD)
    assert "is not running" in infra("node", "list").out
    infra("apply", "--yes")
    key = boxes.identity(made)
    found = nodes(infra, *key)
    assert [node["kind"] for node in found.values()] == ["host", "pool", "pool"]
    head, first, second = found.values()
    assert (head["name"], head["address"], head["jump"]) == ("head-1", made[0].address, "")
    assert {first["address"], second["address"]} == {made[1].address, made[2].address}
    assert first["jump"] == second["jump"] == "head-1"
    assert str(first["name"]) == f"work-{str(first['instance'])[-6:]}"
    assert all(node["reached"] for node in found.values()), found
    assert head["checks"] == "ok"
    assert (
        infra("node", "exec", "group:work", *key, "--", "echo $SSH_CONNECTION").out.count(f": {made[0].address} ") == 2
    )
    assert infra("node", "exec", "head-1", *key, "--sudo", "--", "id -un").out == "head-1: root\n"
    assert infra("ssh", str(first["instance"]), *key, "--", "id -un").out == "ubuntu\n"
    pins = (infra.folder / ".infra" / "lab@local" / "known_hosts").read_text()
    assert {line.split()[0] for line in pins.splitlines()} == {str(node["instance"]) for node in found.values()}
