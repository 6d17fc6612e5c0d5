"""Whole roles of a real policy with a real client on a real Debian: everything once, and nothing the second time."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from infra.policy.attributes import merge
from tests.bed import Bed
from tests.chef import client, dummies, recording
from tests.chef.node import Node

pytestmark = pytest.mark.skipif(bool(client.missing()), reason=client.missing())

# What the cookbooks take from Debian itself.
DEBIAN = [
    *("autofs", "ca-certificates", "chrony", "curl", "gnupg", "jq", "kmod", "nfs-common", "openssh-server", "pciutils"),
    *("sudo", "tzdata"),
]
# Makes an environment that lists what it was asked for, as micromamba does.
MICROMAMBA = r"""#!/bin/sh
for word; do
  case $before in --prefix) prefix=$word ;; esac
  before=$word
done
case $1 in
  create)
    mkdir -p "$prefix/conda-meta" "$prefix/bin"
    for word; do case $word in [a-z]*=[0-9]*) echo "$word" ;; esac; done >"$prefix/specs" ;;
  list)
    awk -F= 'BEGIN { printf "[" } { printf "%s{\"name\": \"%s\", \"version\": \"%s.1\"}", (NR > 1 ? "," : ""), $1, $2 }
      END { print "]" }' "$prefix/specs" ;;
esac
"""


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def served(bed: Bed, folder: Path) -> dict[str, Any]:
    """Attributes that name what the test serves instead of the web."""
    url = bed.serve(folder)
    tool = folder / "1/micromamba-linux-64"
    tool.parent.mkdir(parents=True)
    tool.write_text(MICROMAMBA)
    deb = dummies.build([dummies.Dummy("mount-s3", "1.21.0")])[0]
    mount = folder / "1.21.0/x86_64/mount-s3-1.21.0-x86_64.deb"
    mount.parent.mkdir(parents=True)
    mount.write_bytes(deb.read_bytes())
    return {
        "hardware": {"gpus": ["10de:1b00"]},
        "research": {"micromamba": {"version": "1", "url": url, "sha256": {"x86_64": sha256(tool)}}},
        "mounting": {"mountpoint": {"url": url, "version": "1.21.0", "sha256": sha256(mount)}},
    }


@pytest.mark.parametrize("profile", ["gpu", "cpu"])
def test_a_policy_of_the_research_lab(bed: Bed, tmp_path: Path, profile: str) -> None:
    node = Node(bed, tmp_path / "node", debian=DEBIAN)
    given = recording.node_json("research-lab", profile)
    wanted = merge(given["infra"], served(bed, tmp_path / "web"))
    before = node.packages("*")
    node.converge(given["run_list"], wanted, "--why-run").well()
    assert node.packages("*") == before

    first = node.converge(given["run_list"], wanted).well()
    assert first.total and len(first.updated) > 40
    node.converge(given["run_list"], wanted).unchanged()

    kept = {"kubelet": "!1.36.2-1.1", "docker-ce": "!5:28.5.1-1~debian.12~bookworm"}
    if profile == "gpu":
        kept |= {"libcuda1": "!580.95.05-1", "cuda-toolkit-12-9": "!12.9.1-1", "nvidia-container-toolkit": "!1.18.0-1"}
    assert node.packages(*kept) == kept
    assert "infra-users" in node.machine.run("id -nG ada").out.split()
    # It comes back from a reboot as it was, with nothing failed and nothing to do.
    node.machine.reboot()
    assert node.machine.settle().run("systemctl --failed --no-legend").out == ""
    node.converge(given["run_list"], wanted).unchanged()


def test_a_control_plane(bed: Bed, tmp_path: Path) -> None:
    node = Node(bed, tmp_path / "node", debian=DEBIAN)
    wanted = {"kubernetes": {"version": "1.36"}, "users": {}}
    node.converge(["role[control-plane]"], wanted).well()
    node.converge(["role[control-plane]"], wanted).unchanged()
    assert node.packages("kubeadm", "nvidia*") == {"kubeadm": "!1.36.2-1.1"}
