"""The proof on real machines: what is the same is said to be, what differs is named, who lies is found out."""

from __future__ import annotations

import copy
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from infra.policy.attributes import merge
from tests.bed import Bed, Machine
from tests.chef import client, recording
from tests.chef.node import Node
from tests.conftest import Infra
from tests.e2e import boxes
from tests.e2e.bring_rig import Rig
from tests.e2e.test_cookbooks_roles import DEBIAN, served

Machines = Callable[..., list[Machine]]
SCRIPT = Path(__file__).parents[2] / "chef/bin/manifest"


class Verify:
    """``infra node verify`` on machines that are up."""

    def __init__(self, infra: Infra, machines: list[Machine]) -> None:
        self.infra, self.machines = infra, [machine.settle() for machine in machines]
        boxes.lab(infra, machines)
        self.key = boxes.identity(machines)

    def __call__(self, *words: str, code: int = 0) -> str:
        ran = self.infra("node", "verify", *words, *self.key, code=code)
        return ran.out + ran.err

    def data(self, *words: str, code: int = 0) -> dict[str, Any]:
        return dict(self.infra("node", "verify", *words, *self.key, "--json", code=code).json)

    def differing(self, *words: str) -> list[str]:
        return [item["what"] for item in self.data(*words, code=2)["profiles"][0]["differences"]]


def test_the_same_until_somebody_changes_a_setting(infra: Infra, machines: Machines) -> None:
    verify = Verify(infra, machines(3))
    _, two, three = verify.machines
    said = verify("all", "--allowed")
    assert "box: node[0-2]: identical" in said and "each machine has host keys of its own" in said
    found = verify.data("node0", "node1")
    assert found["identical"] and found["profiles"][0]["groups"] == [["node0", "node1"]]
    assert found["profiles"][0]["facts"] > 1000
    reasons = {item["reason"] for item in found["profiles"][0]["allowed"]}
    assert len(reasons) >= 4 and all(reasons)

    two.run("echo 128 >/proc/sys/net/core/somaxconn")
    assert verify.differing("all") == ["sysctl:net.core.somaxconn"]
    said = verify("all", "--html", "proof.html", code=2)
    assert "1 difference (sysctl 1)" in said and "Next: infra plan" in said
    row = next(line for line in said.splitlines() if "somaxconn" in line)
    assert row.split() == ["sysctl", "net.core.somaxconn", "4096", "128"]
    page = (infra.folder / "proof.html").read_text()
    assert "net.core.somaxconn" in page and "not the same" in page and "src=" not in page and "http" not in page
    two.run("echo 4096 >/proc/sys/net/core/somaxconn")

    # Names that would break a table or a terminal; a file's contents, mode and owner; an account; a package on hold.
    three.run("printf x >\"/etc/$(printf 'a\\nb\\tc\\033[31m')\"; printf x >/etc/ünï; mkdir '/etc/two words'")
    three.run("chmod 666 /etc/motd; chown ops /etc/issue; useradd --uid 1500 eve; apt-mark hold sudo >/dev/null")
    found = verify.data("all", code=2)["profiles"][0]
    whats = {item["what"] for item in found["differences"]}
    assert {"etc:/etc/a\\nb\\tc\\x1b[31m", "etc:/etc/ünï", "etc:/etc/two words", "etc:/etc/motd"} <= whats
    assert {"etc:/etc/issue", "user:eve.uid", "user:eve.password", "package:sudo:amd64"} <= whats
    assert found["groups"] == [["node0", "node1"], ["node2"]]
    assert "\x1b" not in verify("all", code=2)

    # A machine that is away is shown, the others are compared all the same; the lab's own list has the last word.
    three.power("off")
    said = verify("all", code=1)
    assert "box: node[0-1]: identical" in said and "node2: not compared" in said and "cannot be reached" in said
    two.run("echo 128 >/proc/sys/net/core/somaxconn")
    file = infra.folder / "cluster.yaml"
    own = "box: {may_differ: [{what: 'sysctl:net.core.*', why: an experiment of the network group}], os"
    file.write_text(file.read_text().replace("box: {os", own))
    assert "an experiment of the network group (cluster.yaml)" in verify("node0", "node1", "--allowed")


