"""infra status: what exists and how it is; what is ill is said, and never changes the exit code."""

from __future__ import annotations

import pytest

from tests.conftest import SLICE, Infra
from tests.e2e.aws import Hand

pytestmark = pytest.mark.engine

LAB = (
    SLICE
    + """\
hosts:
  head: {profile: cpu, instance_type: t3.micro}
storage:
  data: {efs: {}, mount: /data}
  out: {s3: {bucket: demo-out-2718}, mount: /out}
metal:
  desk: {profile: cpu, hosts: [left, right]}
"""
)


def _parts(data: dict[str, object]) -> dict[str, dict[str, object]]:
    regions = data["regions"]
    assert isinstance(regions, list)
    return {f"{part['part']}/{part['kind']}": part for region in regions for part in region["parts"]}


def test_before_the_first_apply_and_without_a_cloud(infra: Infra) -> None:
    infra.write(SLICE)
    assert "nothing exists yet. Next: infra plan" in infra("status").out
    data = infra("status", "--json").json
    assert (data["exists"], data["healthy"], data["last"], data["plan"]) == (False, True, None, None)
    infra.lab("two-boxes")
    assert "left, right" in infra("status").out


def test_everything_that_was_applied_is_there_and_what_falls_ill_is_said(infra: Infra) -> None:
    infra.write(LAB)
    infra("apply", "--yes")
    data = infra("status", "--json").json
    assert data["healthy"], data
    found = _parts(data)
    assert set(found) == {
        "network/network",
        "network/nat",
        "pool cpu/pool",
        "host head/host",
        "storage data/efs",
        "storage out/s3",
    }
    pool = found["pool cpu/pool"]["facts"]
    assert isinstance(pool, dict)
    assert (pool["min"], pool["desired"], pool["max"]) == (0, 0, 2)
    assert data["last"]["number"] == 1
    assert data["locks"] == []
    assert data["cost"]["known"] > 0
    shown = infra("status").out
    assert "left, right" in shown
    assert "healthy" in shown

    hand = Hand(infra)
    host = found["host head/host"]["id"]
    hand.ec2.stop_instances(InstanceIds=[host])
    hand.groups.set_desired_capacity(AutoScalingGroupName="demo-cpu", DesiredCapacity=2)
    systems = hand.client("efs")
    target = systems.describe_mount_targets(FileSystemId=found["storage data/efs"]["id"])["MountTargets"][0]
    systems.delete_mount_target(MountTargetId=target["MountTargetId"])
    hand.client("s3").delete_bucket(Bucket="demo-out-2718")

    ill = infra("status", "--json", code=0).json
    assert not ill["healthy"]
    now = _parts(ill)
    assert now["host head/host"]["problems"] == ["is stopped"]
    assert now["storage out/s3"]["state"] == "gone"
    assert "mount target" in str(now["storage data/efs"]["problems"])
    assert now["pool cpu/pool"]["state"] == "2 of 2"
    assert now["network/network"]["healthy"]
    assert ill["cost"]["known"] > data["cost"]["known"], "two machines more"
    assert "3 not healthy" in infra("status", code=0).out

    infra("plan", code=2)
    waiting = infra("status", "--json").json["plan"]
    assert waiting["changes"]
    assert waiting["stale"] is False
    infra.write(LAB.replace("max: 2", "max: 3"))
    assert infra("status", "--json").json["plan"]["stale"] is True
    assert "a saved plan waits" in infra("status").out

    infra("local", "down")
    stopped = infra("status")
    assert "not running" in stopped.out
    assert infra("local", "status", "--json").json["running"] is False, "looking starts nothing"
    infra("local", "up")
    assert "started anew" in infra("status").out


def test_a_region_that_is_not_in_the_file(infra: Infra) -> None:
    infra.write(SLICE)
    assert "one of: us-west-2" in infra("status", "--region", "us-east-1", code=1).err
