"""The embedded AWS with an end to its capacity: refusals in AWS's words, time to start, spot machines taken back."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from infra.autoscale.ports import FleetId, Sight
from infra.cloud import aws as driver
from infra.cloud.fleets import Fleets
from infra.errors import CloudError, UsageError
from infra.local import capacity, inventory
from infra.spec.models import Aws as Settings
from tests.e2e.local_aws import REGION, Aws
from tests.e2e.test_local_aws import code

pytestmark = pytest.mark.engine

MIXED = ("p3.2xlarge", "g5.xlarge")


def limits(*given: dict[str, Any], **more: float) -> None:
    capacity.write(capacity.parse({"limits": list(given), **more}, "here"))


def group(aws: Aws, *types: str, spot: bool = False, **more: Any) -> None:
    """A group of the autoscaler's; several types, or spot, make a policy."""
    tag = {"Key": "k8s.io/cluster-autoscaler/lab", "Value": "owned", "PropagateAtLaunch": False}
    asked: dict[str, Any] = {
        "DesiredCapacity": 0,
        "MaxSize": 9,
        "NewInstancesProtectedFromScaleIn": True,
        "Tags": [tag],
    }
    template = aws.template(InstanceType=types[0])
    if len(types) > 1 or spot:
        asked["MixedInstancesPolicy"] = {
            "LaunchTemplate": {
                "LaunchTemplateSpecification": {"LaunchTemplateId": template, "Version": "1"},
                "Overrides": [{"InstanceType": name} for name in types],
            },
            "InstancesDistribution": {"OnDemandPercentageAboveBaseCapacity": 0 if spot else 100},
        }
    aws.group(template, **{**asked, **more})


def want(aws: Aws, number: int) -> None:
    aws("autoscaling").set_desired_capacity(AutoScalingGroupName="g", DesiredCapacity=number)


def bought(aws: Aws) -> list[tuple[str, str]]:
    found = [(one["InstanceType"], one["Placement"]["AvailabilityZone"][-1]) for one in aws.instances()]
    return sorted(found)


def activities(aws: Aws) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = aws("autoscaling").describe_scaling_activities(AutoScalingGroupName="g")["Activities"]
    return found


def failed(aws: Aws) -> list[str]:
    return [one["StatusMessage"] for one in activities(aws) if one["StatusCode"] == "Failed"]


@functools.cache
def session(url: str) -> driver.Session:
    return driver.session(Settings(regions=[REGION], endpoint="local"), url)


def fleets(aws: Aws, *regions: str) -> Fleets:
    return Fleets(session(aws.url), "lab", regions or (REGION,))


def test_a_zone_without_capacity_gives_way_to_the_next(aws: Aws) -> None:
    group(aws, "p3.2xlarge")
    limits({"zone": REGION + "a", "type": "p3.*", "machines": 1}, {"zone": REGION + "b", "type": "p3.*", "machines": 2})
    want(aws, 5)
    assert bought(aws) == [("p3.2xlarge", "a"), ("p3.2xlarge", "b"), ("p3.2xlarge", "b")]
    assert aws.described_group()["DesiredCapacity"] == 5
    newest = activities(aws)[0]
    assert newest["StatusCode"] == "Failed"
    assert newest["Description"] == f"Launching a new EC2 instance.  Status Reason: {newest['StatusMessage']}"
    assert failed(aws)[0].startswith("We currently do not have sufficient p3.2xlarge capacity in the Availability Zone")
    failures = fleets(aws).look().fleets[0].failures
    assert {(one.code, one.zone, one.type) for one in failures} == {
        ("InsufficientInstanceCapacity", REGION + zone, "p3.2xlarge") for zone in "ab"
    }


def test_a_type_without_capacity_gives_way_to_the_next(aws: Aws) -> None:
    group(aws, *MIXED)
    limits({"type": "p3.2xlarge", "machines": 1})
    want(aws, 3)
    assert sorted(kind for kind, _ in bought(aws)) == ["g5.xlarge", "g5.xlarge", "p3.2xlarge"]
    assert failed(aws) == [], "the group has what it wants"
    limits({"machines": 3}, {"type": "p3.2xlarge", "machines": 1})
    want(aws, 4)
    assert failed(aws)[0].startswith(
        "Could not launch On-Demand Instances. InsufficientInstanceCapacity - We currently"
    )


@pytest.mark.parametrize(
    ("limit", "spot", "expected"),
    [
        ({"type": "p3.*", "vcpus": 16}, False, ("VcpuLimitExceeded", "")),
        ({"market": "spot", "vcpus": 16}, True, ("MaxSpotInstanceCountExceeded", "")),
        ({"market": "spot", "machines": 2}, True, ("UnfulfillableCapacity", REGION + "b")),
        (
            {"machines": 2, "code": "InsufficientFreeAddressesInSubnet"},
            True,
            ("InsufficientFreeAddressesInSubnet", REGION + "b"),
        ),
    ],
)
def test_quotas_and_spot_fail_in_their_own_words(
    aws: Aws, limit: dict[str, Any], spot: bool, expected: tuple[str, str]
) -> None:
    group(aws, "p3.2xlarge", spot=spot)
    limits(limit)
    want(aws, 3)
    assert len(bought(aws)) == 2
    fleet = fleets(aws).look().fleets[0]
    newest = fleet.failures[0] if expected[1] == "" else next(one for one in fleet.failures if one.zone == expected[1])
    assert (newest.code, newest.zone) == expected
    assert fleet.market == ("spot" if spot else "on-demand")


