"""Who comes in by a certificate: what the cookbook writes for ``access.user_ca``, judged by a real sshd."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from infra.errors import LoginRefused
from infra.node.proof import proof
from infra.node.ssh.fleet import Fleet
from infra.node.ssh.trust import Pins
from infra.policy import of
from infra.spec.load import load
from tests.bed import Machine
from tests.chef import recording
from tests.e2e.test_node_ssh import free
from tests.e2e.test_node_trust import keygen, keys, vouched, whoami

pytestmark = pytest.mark.skipif(recording.RUBY is None, reason="NO RUBY: the cookbook cannot be read")
LAB = """\
version: 1
cluster: desk
access: {{user_ca: [{keys}]}}
profiles: {{box: {{os: ubuntu-22.04, run_list: ["recipe[base]"]}}}}
metal: {{box: {{profile: box, hosts: [node0]}}}}
"""
KEYS, CONFIG = "/etc/ssh/user_ca_keys", "/etc/ssh/sshd_config.d/10-infra.conf"


def authority(folder: Path, name: str) -> str:
    """A new CA; its public key."""
    keygen("-q", "-t", "ed25519", "-N", "", "-C", f"{name} CA", "-f", folder / name)
    return (folder / f"{name}.pub").read_text().strip()


def converged(machine: Machine, folder: Path, *authorities: str) -> None:
    """The two files as the recipe says them, on the machine; a converge would reload sshd as this does."""
    path = folder / "cluster.yaml"
    path.write_text(LAB.format(keys=", ".join(f'"{key}"' for key in authorities)))
    attributes = of(load(path), "box").attributes
    recorded = recording.record({"run_list": ["recipe[base]"], **attributes}, recording.facts("debian-12"))
    said = {item["resource"]: item for item in recorded["resources"]}
    for target in (KEYS, CONFIG):
        item = said[f"file[{target}]"]
        if item.get("action") == ["delete"]:
            machine.run(f"rm -f {target}")
        else:
            machine.put(item["says"]["content"], target, mode=item["says"]["mode"])
    machine.run("sshd -t && pkill -HUP -o -x sshd && sleep 0.3")
    machine.wait()


def test_a_certificate_opens_the_account_that_it_names(machines: Callable[..., list[Machine]], tmp_path: Path) -> None:
    (machine,) = machines(1, "plain")
    free(machine)
    ours, theirs = authority(tmp_path, "ours"), authority(tmp_path, "theirs")
    keygen("-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "ada")

    def login(*words: str, by: str = "ours", user: str = "ops") -> str:
        """How a certificate of those words gets in, or "refused"."""
        keygen("-q", "-s", tmp_path / by, "-I", "ada", *words, tmp_path / "ada.pub")
        fleet = Fleet(Pins(tmp_path / "pins"), keys(machine, identities=[tmp_path / "ada"]))
        try:
            with fleet.connect(replace(vouched(machine), user=user)) as link:
                assert whoami(link) == user
                return link.login
        except LoginRefused:
            return "refused"

    assert login("-n", "ops") == "refused"  # nobody is trusted before the file says so
    converged(machine, tmp_path, ours)
    assert login("-n", "ada,ops") == "certificate"
    assert login("-n", "ops", by="theirs") == "refused"
    assert login("-n", "ada") == "refused"  # an account that it does not name
    assert login() == "refused"  # it names nobody
    assert login("-n", "ops", "-V", "20200101:20200201") == "refused"
    assert login("-h", "-n", "ops") == "refused"  # a host's
    assert login("-n", "root", user="root") == "refused"  # whatever a CA says

    # Nobody widens it in a file that comes later, and the proof of the machine holds both files.
    machine.put("AuthorizedPrincipalsFile /etc/ssh/others\n", "/etc/ssh/sshd_config.d/20-more.conf")
    machine.put("ada\n", "/etc/ssh/others")
    converged(machine, tmp_path, ours)
    assert login("-n", "ada") == "refused" and login("-n", "ops") == "certificate"
    with Fleet(Pins(tmp_path / "pins"), keys(machine)).connect(vouched(machine)) as link:
        facts = proof.take(link).manifest.facts
    assert {f"etc:{KEYS}", f"etc:{CONFIG}"} <= set(facts)

    converged(machine, tmp_path, ours, theirs)  # one CA after another
    assert login("-n", "ops", by="theirs") == "certificate"
    converged(machine, tmp_path)
    assert login("-n", "ops") == "refused"
