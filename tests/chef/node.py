"""A test machine that converges policies with a real client, from repositories that the test serves."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.policy import resolve
from infra.policy.attributes import merge
from infra.policy.tar import unpack
from infra.spec.load import load
from tests.bed import Bed, Machine
from tests.chef import client, dummies

LAB = """
version: 1
cluster: lab
profiles:
  all:
    os: ubuntu-22.04
    run_list: ["role[gpu-node]", "role[cpu-node]", "role[control-plane]", "recipe[efa]"]
    nvidia: {driver: "580", cuda: "12.9"}
"""
POLICY = "/var/lib/infra/policy/test"
REPOSITORIES = ("docker", "kubernetes", "nvidia", "nvidia-container-toolkit")


@dataclass(frozen=True)
class Run:
    """What a converge reported. ``updated`` are names of resources, outermost only."""

    code: int
    total: int | None
    updated: tuple[str, ...]
    failed: str
    output: str

    def well(self) -> Run:
        assert self.code == 0, f"exit {self.code}: {self.failed}\n{self.output[-4000:]}"
        return self

    def unchanged(self) -> Run:
        assert self.well().updated == (), f"a second run updated {self.updated}\n{self.output[-4000:]}"
        return self


class Node:
    """``converge`` is the product's own script in the unpacked archive; ``url`` is the repository of dummies."""

    def __init__(
        self, bed: Bed, folder: Path, *, debian: Sequence[str] = (), more: Sequence[dummies.Dummy] = ()
    ) -> None:
        self.bed = bed
        self.machine: Machine = bed.start(1, layers=[client.layer()])[0]
        self.url = bed.packages(debian, dummies.build([*dummies.everything(), *more]))
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "cluster.yaml").write_text(LAB)
        # Every cookbook and every role is in the archive: a test's run-list may name any.
        self.policy = resolve(load(folder / "cluster.yaml").cluster, "all")
        for path, raw in unpack(self.policy.archive()).items():
            target = folder / "policy" / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(raw)
            target.chmod(0o755 if path.startswith("bin/") else 0o644)
        self.machine.put(folder / "policy", POLICY)
        self.machine.put(f"deb [trusted=yes] {self.url} ./\n", "/etc/apt/sources.list.d/bed.list")
        self.machine.run("apt-get update -q")

    def converge(self, run_list: Sequence[str], infra: Mapping[str, Any], *words: str) -> Run:
        """Converge this run-list with these attributes below ``infra``."""
        mirror = {"uri": self.url, "distribution": "./", "components": [], "trusted": True}
        attributes = merge({"repositories": dict.fromkeys(REPOSITORIES, mirror)}, infra)
        self.machine.put(json.dumps({"run_list": list(run_list), "infra": attributes}), "/root/node.json")
        why = "--why-run" in words
        argv = [f"{POLICY}/bin/converge", "--client", str(client.find()), "--json", "/root/node.json", *words]
        ran = self.machine.run(" ".join(argv), check=False, timeout=600, env={"CHEF_LICENSE": "accept-silent"})
        report = json.loads(self.machine.get(f"/var/lib/infra/{'why-run' if why else 'report'}.json"))
        updated = tuple(item["resource"] for item in report["updated"] if item["depth"] == 0)
        failed = (report.get("failed") or {}).get("message", "")
        return Run(ran.code, report["total"], updated, failed, ran.out + ran.err)

    def packages(self, *patterns: str) -> dict[str, str]:
        """Installed packages that match -> version, with ``!`` before the version when they are on hold."""
        listing = self.machine.run(
            "dpkg-query -W -f '${Package} ${Version} ${Status}\\n' " + " ".join(f"'{item}'" for item in patterns),
            check=False,
        ).out
        rows = [line.split() for line in listing.splitlines()]
        return {row[0]: ("!" if row[2] == "hold" else "") + row[1] for row in rows if row[-1] == "installed"}