def test_run_instances_is_refused_whole(aws: Aws) -> None:
    limits({"type": "p3.2xlarge", "machines": 2})
    subnet = aws.subnets("a")[0]
    asked = {"ImageId": aws.image(), "InstanceType": "p3.2xlarge", "SubnetId": subnet}
    with pytest.raises(ClientError) as error:
        aws("ec2").run_instances(MinCount=3, MaxCount=4, **asked)
    assert code(error) == "InsufficientInstanceCapacity" and aws.instances() == []
    assert len(aws("ec2").run_instances(MinCount=1, MaxCount=4, **asked)["Instances"]) == 2


def test_a_group_that_was_refused_tries_again_by_itself(aws: Aws) -> None:
    group(aws, "p3.2xlarge")
    limits({"machines": 0})
    want(aws, 2)
    assert bought(aws) == []
    limits({"machines": 1}, retry_seconds=0)
    assert len(bought(aws)) == 1
    limits(retry_seconds=3600)
    assert len(bought(aws)) == 1, "not before its time"
    limits(retry_seconds=0)
    assert len(bought(aws)) == 2


def test_machines_take_their_time_to_run(aws: Aws) -> None:
    group(aws, "m5.large")
    limits(pending_seconds=3600)
    want(aws, 2)
    look = fleets(aws)
    assert {machine.state for machine in look.look().fleets[0].machines} == {"pending"}
    assert {one["LifecycleState"] for one in aws.described_group()["Instances"]} == {"Pending"}
    assert {one["State"]["Name"] for one in aws.instances()} == {"pending"}
    assert {one["StatusCode"] for one in activities(aws)} == {"PreInService"}
    want(aws, 2)
    assert len(bought(aws)) == 2, "what is on the way counts"
    limits(pending_seconds=1e-6)
    assert {machine.state for machine in look.look().fleets[0].machines} == {"in-service"}
    assert {one["StatusCode"] for one in activities(aws)} == {"Successful"}
    limits(pending_seconds=3600)
    want(aws, 3)
    want(aws, 2)
    assert len(bought(aws)) == 3, "protected from scale-in, the one that serves and the one on its way"


def test_a_spot_machine_is_marked_and_then_taken(aws: Aws) -> None:
    group(aws, "m5.large", spot=True)
    limits(notice_seconds=3600)
    want(aws, 2)
    first, second = sorted(one["InstanceId"] for one in aws.instances())
    request = aws("ec2").describe_instances(InstanceIds=[first])["Reservations"][0]["Instances"][0]
    assert request["InstanceLifecycle"] == "spot" and request["SpotInstanceRequestId"].startswith("sir-")
    assert capacity.interrupt([first, "i-nobody"]) == [first]
    look = fleets(aws)
    states = {machine.id: machine.state for machine in look.look().fleets[0].machines}
    assert states == {first: "interrupted", second: "in-service"}
    limits(notice_seconds=0)
    left = {one["InstanceId"] for one in aws.instances()}
    assert first not in left and len(left) == 2, "the group replaces it"
    told = aws("ec2").describe_spot_instance_requests(Filters=[{"Name": "instance-id", "Values": [first]}])
    assert told["SpotInstanceRequests"][0]["Status"]["Code"] == "instance-terminated-no-capacity"
    assert first not in {machine.id for machine in look.look().fleets[0].machines}


def test_the_driver_sets_ends_and_replaces(aws: Aws) -> None:
    group(aws, *MIXED)
    look, fleet = fleets(aws, REGION, "us-east-1"), FleetId(f"{REGION}/g")

    def machines(sight: Sight) -> list[str]:
        return [machine.id for machine in sight.fleets[0].machines]

    assert look.look().fleets[0].types == MIXED
    look.resize(fleet, 3)
    look.resize(fleet, 3)
    before = machines(look.look())
    assert len(before) == 3
    look.terminate(fleet, before[0])
    look.terminate(fleet, before[0])
    after = look.look()
    assert (machines(after), after.fleets[0].desired) == (before[1:], 2), "protection from scale-in does not stop it"
    look.replace(fleet, before[1])
    again = look.look()
    assert again.fleets[0].desired == 2
    assert before[1] not in machines(again) and before[2] in machines(again) and len(machines(again)) == 2
    with pytest.raises(CloudError) as over:
        look.resize(fleet, 10)
    assert "above max value 9" in over.value.text()
    assert not again.blind


def test_the_command_line(aws: Aws, tmp_path: Path) -> None:
    from click.testing import CliRunner

    from infra.cli.local import command

    def run(*words: str, code: int = 0) -> str:
        done = CliRunner().invoke(command, words)
        assert done.exit_code == code, done.output
        return done.output

    rules = tmp_path / "scarce.json"
    rules.write_text(json.dumps({"limits": [{"type": "p3.*", "machines": 1}], "notice_seconds": 3600}))
    assert "p3.* * in *, zone *: 1 machines" in run("capacity", str(rules))
    assert json.loads(run("capacity", "--json"))["notice_seconds"] == 3600
    group(aws, "m5.large", spot=True)
    want(aws, 1)
    machine = aws.instances()[0]["InstanceId"]
    assert json.loads(run("interrupt", machine, "--json")) == {"interrupted": [machine]}
    assert isinstance(CliRunner().invoke(command, ["interrupt", "i-nobody"]).exception, UsageError)
    assert "room for everything" in run("capacity", "--clear")


def test_rules_that_are_none_are_refused_and_a_reset_ends_them(aws: Aws) -> None:
    for wrong in ([], {"limit": []}, {"limits": [{"machines": -1}]}, {"limits": [{}]}, {"pending_seconds": "soon"}):
        with pytest.raises(UsageError):
            capacity.parse(wrong, "here")
    limits({"machines": 0}, pending_seconds=9)
    assert capacity.read().limits[0].machines == 0
    inventory.reset()
    assert capacity.read() == capacity.Rules()
