"""A whole lab in one plan: images baked by Packer, three regions by Terraform, boxes on the floor by SSH.

research-lab.yaml on the embedded AWS, its Titan X boxes being test machines. What its machines are is one file, written
by a cookbook of the test's, and the Chef client is a stand-in: the cookbooks themselves are tried elsewhere.
"""

from __future__ import annotations

from pathlib import Path

import yaml

from tests.bed import Bed
from tests.bed.standin import build
from tests.conftest import LABS
from tests.e2e.bakery import Bakery, bakery, debian

__all__ = ["bakery", "debian"]


def test_bakes_terraform_and_machines_are_one_plan_and_then_there_is_none(
    bakery: Bakery, bed: Bed, tmp_path: Path
) -> None:
    infra, machines, client = bakery.infra, bed.start(2), build(tmp_path)
    lab = yaml.safe_load((LABS / "research-lab.yaml").read_text())
    lab["aws"]["endpoint"] = "local"
    lab["chef"] = {"url": str(client.path), "sha256": client.sha256}
    lab["profiles"]["control-plane"] = {"os": "ubuntu-22.04"}
    for profile in lab["profiles"].values():
        profile.pop("nvidia", None)
        profile["run_list"] = ["recipe[mine]"]
    titan = lab["metal"]["titan"]
    titan["hosts"] = [{"name": box.name, "address": box.address, "host_key": box.host_key} for box in machines]
    titan["user"] = machines[0].user
    del titan["gpus"]
    infra.write(yaml.safe_dump(lab, sort_keys=False))
    bakery.cookbook("mine", "file '/etc/mine'\n")
    home = tmp_path / "home"
    (home / ".ssh").mkdir(parents=True)
    (home / ".ssh/id_ed25519").write_bytes(machines[0].key.read_bytes())
    (home / ".ssh/id_ed25519").chmod(0o600)
    infra.env |= {"HOME": str(home), "INFRA_SUDO_PASSWORD": machines[0].password}

    planned = infra("plan", "--json", code=2).json
    after = {step["id"]: step["after"] for step in planned["steps"]}
    assert after["bake:gpu"] == after["bake:cpu"] == []
    assert after["terraform:us-west-2"] == ["bake:control-plane", "bake:cpu", "bake:gpu"]
    assert after["terraform:eu-west-1"] == ["bake:cpu"], "no machine there starts from the other image"
    assert after["bootstrap:node0"] == ["bake:gpu", "terraform:us-west-2"], "its control plane is made there"
    assert after["bootstrap:node1"] == ["bootstrap:node0"]
    shown = infra("plan", code=2).out
    assert "in this order" in shown and "2 machines to bootstrap" in shown and "image gpu" in shown
    said = infra("apply", "--allow-os", timeout=600).out
    assert said.index("node0  preflight") > said.index("us-west-2  control plane")
    assert [len(client.calls(box)) for box in machines] == [1, 1]
    done = infra("plan", code=0).out
    assert "research: no changes" in done and "as the file wants them: node0, node1" in done
    record = infra("log", "1", "--json").json
    assert {name: facts["status"] for name, facts in record["nodes"].items()} == {"node0": "done", "node1": "done"}
