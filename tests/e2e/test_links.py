"""The way between the regions: made with the first apply, found again by its tags, taken away with a region."""

from __future__ import annotations

import signal
from typing import Any

import pytest

from tests.conftest import Infra
from tests.e2e.aws import Hand
from tests.e2e.faulty_aws import Call
from tests.e2e.killing import Run, Trap, door

pytestmark = pytest.mark.engine

REGIONS = {"us-west-2": "10.40.0.0/17", "us-east-1": "10.40.128.0/17"}
LAB = """\
version: 1
cluster: demo
aws: {regions: [us-west-2, us-east-1], endpoint: local}
network: {cidr: 10.40.0.0/16, zones: 1, nat: none, flow_logs: false}
profiles: {cpu: {}}
pools:
  cpu: {profile: cpu, instance_types: [m5.large], size: {max: 2}, regions: [us-west-2, us-east-1]}
kubernetes: {}
"""
NETWORK = ("--only", "network")  # a load balancer takes the provider a minute
TAG = {"Name": "tag:infra:cluster", "Values": ["demo"]}


def routes(infra: Infra, region: str) -> dict[str, dict[str, str]]:
    """By route table, the networks that it reaches over an active peering, and which."""
    ec2 = Hand(infra, region).ec2
    active = {
        item["VpcPeeringConnectionId"]
        for item in ec2.describe_vpc_peering_connections(Filters=[TAG])["VpcPeeringConnections"]
        if item["Status"]["Code"] == "active"
    }
    found = {}
    for table in ec2.describe_route_tables(Filters=[TAG])["RouteTables"]:
        ways = {route["DestinationCidrBlock"]: route.get("VpcPeeringConnectionId", "") for route in _named(table)}
        found[table["RouteTableId"]] = {network: way for network, way in ways.items() if way in active}
        assert all(way in active for way in ways.values() if way), ways
    return found


def _named(table: dict[str, Any]) -> list[dict[str, Any]]:
    return [route for route in table["Routes"] if "DestinationCidrBlock" in route]


def joined(infra: Infra) -> dict[str, list[set[str]]]:
    """By region, the networks that each of its tables reaches over a peering."""
    return {region: [set(ways) for ways in routes(infra, region).values()] for region in REGIONS}


def links(plan: dict[str, Any]) -> dict[str, Any]:
    return next(region for region in plan["regions"] if region["region"] == "links")


class AtFirst(Trap):
    """Kills a run when the first request of that name is done and nobody knows yet."""

    def request(self, call: Call) -> bool:
        if call.action == "CreateVpcPeeringConnection":
            self.seen.append(call)
        return False


def test_from_a_killed_first_apply_to_the_end_of_a_region(infra: Infra) -> None:
    infra.write(LAB)
    infra("local", "up")
    trap = AtFirst(at=1, after=True)
    with door(infra, trap):
        trap.run = Run.start(infra, "apply", "--yes", *NETWORK)
        assert trap.run.wait() == -signal.SIGKILL and trap.ended.wait(20), trap.run.words
    assert "links: 6 to create, by use" in trap.run.words
    assert "terraform links                 terraform us-west-2, terraform us-east-1" in trap.run.words
    assert joined(infra) == {region: [set()] * 2 for region in REGIONS}

    # What was made and not recorded is found by its tag.
    plan = infra("apply", "--yes", "--json", *NETWORK).json["plan"]
    assert [region["region"] for region in plan["regions"] if region["changes"]] == ["links"]
    found = links(plan)["changes"]
    kept = [change["type"] for change in found if any(text.startswith("adopted:") for text in change["reasons"])]
    assert kept == ["aws_vpc_peering_connection"]
    assert sorted(change["type"] for change in found if change["action"] == "create") == [
        *["aws_route"] * 4,
        "aws_vpc_peering_connection_accepter",
    ]
    whole = {"us-west-2": [{REGIONS["us-east-1"]}] * 2, "us-east-1": [{REGIONS["us-west-2"]}] * 2}
    assert joined(infra) == whole

    def peerings() -> set[tuple[str, str, str]]:
        found = infra("status", "--json").json["regions"]
        parts = [(region["region"], part) for region in found for part in region["parts"]]
        return {(near, part["facts"]["region"], part["state"]) for near, part in parts if part["kind"] == "peering"}

    assert peerings() == {("us-west-2", "us-east-1", "active"), ("us-east-1", "us-west-2", "active")}

    # Only a part of the file was applied: what was not is no drift, and does not keep us from looking.
    assert infra("drift", "--json", code=0).json["drift"] is False

    # A region that the file names no more is parted from the others, and then destroyed.
    infra.write(LAB.replace(", us-east-1]", "]").replace("10.40.0.0/16", "10.40.0.0/17"))
    last = infra("destroy", "--region", "us-east-1", "--yes-i-mean", "demo")
    assert "links: nothing is left" in last.out
    assert joined(infra) == {"us-west-2": [set()] * 2, "us-east-1": []}
    left = infra("local", "status", "--json").json["resources"]
    assert list(left) == ["us-west-2"] and "aws_vpc_peering_connection" not in left["us-west-2"]
