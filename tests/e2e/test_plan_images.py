"""Images in a plan, on real Terraform and Packer: what is baked first, in order, and how that goes on after a kill."""

from __future__ import annotations

import subprocess
import sys

from tests.e2e.bakery import RECIPE, Bakery, bakery, debian, left, until

__all__ = ["bakery", "debian"]

LAB = """\
version: 1
cluster: bake
aws: {regions: [us-west-2], endpoint: local}
network: {zones: 1, nat: none, flow_logs: false}
profiles:
  tiny: {os: ubuntu-22.04, run_list: ["recipe[mine]"]}
pools:
  tiny: {profile: tiny, instance_types: [m5.large], size: {max: 1}}
"""


def lab(bakery: Bakery) -> None:
    bakery.infra.write(LAB)
    bakery.cookbook("mine", RECIPE.format(content="one"))


def launched(bakery: Bakery) -> str:
    """The AMI in the newest version of the pool's launch template."""
    ec2 = bakery.hand().ec2
    (found,) = ec2.describe_launch_template_versions(LaunchTemplateName="bake-tiny", Versions=["$Latest"])[
        "LaunchTemplateVersions"
    ]
    return str(found["LaunchTemplateData"]["ImageId"])


def test_a_plan_bakes_first_and_then_is_empty(bakery: Bakery) -> None:
    lab(bakery)
    infra = bakery.infra
    planned = infra("plan", code=2)
    assert "bake tiny" in planned.out and "there is no image of this profile" in planned.out
    assert "the image of tiny" in infra("plan", "--details", code=2).out
    assert "1 to bake image" in infra("status").out
    infra("apply", timeout=180)
    (first,) = bakery.images()
    assert launched(bakery) == first["ImageId"]
    assert "bake: no changes" in infra("plan", code=0).out

    bakery.cookbook("mine", RECIPE.format(content="two"))
    again = infra("plan", code=2)
    assert "bake tiny" in again.out
    assert f"image_id {first['ImageId']} → the image of tiny" in again.out
    bakery.cookbook("mine", RECIPE.format(content="three"))
    stale = infra("apply", code=1)
    assert "the policy of tiny changed" in stale.err
    assert len(bakery.images()) == 1, "a stale plan bakes nothing"

    infra("plan", code=2)
    infra("apply", timeout=180)
    (second,) = [image for image in bakery.images() if image["ImageId"] != first["ImageId"]]
    assert launched(bakery) == second["ImageId"]
    assert "bake: no changes" in infra("plan", code=0).out

    infra("image", "revoke", second["ImageId"], "--why", "it hangs")
    blocked = infra("plan", code=1)
    assert "no machine of profile tiny may be started" in blocked.err and "it hangs" in blocked.err
    assert "cluster.yaml:6" in blocked.err
    infra("image", "revoke", second["ImageId"], "--undo")
    infra("image", "promote", "tiny", "--to", first["ImageId"])
    pinned = infra("plan", code=2)
    assert "pinned" in pinned.out and "bake tiny" not in pinned.out
    infra("apply", timeout=180)
    assert launched(bakery) == first["ImageId"]
    infra("destroy", "--yes-i-mean", "bake", timeout=180)
    assert len(bakery.images()) == 2, "images outlive the cluster until they are pruned"
    assert left(bakery) == []


def test_an_apply_that_is_killed_in_a_bake_goes_on(bakery: Bakery) -> None:
    lab(bakery)
    infra = bakery.infra
    infra("plan", code=2)
    apply = subprocess.Popen(
        [sys.executable, "-m", "infra", "apply"],
        cwd=bakery.folder,
        env=infra.env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    until(bakery.machines)
    apply.kill()
    apply.wait()
    assert bakery.images() == []
    infra("apply", timeout=180)  # the plan is still the saved one
    (image,) = bakery.images()
    assert launched(bakery) == image["ImageId"]
    assert "bake: no changes" in infra("plan", code=0).out
    infra("destroy", "--yes-i-mean", "bake", timeout=180)
    assert left(bakery) == []