def test_what_cannot_be_compared(infra: Infra, bed: Bed) -> None:
    verify = Verify(infra, bed.start(1))
    said = verify("node0", code=1)
    assert "there is nothing to compare" in said and "node0 is box" in said and "--since-converge" in said
    assert "do not go together" in verify("--check", "--since-converge", "x", code=1)
    assert "--accept names its machines itself" in verify("--accept", "node0", "node1", code=1)
    machine = verify.machines[0]
    # Two of one disk: what must be each one's own is not.
    (twin,) = bed.start(1)
    verify = Verify(infra, [machine, twin])
    twin.put(machine.get("/etc/machine-id").decode(), "/etc/machine-id")
    said = verify("all", code=2)
    assert "the same on several machines, and must not be" in said
    # What cannot be read is said, and never the same.
    twin.run("chmod 000 /usr/bin/dpkg-query")
    assert "packages:!" in verify.differing("all")


LIE = """#!/bin/sh
# What a machine may do that wants to pass for another state than its own.
case " $* " in *" sign "*) ;; *) exec /usr/bin/ssh-keygen.true "$@" ;; esac
"""
LIES = {
    "another key has signed it": "ssh-keygen.true -q -t ed25519 -N '' -f /root/other <&-; "
    "exec ssh-keygen.true -Y sign -q -n infra-manifest -f /root/other",
    "something else": "exec ssh-keygen.true -Y sign -q -n file -f /etc/ssh/ssh_host_ed25519_key",
    "the answer to another question": "[ -e /root/old ] || { cat >/root/old.txt; ssh-keygen.true -Y sign -q "
    "-n infra-manifest -f /etc/ssh/ssh_host_ed25519_key </root/old.txt >/root/old; }; cat >/dev/null; cat /root/old",
    "changed after it was signed": "sed s/somaxconn.4096/somaxconn.128/ | "
    "ssh-keygen.true -Y sign -q -n infra-manifest -f /etc/ssh/ssh_host_ed25519_key",
    "is not signed": "cat >/dev/null",
}


@pytest.mark.parametrize("lie", LIES)
def test_a_machine_that_lies(infra: Infra, machines: Machines, lie: str) -> None:
    verify = Verify(infra, machines(2))
    liar = verify.machines[1]
    liar.run("mv /usr/bin/ssh-keygen /usr/bin/ssh-keygen.true")
    liar.put(LIE + LIES[lie] + "\n", "/usr/bin/ssh-keygen", mode="755")
    if "another question" in lie:
        verify(
            "all", code=2
        )  # the first time it answers truly, and keeps the answer: its ssh-keygen shows all the same
    said = verify("all", code=1)
    assert "node1: not compared" in said and lie in said, said
    assert "identical" not in said
    assert verify.data("all", code=1)["failed"][0]["kind"] == "HostKeyError"


def test_kept_for_later(infra: Infra, machines: Machines) -> None:
    verify = Verify(infra, machines(2))
    two = verify.machines[1]
    verify("all", "--save", "kept")
    two.run("echo 128 >/proc/sys/net/core/somaxconn")
    verify("all", "--save", "later", code=2)
    for machine in verify.machines:
        machine.power("off")
    files = ["kept/node0.manifest", "kept/node1.manifest"]
    assert "identical" in verify("--check", *files)
    assert "1 difference" in verify("--check", "kept/node0.manifest", "later/node1.manifest", code=2)
    # Of one machine at two times, too.
    assert verify.differing("--check", "kept/node1.manifest", "later/node1.manifest")[-1] == "sysctl:net.core.somaxconn"
    # OpenSSH alone can check it.
    (infra.folder / "signers").write_text(f"node0 {verify.machines[0].host_key}\n")
    argv = ["ssh-keygen", "-Y", "verify", "-f", "signers", "-I", "node0", "-n", "infra-manifest", "-s"]
    message = (infra.folder / files[0]).read_bytes()
    signature = [*argv, f"{files[0]}.sig"]
    subprocess.run(signature, cwd=infra.folder, input=message, check=True, capture_output=True, timeout=30)

    one = infra.folder / files[0]
    one.write_text(one.read_text().replace("net.core.somaxconn\t4096", "net.core.somaxconn\t128"))
    assert "it was changed after it was signed" in verify("--check", *files, code=1)
    one.write_bytes(message.replace(b"name=node0", b"name=node9"))
    assert "it was changed after it was signed" in verify("--check", *files, code=1)
    one.write_bytes(message.replace(b"ident=metal/node0", b"ident=metal/node1"))
    assert "another key has signed it" in verify("--check", *files, code=1)
    one.write_text("x")
    assert "this is no manifest that was kept" in verify("--check", *files, code=1)
    assert "cannot read" in verify("--check", "kept/node7.manifest", files[1], code=1)


