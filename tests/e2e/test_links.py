"""The way between the regions: made with the first apply, found again by its tags, taken away with a region."""

from __future__ import annotations

from typing import Any

import pytest

from infra import files
from infra.cloud.mending import recovery
from tests.conftest import Infra
from tests.e2e.aws import Hand

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


def test_from_the_first_apply_to_the_end_of_a_region(infra: Infra) -> None:
    infra.write(LAB)
    shown = infra("apply", "--yes", "--json", *NETWORK).json["plan"]
    assert [change["action"] for change in links(shown)["changes"]] == ["create"] * (2 + 2 * 2)
    step = next(step for step in shown["steps"] if step["name"] == "links")
    assert step["after"] == [f"terraform:{region}" for region in REGIONS]
    whole = {"us-west-2": [{REGIONS["us-east-1"]}] * 2, "us-east-1": [{REGIONS["us-west-2"]}] * 2}
    assert joined(infra) == whole

    # Killed before anything was recorded: what was made is found by its tags, and the routes by their tables.
    work = infra.folder / ".infra/demo@local"
    for state in (work / "links").glob("terraform.tfstate*"):
        state.unlink()
    files.write_json(work / recovery.MARKS, {"links": ""})
    table = next(iter(routes(infra, "us-east-1")))
    Hand(infra, "us-east-1").ec2.delete_route(RouteTableId=table, DestinationCidrBlock=REGIONS["us-west-2"])
    plan = infra("apply", "--yes", "--json", *NETWORK).json["plan"]
    assert [region["region"] for region in plan["regions"] if region["changes"]] == ["links"]
    found = links(plan)["changes"]
    made = [change["type"] for change in found if not any(text.startswith("adopted:") for text in change["reasons"])]
    assert sorted(made) == ["aws_route", "aws_vpc_peering_connection_accepter"]
    assert joined(infra) == whole

    # A region that the file names no more is parted from the others, and then destroyed.
    infra.write(LAB.replace(", us-east-1]", "]").replace("10.40.0.0/16", "10.40.0.0/17"))
    last = infra("destroy", "--region", "us-east-1", "--yes-i-mean", "demo")
    assert "links: nothing is left" in last.out
    assert joined(infra) == {"us-west-2": [set()] * 2, "us-east-1": []}
    left = infra("local", "status", "--json").json["resources"]
    assert list(left) == ["us-west-2"] and "aws_vpc_peering_connection" not in left["us-west-2"]
