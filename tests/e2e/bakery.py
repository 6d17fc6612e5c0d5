"""What tests of bakes share: a lab with a cookbook of its own, Chef clients that do as they are told, and what is left.

A bake needs Linux, root, Packer and mmdebstrap; where one lacks, its tests say so and are skipped.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from infra.local import build_host, build_root
from tests.conftest import Infra, Ran
from tests.e2e.aws import Hand

LAB = """\
version: 1
cluster: bake
aws: {{regions: [us-west-2, us-east-1, eu-west-1], endpoint: local}}
{chef}
profiles:
  tiny: {{os: ubuntu-22.04, run_list: [{run_list}]}}
pools:
  tiny: {{profile: tiny, instance_types: [m5.large], regions: [us-west-2, us-east-1], size: {{max: 1}}}}
"""
RECIPE = "file '/etc/mine' do\n  content '{content}'\nend\n"
REGIONS = ("us-west-2", "us-east-1", "eu-west-1")

# A Chef client as the converge script sees it: told where its configuration is, it leaves its report beside that.
CLIENT = """\
#!/bin/sh
while [ $# -gt 0 ]; do case $1 in -c) config=$2; shift ;; esac; shift; done
work=$(dirname "$config")
echo "a client that is told what to do"
{script}
cat >"$work/summary.json" <<'END'
{{
  "client": "told 1.0", "total": 1, "updated_count": 1, "updated": ["file[/etc/mine]"], "failed": null
}}
END
"""
CONTROL = """\
Package: cinc
Version: 18.0.0-1
Architecture: all
Maintainer: nobody <nobody@example.org>
Description: a client that does as it is told
"""


def missing() -> str:
    """Why there can be no bake here."""
    tools = [name for name in ("packer", "dpkg-deb") if shutil.which(name) is None]
    return f"there is no {' and no '.join(tools)} here" if tools else build_host.can()


@dataclass
class Bakery:
    """A lab, its embedded AWS and a build host of its own."""

    infra: Infra

    @property
    def folder(self) -> Path:
        return self.infra.folder

    def lab(self, *recipes: str, chef: str = "", content: str = "one") -> None:
        """A cluster whose profile ``tiny`` has these recipes; each cookbook writes one file."""
        names = recipes or ("mine",)
        self.infra.write(LAB.format(chef=chef, run_list=", ".join(f'"recipe[{name}]"' for name in names)))
        for name in names:
            self.cookbook(name, RECIPE.format(content=content))

    def cookbook(self, name: str, recipe: str) -> Path:
        folder = self.folder / "chef/cookbooks" / name
        (folder / "recipes").mkdir(parents=True, exist_ok=True)
        (folder / "metadata.rb").write_text(f"name '{name}'\nversion '1.0.0'\n")
        (folder / "recipes/default.rb").write_text(recipe)
        return folder / "recipes/default.rb"

    def client(self, script: str, ballast: int = 0) -> str:
        """A package of a client that runs ``script``, as the chef section that names it; ``ballast`` is in MB."""
        tree = self.folder / "package"
        shutil.rmtree(tree, ignore_errors=True)
        program = tree / "usr/bin/cinc-client"
        program.parent.mkdir(parents=True)
        program.write_text(CLIENT.format(script=script))
        program.chmod(0o755)
        if ballast:
            (tree / "usr/share").mkdir()
            (tree / "usr/share/ballast").write_bytes(os.urandom(ballast << 20))
        (tree / "DEBIAN").mkdir()
        (tree / "DEBIAN/control").write_text(CONTROL)
        package = self.folder / "cinc.deb"
        subprocess.run(
            ["dpkg-deb", "--build", "--root-owner-group", "-Znone", tree, package], check=True, capture_output=True
        )
        return f"chef: {{url: cinc.deb, sha256: {hashlib.sha256(package.read_bytes()).hexdigest()}}}"

    def bake(self, *args: str, code: int | None = 0, **env: str) -> Ran:
        return self.infra("image", "bake", "tiny", *args, code=code, timeout=120, **env)

    def begin(self, *args: str) -> subprocess.Popen[str]:
        """A bake that goes on while the test does something else."""
        return subprocess.Popen(
            [sys.executable, "-m", "infra", "image", "bake", "tiny", *args],
            cwd=self.folder,
            env=self.infra.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def machines(self) -> list[dict[str, Any]]:
        return list(self.infra("local", "build-host", "status", "--json").json["machines"])

    def hand(self, region: str = "us-west-2") -> Hand:
        return Hand(self.infra, region)

    def images(self, region: str = "us-west-2") -> list[dict[str, Any]]:
        return list(self.hand(region).ec2.describe_images(Owners=["self"])["Images"])


def left(bakery: Bakery, region: str = "us-west-2") -> list[str]:
    """Everything in a region that a bake needs for a while, whether it carries a tag or not."""
    ec2 = bakery.hand(region).ec2
    living = [{"Name": "instance-state-name", "Values": ["pending", "running", "stopping", "stopped"]}]
    found = [i["InstanceId"] for r in ec2.describe_instances(Filters=living)["Reservations"] for i in r["Instances"]]
    found += [item["VolumeId"] for item in ec2.describe_volumes()["Volumes"]]
    found += [item["KeyName"] for item in ec2.describe_key_pairs()["KeyPairs"]]
    found += [item["NetworkInterfaceId"] for item in ec2.describe_network_interfaces()["NetworkInterfaces"]]
    groups = ec2.describe_security_groups()["SecurityGroups"]
    found += [item["GroupId"] for item in groups if item["GroupName"] != "default"]
    ssm = bakery.hand("us-west-2").client("ssm")
    locks = ssm.get_parameters_by_path(Path="/infra/bake/bakes", Recursive=True)["Parameters"]
    found += [item["Name"] for item in locks]
    work = bakery.folder / ".infra/bake@local/images"
    found += [str(path) for path in work.glob("**/key")]
    return found


def nothing_left(bakery: Bakery, images: int = 0) -> None:
    """No instance, volume, key pair, interface, security group, lock, private key or machine; so many images."""
    found = left(bakery)
    assert not found, found
    machines = bakery.machines()
    assert not machines, machines
    there = [image["ImageId"] for image in bakery.images()]
    assert len(there) == images, there
    disks = [item["SnapshotId"] for item in snapshots(bakery)]
    assert len(disks) == images, disks


def snapshots(bakery: Bakery) -> list[dict[str, Any]]:
    """Every snapshot that is not of an image of Canonical's."""
    ec2 = bakery.hand().ec2
    canonicals = ec2.describe_images(Owners=["099720109477"])["Images"]
    theirs = {disk["Ebs"]["SnapshotId"] for image in canonicals for disk in image["BlockDeviceMappings"]}
    return [item for item in ec2.describe_snapshots()["Snapshots"] if item["SnapshotId"] not in theirs]


def until(look: Any, seconds: float = 60.0) -> Any:
    """What ``look`` finds, as soon as it finds anything."""
    limit = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < limit, "it did not come to that"
        time.sleep(0.1)
    return found


def converging(bakery: Bakery, bake: subprocess.Popen[str]) -> dict[str, Any]:
    """The machine of a bake, once its client is at work."""

    def look() -> dict[str, Any] | None:
        assert bake.poll() is None, bake.communicate()[0]
        for machine in bakery.machines():
            inside = Path(f"/proc/{machine['pid']}/task/{machine['pid']}/children").read_text().split()
            if inside and "sleep 7777" in processes(int(inside[0])):
                return machine
        return None

    found = until(look)
    assert isinstance(found, dict)
    return found


def processes(pid: int) -> str:
    """The command lines of everything in the process namespace of a process, one a line."""
    done = subprocess.run(
        ["nsenter", "-t", str(pid), "-p", "-m", "ps", "ax", "-o", "args"], capture_output=True, text=True
    )
    return done.stdout


def stop(bake: subprocess.Popen[str], number: signal.Signals) -> str:
    bake.send_signal(number)
    return bake.communicate(timeout=90)[0]


@pytest.fixture(scope="session")
def debian() -> Path:
    """The Debian that machines start from: made once, kept in the user's cache."""
    if why := missing():
        pytest.skip(f"NO BAKE IS TESTED HERE: {why}")
    return build_root.make(print)


@pytest.fixture
def bakery(infra: Infra, debian: Path) -> Iterator[Bakery]:
    clients = ("cinc-client", "chef-client")
    kept = [
        folder
        for folder in os.environ["PATH"].split(os.pathsep)
        if not any((Path(folder) / client).exists() for client in clients)
    ]
    infra.env |= {"INFRA_BUILD_HOST_ROOT": str(debian), "PATH": os.pathsep.join(kept)}
    infra("local", "build-host", "up")
    yield Bakery(infra)
    infra("local", "build-host", "down")