def test_over_time(infra: Infra, bed: Bed, tmp_path: Path) -> None:
    """From a bootstrap on: what a converge left is the baseline, until a person says otherwise."""
    rig = Rig.of(infra, bed, tmp_path)
    machine = rig.machine
    word = ["-i", str(bed.key)]

    def since(code: int) -> list[dict[str, Any]]:
        ran = infra("node", "verify", "--since-converge", "node0", "--json", *word, code=code)
        (node,) = ran.json["nodes"]
        return list(node["differences"]) if node["baseline"] else [{"what": "no baseline"}]

    assert since(2) == [{"what": "no baseline"}]
    rig("bootstrap", "node0")
    assert since(0) == []
    machine.run("echo 128 >/proc/sys/net/core/somaxconn; rm /etc/motd; ip addr add 10.9.9.9/32 dev lo")
    drift = since(2)
    assert [item["what"] for item in drift] == ["etc:/etc/motd", "sysctl:net.core.somaxconn"]
    assert drift[1] == {"what": "sysctl:net.core.somaxconn", "before": "4096", "after": "128"}
    said = infra("node", "verify", "--since-converge", "node0", *word, code=2).out
    assert "2 differences (etc 1, sysctl 1) since its last converge (20" in said and "then" in said
    # The machine finds the same by itself.
    machine.put(SCRIPT, "/root/manifest")
    own = machine.run("/root/manifest --against /var/lib/infra/manifest.tsv", check=False)
    assert (own.code, own.out.count("\n")) == (2, 3) and "<\tsysctl\tnet.core.somaxconn\t4096\n" in own.out
    # A converge that changes nothing does not bless it; a person may.
    rig("converge", "node0", "--force", code=None)
    assert [item["what"] for item in since(2)] == ["etc:/etc/motd", "sysctl:net.core.somaxconn"]
    assert "what it is now is its baseline; 2 differences" in infra("node", "verify", "--accept", "node0", *word).out
    assert since(0) == []
    # A baseline that is damaged is an error, not a difference.
    machine.run("echo x >>/var/lib/infra/manifest.tsv")
    assert (
        "the manifest of node0 (its baseline) is not whole"
        in infra("node", "verify", "--since-converge", "node0", *word, code=1).out
    )


def test_what_was_changed_by_hand_is_mended_by_a_converge(infra: Infra, bed: Bed, tmp_path: Path) -> None:
    rig = Rig.of(infra, bed, tmp_path, 2)
    rig("bootstrap", "all")
    word = ["-i", str(bed.key)]
    assert "identical" in infra("node", "verify", "all", *word).out
    rig.machines[1].run("echo 128 >/proc/sys/net/core/somaxconn")
    assert "net.core.somaxconn" in infra("node", "verify", "all", *word, code=2).out
    # The stand-in does what the cookbook base would.
    rig.client.told(rig.machines[1], "hook='echo 4096 >/proc/sys/net/core/somaxconn'")
    rig("converge", "node1")
    assert "identical" in infra("node", "verify", "all", *word).out
    assert infra("node", "verify", "--since-converge", "all", *word).out.count("as it was after its last converge") == 2


