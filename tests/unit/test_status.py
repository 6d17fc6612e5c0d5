"""Health: AWS's answers read as the parts of cluster.yaml, what is ill named; and how a person sees it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from infra.cloud.health import Seen
from infra.cloud.journal.records import Record
from infra.cloud.locks import Lock
from infra.cloud.mending.known import Known, Thing, _known
from infra.cloud.parts import GONE, Part, failure, parts
from infra.cloud.status import RESTARTED, RegionStatus, Status
from infra.plan.model import Cost, Machine
from infra.ui import status_view
from tests.unit.render import golden, render


def thing(address: str, **values: Any) -> Thing:
    kind = next(step for step in address.replace("[", ".").split(".") if step.startswith("aws_"))
    return Thing(address, kind, values)


KNOWN = Known(
    "us-west-2",
    (
        thing("module.network.aws_vpc.this", id="vpc-1"),
        thing('module.network.aws_subnet.private["us-west-2a"]', id="subnet-1"),
        thing('module.network.aws_nat_gateway.this["us-west-2a"]', id="nat-1"),
        thing("module.pool_gpu.aws_autoscaling_group.this", id="lab-gpu", name="lab-gpu"),
        thing("module.pool_gpu.aws_launch_template.this", id="lt-1", name="lab-gpu", image_id="ami-1"),
        thing('module.host_dev.aws_instance.this["dev-1"]', id="i-1", instance_type="g4dn.xlarge"),
        thing("module.storage_home.aws_efs_file_system.this", id="fs-1"),
        thing('module.storage_home.aws_efs_mount_target.this["us-west-2a"]', id="fsmt-1", file_system_id="fs-1"),
        thing("module.storage_out.aws_s3_bucket.this", id="lab-out"),
        thing('module.control_plane.aws_instance.this["control-plane-1"]', id="i-2", instance_type="m5.large"),
        thing("module.control_plane.aws_lb.api", id="arn:lb", dns_name="lab-api.elb"),
        thing("module.control_plane.aws_lb_target_group.api", id="arn:tg", port=6443),
    ),
    serial=7,
)
WAY = thing("module.link_us_east_1__us_west_2.aws_vpc_peering_connection.this", id="pcx-1")
GROUP = {
    "AutoScalingGroupName": "lab-gpu",
    "MinSize": 0,
    "MaxSize": 16,
    "DesiredCapacity": 3,
    "SuspendedProcesses": [{"ProcessName": "AZRebalance"}],
    "Tags": [{"Key": "k8s.io/cluster-autoscaler/enabled", "Value": "true"}],
    "MixedInstancesPolicy": {
        "LaunchTemplate": {"LaunchTemplateSpecification": {"LaunchTemplateId": "lt-1", "Version": "2"}}
    },
    "Instances": [
        {
            "InstanceId": "i-11",
            "InstanceType": "p3.8xlarge",
            "LifecycleState": "InService",
            "HealthStatus": "Healthy",
            "LaunchTemplate": {"Version": "1"},
        },
        {"InstanceId": "i-12", "InstanceType": "p3.8xlarge", "LifecycleState": "Pending", "HealthStatus": "Healthy"},
        {
            "InstanceId": "i-13",
            "InstanceType": "p3.16xlarge",
            "LifecycleState": "Terminating",
            "HealthStatus": "Unhealthy",
        },
    ],
}
OK = {"SystemStatus": {"Status": "ok"}, "InstanceStatus": {"Status": "ok"}}
TARGET = {
    "MountTargetId": "fsmt-1",
    "AvailabilityZoneName": "us-west-2a",
    "LifeCycleState": "available",
    "IpAddress": "10.0.0.9",
}
RUNNING = {"State": {"Name": "running"}, "PublicIpAddress": "198.51.100.7", "InstanceType": "g4dn.xlarge"}
WELL = Seen(
    vpcs={"vpc-1": {"State": "available", "CidrBlock": "10.40.0.0/16"}},
    subnets={"subnet-1": {"AvailabilityZone": "us-west-2a"}},
    nats={"nat-1": {"State": "available", "NatGatewayAddresses": [{"PublicIp": "192.0.2.1"}]}},
    groups={"lab-gpu": {**GROUP, "DesiredCapacity": 0, "Instances": []}},
    templates={"lt-1": {"LatestVersionNumber": 2}},
    instances={"i-1": RUNNING, "i-2": {**RUNNING, "PublicIpAddress": None, "PrivateIpAddress": "10.0.0.5"}},
    checks={"i-1": OK, "i-2": OK},
    file_systems={"fs-1": {"LifeCycleState": "available", "SizeInBytes": {"Value": 3_400_000_000}}},
    mounts={"fs-1": [TARGET]},
    targets={"arn:tg": [{"TargetHealth": {"State": "healthy"}}]},
    buckets={"lab-out": True},
)
MOMENT = datetime(2026, 11, 22, 1, 2, 3, tzinfo=UTC)
NO_CAPACITY = {
    "StatusCode": "Failed",
    "StatusMessage": "Could not launch Spot Instances. InsufficientInstanceCapacity - No capacity.\n Try later.",
    "StartTime": MOMENT,
}


def by_kind(found: list[Part]) -> dict[str, Part]:
    return {part.kind: part for part in found}


def test_everything_well() -> None:
    found = by_kind(parts(KNOWN, WELL))
    assert all(part.healthy for part in found.values()), found
    assert list(found) == ["network", "nat", "pool", "host", "efs", "s3", "control-plane", "balancer"]
    assert found["network"].facts == {"cidr": "10.40.0.0/16", "subnets": 1, "zones": 1}
    assert found["host"].part == "host dev"
    assert found["host"].facts["name"] == "dev-1"
    assert found["control-plane"].facts["private"] == "10.0.0.5"
    assert found["efs"].facts == {
        "targets": [{"zone": "us-west-2a", "state": "available", "address": "10.0.0.9"}],
        "bytes": 3_400_000_000,
    }
    assert found["balancer"].facts == {"targets": {"healthy": 1}, "address": "lab-api.elb"}


def test_everything_gone() -> None:
    found = parts(KNOWN, Seen())
    assert [part.state for part in found] == ["gone"] * 8
    assert all(part.problems == (GONE,) for part in found)


@pytest.mark.parametrize(("code", "well"), [("active", True), ("provisioning", True), ("failed", False)])
def test_the_way_to_another_region(code: str, well: bool) -> None:
    seen = replace(WELL, peerings={"pcx-1": {"Status": {"Code": code}}})
    part = by_kind(parts(KNOWN, seen, [WAY]))["peering"]
    assert (part.part, part.id, part.state, part.healthy) == ("network", "pcx-1", code, well)
    assert part.facts == {"region": "us-east-1"}
    assert by_kind(parts(KNOWN, WELL, [WAY]))["peering"].problems == (GONE,)


def test_a_pool_in_trouble() -> None:
    seen = replace(WELL, groups={"lab-gpu": GROUP}, activities={"lab-gpu": [NO_CAPACITY]})
    seen = replace(seen, instances={"i-11": {"InstanceLifecycle": "spot"}, "i-12": {}})
    part = by_kind(parts(KNOWN, seen))["pool"]
    facts = part.facts
    assert part.state == "1 of 3, 1 starting"
    assert (facts["in_service"], facts["pending"], facts["leaving"], facts["unhealthy"]) == (1, 1, 1, 1)
    assert (facts["spot"], facts["on_demand"]) == (1, 2)
    assert facts["instance_types"] == {"p3.8xlarge": 2, "p3.16xlarge": 1}
    assert facts["template"] == {"id": "lt-1", "version": "2", "latest": "2"}
    assert (facts["outdated"], facts["image"], facts["autoscaled"]) == (1, "ami-1", True)
    assert part.problems[0] == "1 unhealthy"
    assert "InsufficientInstanceCapacity - No capacity. Try later." in part.problems[1]
    assert "name more instance types" in part.problems[1]


def test_a_pool_of_several_groups_is_one_row() -> None:
    names = ["lab-gpu.p3.8xlarge.us-west-2a", "lab-gpu.p3.8xlarge.us-west-2b"]
    address = "module.pool_gpu.aws_autoscaling_group.this"
    things = [thing(f'{address}["{name.removeprefix("lab-gpu.")}"]', id=name, name=name) for name in names]
    known = replace(KNOWN, things=tuple(things))
    empty = {**GROUP, "DesiredCapacity": 2, "Instances": []}
    seen = replace(WELL, groups=dict(zip(names, (GROUP, empty), strict=True)), activities={names[1]: [NO_CAPACITY]})
    [part] = [one for one in parts(known, seen) if one.kind == "pool"]
    assert (part.part, part.id, part.state) == ("pool gpu", "lab-gpu.*", "1 of 5, 1 starting")
    assert (part.facts["groups"], part.facts["max"], part.facts["autoscaled"]) == (2, 16, True)
    assert part.facts["instance_types"] == {"p3.8xlarge": 2, "p3.16xlarge": 1}
    assert [problem.partition(":")[0] for problem in part.problems] == names
    assert [one.state for one in parts(known, replace(seen, groups={})) if one.kind == "pool"] == ["gone"]


@pytest.mark.parametrize(
    ("activities", "code"),
    [
        ([], None),
        ([{"StatusCode": "Successful"}, NO_CAPACITY], None),
        ([{"StatusCode": "InProgress"}, NO_CAPACITY], "InsufficientInstanceCapacity"),
        (
            [{"StatusCode": "Failed", "StatusMessage": "You have requested more vCPU capacity (VcpuLimitExceeded)"}],
            "VcpuLimitExceeded",
        ),
        (
            [
                {
                    "StatusCode": "Failed",
                    "StatusMessage": "We currently do not have sufficient p4d.24xlarge capacity in us-",
                }
            ],
            "InsufficientInstanceCapacity",
        ),
        ([{"StatusCode": "Failed", "StatusMessage": "It is said: UnfulfillableCapacity."}], "UnfulfillableCapacity"),
        ([{"StatusCode": "Failed", "StatusMessage": "Launching EC2 Instances failed by WhoKnowsWhat"}], ""),
        ([{"StatusCode": "Cancelled", "Description": "by ada"}], ""),
    ],
)
def test_the_last_failure_of_a_group(activities: list[dict[str, Any]], code: str | None) -> None:
    found = failure(activities)
    assert (found and found["code"]) == code
    assert found is None or bool(found["fix"]) == bool(code)


@pytest.mark.parametrize(
    ("change", "kind", "problem"),
    [
        ({"subnets": {}}, "network", "subnet us-west-2a is gone"),
        (
            {"nats": {"nat-1": {"State": "failed", "NatGatewayAddresses": [], "FailureMessage": "no"}}},
            "nat",
            "is failed",
        ),
        ({"instances": {**WELL.instances, "i-1": {**RUNNING, "State": {"Name": "stopped"}}}}, "host", "is stopped"),
        (
            {"checks": {**WELL.checks, "i-1": {**OK, "SystemStatus": {"Status": "impaired"}}}},
            "host",
            "fails AWS' status",
        ),
        ({"mounts": {"fs-1": []}}, "efs", "the mount target us-west-2a is gone"),
        ({"mounts": {"fs-1": [{**TARGET, "LifeCycleState": "error"}]}}, "efs", "in us-west-2a is error"),
        ({"file_systems": {"fs-1": {"LifeCycleState": "error"}}}, "efs", "is error"),
        ({"buckets": {"lab-out": False}}, "s3", GONE),
        (
            {"targets": {"arn:tg": [{"TargetHealth": {"State": "unhealthy", "Reason": "Target.Timeout"}}]}},
            "balancer",
            "1 of 1 do not answer on port 6443: Target.Timeout",
        ),
    ],
)
def test_what_is_ill_is_named(change: dict[str, Any], kind: str, problem: str) -> None:
    found = by_kind(parts(KNOWN, replace(WELL, **change)))
    assert problem in found[kind].problems[0]
    assert [part.kind for part in found.values() if not part.healthy] == [kind]


def test_what_is_only_on_its_way_is_not_ill() -> None:
    seen = replace(
        WELL,
        nats={"nat-1": {"State": "pending", "NatGatewayAddresses": []}},
        checks={"i-1": {**OK, "InstanceStatus": {"Status": "initializing"}}},
        targets={"arn:tg": [{"TargetHealth": {"State": "initial"}}]},
        groups={"lab-gpu": {**GROUP, "Instances": GROUP["Instances"][:2]}},
    )
    found = by_kind(parts(KNOWN, seen))
    assert all(part.healthy for part in found.values()), found
    assert found["host"].facts["checks"] == "initializing"
    assert found["control-plane"].facts["checks"] == ""


def test_the_labs_own_network_is_told_from_the_outputs() -> None:
    known = Known("us-west-2", outputs={"vpc_id": "vpc-9"})
    (part,) = parts(known, Seen(vpcs={"vpc-9": {"State": "available", "CidrBlock": "10.0.0.0/8"}}))
    assert part.facts["existing"] is True


def test_reading_a_state() -> None:
    raw = {
        "serial": 3,
        "outputs": {"vpc_id": {"value": "vpc-1"}},
        "resources": [
            {
                "module": "module.network",
                "mode": "managed",
                "type": "aws_subnet",
                "name": "private",
                "instances": [{"index_key": "us-west-2a", "attributes": {"id": "subnet-1"}}],
            },
            {"mode": "managed", "type": "aws_eip", "name": "x", "instances": [{"index_key": 0, "attributes": None}]},
            {"mode": "data", "type": "aws_ami", "name": "x", "instances": [{"attributes": {}}]},
        ],
    }
    known = _known("us-west-2", raw)
    assert [item.address for item in known.things] == [
        'module.network.aws_subnet.private["us-west-2a"]',
        "aws_eip.x[0]",
    ]
    assert (known.things[0].key, known.things[0].part, known.things[0].id) == ("us-west-2a", "network", "subnet-1")
    assert (known.serial, known.outputs, known.ids) == (3, {"vpc_id": "vpc-1"}, frozenset({"subnet-1"}))


ILL = replace(
    WELL,
    groups={"lab-gpu": GROUP},
    activities={"lab-gpu": [NO_CAPACITY]},
    instances={**WELL.instances, "i-1": {**RUNNING, "State": {"Name": "stopped"}}},
    buckets={},
    peerings={"pcx-1": {"Status": {"Code": "failed"}}},
)
RECORD = Record(3, "2026-11-22T01:00:00Z", "ada@laptop", 1, "p", "s", "", status="done", ended="2026-11-22T01:01:00Z")
WHOLE = Status(
    "lab",
    "2026-11-22T01:02:03Z",
    regions=(
        RegionStatus("us-west-2", 12, 7, tuple(parts(KNOWN, ILL, [WAY])), Cost(3.5, unknown=("NAT gateway",))),
        RegionStatus("us-east-1"),
        RegionStatus("eu-west-1", 30, lost=RESTARTED),
        RegionStatus(
            "ap-south-1",
            2,
            1,
            (Part("network", "network", "vpc-2", "available", {"cidr": "10.0.0.0/16", "subnets": 2, "zones": 1}),),
            in_file=False,
        ),
    ),
    metal=tuple(Machine(f"titan-{number}", "titan", "gpu", "") for number in range(6)),
    locks=(Lock("run", "/x/lock.json", who="grace@desk", operation="infra apply", alive=True),),
    last=RECORD,
    plan={
        "created": "2026-11-22T01:00:00Z",
        "who": "ada@laptop",
        "stale": True,
        "changes": {"create": 2},
        "problem": "",
    },
    prices_date="2026-07-20",
)


def test_golden(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    well = replace(
        WHOLE, regions=(RegionStatus("us-west-2", 12, 7, tuple(parts(KNOWN, WELL)), Cost(3.5)),), locks=(), plan=None
    )
    for name, status in {
        "ill": WHOLE,
        "well": well,
        "nothing": Status("lab", "", regions=(RegionStatus("us-west-2"),)),
        "metal": Status("desk", "", metal=WHOLE.metal[:2]),
    }.items():
        golden(f"status_{name}.txt", render(status_view.show, status, monkeypatch=monkeypatch, capsys=capsys))


def test_json() -> None:
    data = WHOLE.data()
    assert (data["exists"], data["healthy"]) == (True, False)
    assert [region["exists"] for region in data["regions"]] == [True, False, False, True]
    assert data["last"]["number"] == 3
    assert data["locks"][0]["who"] == "grace@desk"
    assert {part["kind"] for part in data["regions"][0]["parts"]} >= {"pool", "host", "efs"}
