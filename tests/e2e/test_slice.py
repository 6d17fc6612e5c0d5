"""The main job, end to end, on the real engine, the real provider and the embedded AWS."""

from __future__ import annotations

import json

import pytest

from tests.conftest import SLICE, Infra

pytestmark = pytest.mark.engine


def test_plan_apply_and_nothing_left_to_do(infra: Infra) -> None:
    infra.write(SLICE)
    planned = infra("plan", code=2)
    assert "pool cpu: Auto Scaling group" in planned.out
    assert "list prices of" in planned.out
    applied = infra("apply")
    assert "created" in applied.out
    again = infra("plan", code=0)
    assert "no changes" in again.out


def test_apply_without_a_plan_needs_a_yes(infra: Infra) -> None:
    infra.write(SLICE)
    refused = infra("apply", code=1)
    assert "nobody is there to say yes" in refused.err
    infra("apply", "--yes")
    assert "no changes" in infra("apply", "--yes").out


def test_a_changed_file_makes_the_plan_stale_and_a_comment_does_not(infra: Infra) -> None:
    infra.write(SLICE)
    infra("plan", code=2)
    infra.write(SLICE.replace("max: 2", "max: 3"))
    stale = infra("apply", code=1)
    assert "stale" in stale.err
    assert "cluster.yaml changed" in stale.err
    infra.write(SLICE + "# a comment\n")
    infra("apply")


def test_a_changed_world_makes_the_plan_stale_and_is_named(infra: Infra) -> None:
    infra.write(SLICE)
    infra("plan", code=2)
    infra("apply")
    infra.write(SLICE.replace("max: 2", "max: 3"))
    infra("plan", code=2)
    url = infra("local", "status", "--json").json["url"]
    _group_size(url, 5)
    stale = infra("apply", code=1)
    assert "pool cpu: Auto Scaling group" in stale.err
    assert "max_size 5" in stale.err


def _group_size(url: str, size: int) -> None:
    import boto3

    client = boto3.client(
        "autoscaling",
        region_name="us-west-2",
        endpoint_url=url,
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    group = client.describe_auto_scaling_groups()["AutoScalingGroups"][0]
    client.update_auto_scaling_group(AutoScalingGroupName=group["AutoScalingGroupName"], MaxSize=size)


def test_the_work_folder_is_a_plain_terraform_project(infra: Infra) -> None:
    infra.write(SLICE)
    infra("plan", code=2)
    folder = infra.folder / ".infra" / "demo@local" / "us-west-2"
    root = json.loads((folder / "main.tf.json").read_text())
    assert set(root["module"]) >= {"network", "identity", "pool_cpu"}
    for call in root["module"].values():
        assert (folder / call["source"]).is_dir()


def test_a_wrong_region_and_a_wrong_part_are_named(infra: Infra) -> None:
    infra.write(SLICE)
    assert "us-west-2" in infra("plan", "--region", "us-east-1", code=1).err
    assert "did you mean pools.cpu?" in infra("plan", "--only", "pools.cpi", code=1).err
    assert infra("plan", "--only", "pools.cpi", "--json", code=1).json["error"]["kind"] == "UsageError"


def test_yes_does_not_cover_what_cannot_be_undone(infra: Infra) -> None:
    with_host = SLICE + "hosts:\n  dev: {profile: cpu, instance_type: m5.large}\n"
    infra.write(with_host)
    infra("apply", "--yes")
    infra.write(SLICE)
    refused = infra("apply", "--yes", code=1)
    assert "everything on its disk is lost" in refused.err
    assert "--lose-data" in refused.err
    infra("apply", code=1)  # what was refused was not left behind as a saved plan
    infra("apply", "--yes", "--lose-data")
    assert "no changes" in infra("plan").out