def test_the_manifest_itself(machines: Machines) -> None:
    """What it holds and what it must not; that it is quick, leaves nothing, and says when it is not whole."""
    (machine,) = machines(1)
    machine.settle().put(SCRIPT, "/root/manifest")
    site = "/opt/conda/envs/vision/lib/python3.12/site-packages"
    machine.run(
        "cd /opt; mkdir -p conda/envs/vision/conda-meta; touch conda/envs/vision/conda-meta/py-opencv-4.11.0-h1_2.json;"
        f"for n in a-1.0:pip b-2.0:conda; do d={site}/${{n%%:*}}.dist-info; mkdir -p $d; echo ${{n#*:}} >$d/INSTALLER;"
        " printf 'Name: %s\\nVersion: %s\\n\\nVersion: 9\\n' $(echo ${n%%:*} | tr - ' ') >$d/METADATA; done"
    )
    machine.run("printf 'password = hunter2\\n' >/etc/secret.conf; chmod 600 /etc/secret.conf; cp /etc/motd '/etc/m x'")
    machine.run("useradd -m -p '$6$salt$hash' ada; echo 'ssh-ed25519 AAAA ada' >/root/k; mkdir -p /home/ada/.ssh")
    machine.run(
        "cp -p /bin/true /usr/bin/theirs; cat /bin/true >/usr/bin/expiry; touch /usr/lib/x86_64-linux-gnu/libx.so"
    )
    machine.run("cp /root/k /home/ada/.ssh/authorized_keys; ls /run /tmp >/root/before; echo 1 >/etc/sysctl.d/x.conf")
    text = machine.run("/root/manifest").out
    facts = dict(line.rsplit("\t", 1) for line in text.splitlines()[1:-1])
    assert facts["conda\tvision/py-opencv"] == "4.11.0 h1_2"
    assert facts["pip\tvision/a"] == "1.0" and "pip\tvision/b" not in facts
    assert facts["etc\t/etc/secret.conf"] == "0600 root:root (contents not shown)"
    assert facts["etc\t/etc/shadow"] == "0640 root:shadow (contents not shown)"
    assert facts["user\tada.password"] == "usable" and facts["user\troot.password"] == "locked"
    assert facts["authorized-keys\tada"].startswith("sha256:") and facts["listen\ttcp 0.0.0.0:22"] == "sshd"
    assert facts["setuid\t/usr/bin/sudo"] == "04755 root:root" and facts["hardware\tplatform"] == "container bed"
    programs = {"program\t/usr/bin/theirs", "program\t/usr/bin/expiry", "program\t/usr/lib/x86_64-linux-gnu/libx.so"}
    assert {name for name in facts if name.startswith("program")} == programs
    assert facts["unit\tssh.service"] == "enabled running" and facts["mount\t/dev/shm"].startswith("tmpfs ")
    assert not any(word in text for word in ("hunter2", "$6$", "salt$", "PRIVATE", "tcp_fastopen_key", "stable_secret"))
    assert {line.split("\t")[0] for line in text.splitlines()} >= {
        "package",
        "sysctl",
        "limit",
        "kernel",
        "tuning",
        "os",
    }
    assert machine.run("ls /run /tmp | diff - /root/before").out == ""
    assert text == machine.run("/root/manifest").out, "the same again"
    # A disk that is full, an account that may not: an error, never half a manifest.
    machine.run("mount -t tmpfs -o size=300k tmpfs /mnt && sed s,TMPDIR=/run,TMPDIR=/mnt, /root/manifest >/root/full")
    full = machine.run("sh /root/full", check=False)
    assert (full.code, full.out) == (74, "") and "is full" in full.err
    machine.run("chmod 755 /root /root/manifest")
    assert machine.run("su ops -c /root/manifest", check=False).code == 69
    # Thousands of files in /etc, and a unit that failed.
    machine.run("mkdir /etc/many; cd /etc/many; seq 5000 | xargs touch; systemctl mask -q ssh.socket")
    machine.run(
        "printf '[Service]\\nExecStart=/bin/false\\n' >/etc/systemd/system/ill.service; systemctl start ill",
        check=False,
    )
    again = machine.run("/root/manifest").out
    assert again.count("\t/etc/many/") == 5000 and "unit\till.service\tstatic failed\n" in again


CLOUD = """\
version: 1
cluster: lab
aws: {{regions: [us-west-2], endpoint: local}}
access: {{ssh_from: [203.0.113.0/24]}}
profiles: {{cpu: {{}}}}
hosts: {{head: {{profile: cpu, instance_type: m5.large}}}}
metal: {{rack: {{profile: cpu, user: ops, hosts: [{{name: box, address: {box.address}, host_key: {box.host_key}}}]}}}}
"""


