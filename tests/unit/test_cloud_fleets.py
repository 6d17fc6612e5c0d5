"""What AWS says of groups, in the autoscaler's words; the messages are AWS's own, as its users have met them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from infra.autoscale.ports import FleetId
from infra.autoscale.snapshot import Taint
from infra.cloud import fleet_reading as reading
from infra.cloud.fleets import Fleets
from infra.errors import ExpiredCredentials, Throttled, Unreachable
from infra.kube.manifests.iam import CHANGES, LOOKS
from tests.unit.test_aws import refusal

WHEN = datetime(2026, 9, 1, 12, 0, tzinfo=UTC)
LACKS = (
    "We currently do not have sufficient p3dn.24xlarge capacity in the Availability Zone you requested (us-west-2c). "
    "Our system will be working on provisioning additional capacity. You can currently get p3dn.24xlarge capacity by "
    "not specifying an Availability Zone in your request or choosing us-west-2a, us-west-2b."
)
VCPU = (
    "You have requested more vCPU capacity than your current vCPU limit of 8 allows for the instance bucket that the "
    "specified instance type belongs to. Please visit http://aws.amazon.com/contact-us/ec2-request to request an "
    "adjustment to this limit."
)
FULFIL = "Unable to fulfill capacity due to your request configuration. Please adjust your request and try again."
END = " Launching EC2 instance failed."


def activity(message: str, **more: Any) -> dict[str, Any]:
    return {
        "ActivityId": "1",
        "AutoScalingGroupName": "lab-gpu",
        "StatusCode": "Failed",
        "Description": f"Launching a new EC2 instance.  Status Reason: {message}",
        "StatusMessage": message,
        "StartTime": WHEN,
        "Details": json.dumps({"Subnet ID": "subnet-1", "Availability Zone": "us-west-2b"}),
        **more,
    }


@pytest.mark.parametrize(
    ("message", "code", "zone", "kind"),
    [
        (LACKS + END, "InsufficientInstanceCapacity", "us-west-2c", "p3dn.24xlarge"),
        (
            f"Could not launch On-Demand Instances. InsufficientInstanceCapacity - {LACKS}{END}",
            "InsufficientInstanceCapacity",
            "us-west-2c",
            "p3dn.24xlarge",
        ),
        (
            f"Could not launch Spot Instances. UnfulfillableCapacity - {FULFIL}{END}",
            *("UnfulfillableCapacity",),
            "us-west-2b",
            "",
        ),
        (
            "There is no Spot capacity available that matches your request." + END,
            "InsufficientInstanceCapacity",
            "us-west-2b",
            "",
        ),
        (f"Could not launch On-Demand Instances. VcpuLimitExceeded - {VCPU}{END}", "VcpuLimitExceeded", "", ""),
        (VCPU + END, "VcpuLimitExceeded", "", ""),
        (
            "Could not launch Spot Instances. MaxSpotInstanceCountExceeded - Max spot instance count exceeded." + END,
            "MaxSpotInstanceCountExceeded",
            "",
            "",
        ),
        ("Max spot instance count exceeded." + END, "MaxSpotInstanceCountExceeded", "", ""),
        ("Could not launch Spot Instances. MaxSpotInstanceCountExceeded", "MaxSpotInstanceCountExceeded", "", ""),
        (
            "Your requested instance type (p5.48xlarge) is not supported in your requested Availability Zone "
            "(us-east-1e). Please retry your request by not specifying an Availability Zone or choosing us-east-1a."
            + END,
            "Unsupported",
            "us-east-1e",
            "p5.48xlarge",
        ),
        (
            "Could not launch On-Demand Instances. InvalidParameterCombination - The specified instance type is not "
            "eligible for Free Tier." + END,
            "InvalidParameterCombination",
            "us-west-2b",
            "",
        ),
        ("The security group 'sg-1' does not exist in VPC 'vpc-1'." + END, "", "us-west-2b", ""),
    ],
)
def test_what_a_failed_activity_says(message: str, code: str, zone: str, kind: str) -> None:
    found = reading.failure(activity(message))
    assert found is not None
    assert (found.code, found.zone, found.type, found.when) == (code, zone, kind, WHEN.timestamp())


def test_what_is_no_failed_launch() -> None:
    assert reading.failure(activity("x", StatusCode="Successful")) is None
    assert reading.failure(activity("x", Description="Terminating EC2 instance: i-1")) is None
    odd = reading.failure(activity("", Details="not json", StatusMessage=None))
    assert odd is not None and (odd.code, odd.zone) == ("", "")


def group(**more: Any) -> dict[str, Any]:
    tags = {
        "infra:pool": "gpu",
        "infra:pool-max": "16",
        "k8s.io/cluster-autoscaler/lab": "owned",
        "k8s.io/cluster-autoscaler/node-template/label/team": "vision",
        "k8s.io/cluster-autoscaler/node-template/taint/nvidia.com/gpu": "present:NoSchedule",
        "k8s.io/cluster-autoscaler/node-template/taint/empty": ":NoExecute",
        "k8s.io/cluster-autoscaler/node-template/taint/odd": "whatever",
        "k8s.io/cluster-autoscaler/node-template/resources/nvidia.com/gpu": "8",
    }
    return {
        "AutoScalingGroupName": "lab-gpu",
        "MinSize": 0,
        "MaxSize": 4,
        "DesiredCapacity": 1,
        "AvailabilityZones": ["us-west-2b", "us-west-2a"],
        "Instances": [],
        "Tags": [{"Key": key, "Value": value} for key, value in tags.items()],
        "LaunchTemplate": {"LaunchTemplateId": "lt-1", "LaunchTemplateName": "lab-gpu", "Version": "3"},
        **more,
    }


def mixed(*types: str, on_demand: int = 100) -> dict[str, Any]:
    overrides = [{"InstanceType": name} for name in types]
    launch = {"LaunchTemplateSpecification": {"LaunchTemplateId": "lt-1", "Version": "3"}, "Overrides": overrides}
    return {"LaunchTemplate": launch, "InstancesDistribution": {"OnDemandPercentageAboveBaseCapacity": on_demand}}


def member(name: str, life: str = "InService") -> dict[str, Any]:
    return {"InstanceId": name, "InstanceType": "p3.2xlarge", "AvailabilityZone": "us-west-2a", "LifecycleState": life}


@pytest.mark.parametrize(
    ("life", "power", "marked", "state"),
    [
        ("InService", "running", False, "in-service"),
        ("InService", "running", True, "interrupted"),
        ("InService", "shutting-down", False, "leaving"),
        ("InService", "terminated", True, "leaving"),
        ("Pending", "pending", False, "pending"),
        ("Pending:Wait", "running", False, "pending"),
        ("Pending", None, False, "pending"),
        ("Terminating:Wait", "running", False, "leaving"),
        ("Detached", "running", False, "leaving"),
        ("Standby", "running", False, "leaving"),
    ],
)
def test_the_state_of_a_machine(life: str, power: str | None, marked: bool, state: str) -> None:
    instance = power and {
        "State": {"Name": power},
        "LaunchTime": WHEN,
        "InstanceLifecycle": "spot",
        "PrivateDnsName": "ip-1",
    }
    found = reading.machine(member("i-1", life), instance or None, marked, 7.0)
    assert found.state == state
    assert found.launched == (WHEN.timestamp() if power else 7.0)
    assert (found.market, found.node) == (("spot", "ip-1") if power else ("on-demand", ""))


class FakeClient:
    """Both services of one region, as far as a look asks them; ``calls`` are the operations in order."""

    def __init__(self, groups: list[dict[str, Any]]) -> None:
        self.groups = groups
        self.activities: list[dict[str, Any]] = []
        self.instances: list[dict[str, Any]] = []
        self.calls: list[str] = []
        self.error: Exception | None = None
        self.asked: dict[str, Any] = {}

    def can_paginate(self, operation: str) -> bool:
        return True

    def get_paginator(self, operation: str) -> Any:
        client = self

        class Pages:
            def paginate(self, **arguments: Any) -> list[dict[str, Any]]:
                client._called(operation)
                return [
                    {
                        "AutoScalingGroups": client.groups,
                        "Reservations": [{"Instances": client.instances}],
                        "SpotInstanceRequests": [{"InstanceId": "i-marked"}],
                    }
                ]

        return Pages()

    def _called(self, operation: str) -> None:
        self.calls.append(operation)
        if self.error:
            raise self.error

    def describe_scaling_activities(self, **arguments: Any) -> dict[str, Any]:
        self._called("describe_scaling_activities")
        self.asked = arguments
        return {"Activities": self.activities}

    def describe_launch_template_versions(self, **arguments: Any) -> dict[str, Any]:
        self._called("describe_launch_template_versions")
        assert arguments == {"LaunchTemplateId": "lt-1", "Versions": ["3"]}
        return {"LaunchTemplateVersions": [{"LaunchTemplateData": {"InstanceType": "p3.2xlarge"}}]}

    def set_desired_capacity(self, **arguments: Any) -> None:
        self._called(f"set {arguments['DesiredCapacity']} {arguments['HonorCooldown']}")

    def terminate_instance_in_auto_scaling_group(self, **arguments: Any) -> None:
        self._called(f"end {arguments['InstanceId']} {arguments['ShouldDecrementDesiredCapacity']}")


class FakeSession:
    profile = ""

    def __init__(self, **clients: FakeClient) -> None:
        self.clients = {name.replace("_", "-"): client for name, client in clients.items()}

    def client(self, service: str, region: str = "") -> FakeClient:
        return self.clients[region]


class Watch:
    def __init__(self) -> None:
        self.now = WHEN.timestamp() + 60

    def __call__(self) -> float:
        return self.now


def looking(watch: Watch, **clients: FakeClient) -> Fleets:
    session: Any = FakeSession(**clients)
    return Fleets(session, "lab", list(session.clients), watch)


def test_a_group_becomes_a_fleet() -> None:
    client = FakeClient(
        [group(), group(AutoScalingGroupName="spot", MixedInstancesPolicy=mixed("a.large", "b.large", on_demand=0))]
    )
    client.groups[1]["Instances"] = [member("i-marked"), member("i-new", "Pending")]
    client.instances = [
        {"InstanceId": "i-marked", "InstanceLifecycle": "spot", "LaunchTime": WHEN, "State": {"Name": "running"}}
    ]
    plain, spot = looking(Watch(), us_west_2=client).look().fleets
    assert plain.id == "us-west-2/lab-gpu" and (plain.id.region, plain.id.name) == ("us-west-2", "lab-gpu")
    assert (plain.pool, plain.types, plain.market) == ("gpu", ("p3.2xlarge",), "on-demand")
    assert (plain.minimum, plain.maximum, plain.desired, plain.pool_maximum) == (0, 4, 1, 16)
    assert plain.zones == ("us-west-2a", "us-west-2b")
    assert plain.labels == {"team": "vision"} and plain.resources == {"nvidia.com/gpu": "8"}
    assert plain.taints == (Taint("empty", "", "NoExecute"), Taint("nvidia.com/gpu", "present", "NoSchedule"))
    assert (spot.types, spot.market) == (("a.large", "b.large"), "spot")
    assert [(machine.id, machine.state, machine.market) for machine in spot.machines] == [
        ("i-marked", "interrupted", "spot"),
        ("i-new", "pending", "on-demand"),
    ]


def test_activities_are_asked_for_where_they_can_tell_something() -> None:
    watch, client = Watch(), FakeClient([group(Instances=[member("i-1")])])
    client.instances = [{"InstanceId": "i-1", "LaunchTime": WHEN, "State": {"Name": "running"}}]
    fleets = looking(watch, us_west_2=client)

    def asked() -> int:
        before = client.calls.count("describe_scaling_activities")
        self_told.append([one.code for one in fleets.look().fleets[0].failures])
        return client.calls.count("describe_scaling_activities") - before

    self_told: list[list[str]] = []
    client.activities = [
        activity(LACKS),
        activity(VCPU, ActivityId="2", StartTime=datetime(2026, 9, 1, 10, tzinfo=UTC)),
    ]
    assert [asked(), asked()] == [1, 0], "once, and not again while nothing lacks"
    client.groups[0]["DesiredCapacity"] = 2
    client.activities = [activity(VCPU, ActivityId="3")]
    assert asked() == 1
    client.groups[0]["DesiredCapacity"] = 1
    assert [asked(), asked()] == [1, 0], "once more after the lack, for what came last"
    assert self_told[0] == ["InsufficientInstanceCapacity"], "what is older than an hour is no news"
    assert sorted(self_told[-1]) == ["InsufficientInstanceCapacity", "VcpuLimitExceeded"]
    fleets.resize(FleetId("us-west-2/lab-gpu"), 1)
    assert asked() == 1
    watch.now += 3600
    fleets.look()
    assert self_told and fleets.look().fleets[0].failures == ()
    assert client.calls.count("describe_launch_template_versions") == 1


def test_many_groups_are_asked_for_at_once() -> None:
    client = FakeClient([group(AutoScalingGroupName=f"g{number}") for number in range(4)])
    told = {name: activity(LACKS, ActivityId=name, AutoScalingGroupName=name) for name in ("g1", "a-strangers")}
    client.activities = list(told.values())
    fleets = looking(Watch(), us_west_2=client).look().fleets
    assert client.asked == {"MaxRecords": 100}
    assert [[one.id for one in fleet.failures] for fleet in fleets] == [[], ["g1"], [], []]


def test_a_region_that_throttles_is_left_alone_for_longer_and_longer() -> None:
    watch, well, tired = Watch(), FakeClient([group()]), FakeClient([group()])
    fleets = looking(watch, us_west_2=well, us_east_1=tired)
    tired.error = refusal("Throttling", "Rate exceeded", "DescribeAutoScalingGroups")
    for pause in (10, 20, 40):
        sight = fleets.look()
        assert [fleet.id.region for fleet in sight.fleets] == ["us-west-2"]
        assert "throttl" in sight.blind["us-east-1"].lower()
        calls = len(tired.calls)
        watch.now += pause - 1
        assert "asked again in 1 s" in fleets.look().blind["us-east-1"]
        assert len(tired.calls) == calls
        watch.now += 1
    tired.error = None
    assert not fleets.look().blind
    tired.error = refusal("Throttling", "Rate exceeded", "DescribeAutoScalingGroups")
    fleets.look()
    watch.now += 10
    tired.error = None
    assert not fleets.look().blind, "after an answer it starts anew"


def test_one_region_may_be_blind_but_without_credentials_all_are() -> None:
    well, away = FakeClient([group()]), FakeClient([group()])
    fleets = looking(Watch(), us_west_2=well, us_east_1=away)
    away.error = Unreachable("AWS cannot be reached", why="no route")
    assert fleets.look().blind == {"us-east-1": "AWS cannot be reached: no route"}
    away.error = refusal("ExpiredToken", "The security token included in the request is expired")
    with pytest.raises(ExpiredCredentials):
        fleets.look()


def test_machines_are_ended_and_what_is_gone_is_no_error() -> None:
    client, fleet = FakeClient([group()]), FleetId("us-west-2/lab-gpu")
    fleets = looking(Watch(), us_west_2=client)
    fleets.resize(fleet, 3)
    fleets.terminate(fleet, "i-1")
    fleets.replace(fleet, "i-2")
    assert client.calls == ["set 3 False", "end i-1 True", "end i-2 False"]
    client.error = refusal("ValidationError", "Instance Id not found - No managed instance found for instance ID i-1")
    fleets.terminate(fleet, "i-1")
    client.error = refusal("Throttling", "Rate exceeded")
    with pytest.raises(Throttled):
        fleets.resize(fleet, 3)


def test_its_rights_are_in_the_policy_of_the_autoscaler() -> None:
    """What a look and each change call, by the names of IAM, against what the manifests' policy allows."""
    client, fleet = FakeClient([group()]), FleetId("us-west-2/lab-gpu")
    client.groups[0]["Instances"] = [member("i-1")]
    client.instances = [{"InstanceId": "i-1", "InstanceLifecycle": "spot", "State": {"Name": "running"}}]
    fleets = looking(Watch(), us_west_2=client)
    fleets.look()
    looks = {"".join(part.capitalize() for part in call.split("_")) for call in client.calls}
    assert {"DescribeAutoScalingGroups", "DescribeInstances", "DescribeSpotInstanceRequests"} < looks
    assert looks <= {right.partition(":")[2] for right in LOOKS}
    fleets.resize(fleet, 1)
    assert set(CHANGES) == {"autoscaling:SetDesiredCapacity", "autoscaling:TerminateInstanceInAutoScalingGroup"}