@pytest.mark.engine
def test_an_instance_and_a_box(infra: Infra, machines: Machines, tmp_path: Path) -> None:
    """One of AWS, with the account of its image and a key that AWS vouches for; one of the floor, with another."""
    instance, box = (machine.settle() for machine in machines(2))
    boxes.ubuntu(instance)
    seat = {"address": instance.address, "host_key": instance.host_key}
    (tmp_path / "machines.json").write_text(json.dumps({"head-1": seat}))
    infra("local", "nodes", str(tmp_path / "machines.json"))
    infra.write(CLOUD.format(box=box))
    infra.env["INFRA_SUDO_PASSWORD"] = box.password
    infra("apply", "--yes", code=None)  # the box itself is not converged here: no client is served
    key = boxes.identity([box])
    found = infra("node", "verify", "profile:cpu", *key, "--json", "--save", "kept").json
    (one,) = found["profiles"]
    assert one["identical"] and set(one["nodes"]) == {"head-1", "box"}
    reasons = {item["what"]: item["reason"] for item in one["allowed"]}
    assert "infra logs in with another account there (ops, ubuntu)" in reasons["user:ubuntu.uid"]
    instance.run("usermod --append --groups sudo games")
    again = infra("node", "verify", "profile:cpu", *key, "--json", code=2).json
    assert [item["what"] for item in again["profiles"][0]["differences"]] == ["group:sudo.members"]
    infra("node", "verify", "--check", "kept/head-1.manifest", "kept/box.manifest")


@pytest.mark.skipif(bool(client.missing()), reason=client.missing())
@pytest.mark.parametrize("profile", ["gpu", "cpu"])
def test_an_image_and_a_bootstrap_make_the_same_machine(infra: Infra, bed: Bed, tmp_path: Path, profile: str) -> None:
    """The research lab's policy with a real client: baked, sealed and started again; and on a box with a past."""
    baked = Node(bed, tmp_path / "node", debian=[*DEBIAN, "libcap2-bin"])
    box = copy.copy(baked)
    box.machine = bed.start(1, layers=[client.layer()])[0]
    box.machine.put(tmp_path / "node/policy", "/var/lib/infra/policy/test")
    box.machine.put(f"deb [trusted=yes] {baked.url} ./\n", "/etc/apt/sources.list.d/bed.list")
    quiet = "DEBIAN_FRONTEND=noninteractive apt-get install -qy"
    box.machine.run(f"apt-get update -q; {quiet} autofs; {quiet} chrony; echo '/swap none swap sw 0 0' >>/etc/fstab")
    given = recording.node_json("research-lab", profile)
    wanted = merge(given["infra"], served(bed, tmp_path / "web"))
    for node, origin in ((baked, "image"), (box, "bootstrap")):
        node.converge(given["run_list"], wanted).well()
        about = {"profile": profile, "digest": "d", "converged": f"by {origin}", "origin": origin}
        node.machine.put(json.dumps(about, indent=2), "/var/lib/infra/node.json")
    image = baked.machine
    image.run("/var/lib/infra/policy/test/bin/seal")
    image.reboot()
    (image.folder / "host_key.pub").write_text(image.settle().get("/etc/ssh/ssh_host_ed25519_key.pub").decode())
    public = image.key.with_suffix(".pub").read_text()
    keys = "/home/ops/.ssh/authorized_keys"
    image.run(f"mkdir -p /home/ops/.ssh; cat >{keys}; chmod 600 {keys}; chown -R ops: /home/ops/.ssh", stdin=public)

    verify = Verify(infra, [image, box.machine])
    found = verify.data("all")
    assert found["identical"] and found["profiles"][0]["facts"] > 2000
    # Debian gave the accounts of packages other numbers on the box: declared, and seen.
    assert "user:_chrony.uid" in {item["what"] for item in found["profiles"][0]["allowed"]}
    box.machine.run("echo 128 >/proc/sys/net/core/somaxconn")
    assert verify.differing("all") == ["sysctl:net.core.somaxconn"]
    box.converge(given["run_list"], wanted).well()
    assert "identical" in verify("all")
