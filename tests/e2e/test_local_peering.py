"""Peerings of VPCs in the embedded AWS, as both regions see them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from infra.local import inventory
from tests.e2e.local_aws import started

pytestmark = pytest.mark.engine

WEST, EAST = "us-west-2", "us-east-1"


def vpc(ec2: Any, cidr: str) -> str:
    return str(ec2.create_vpc(CidrBlock=cidr)["Vpc"]["VpcId"])


def named(key: str, value: str) -> dict[str, Any]:
    return {"Name": key, "Values": [value]}


def seen(ec2: Any, **asked: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = ec2.describe_vpc_peering_connections(**asked)["VpcPeeringConnections"]
    return found


def refused(call: Any, **arguments: Any) -> str:
    with pytest.raises(ClientError) as error:
        call(**arguments)
    return str(error.value.response["Error"]["Code"])


def test_a_peering_from_request_to_end(tmp_path: Path) -> None:
    with started(tmp_path) as aws:
        west, east = aws("ec2", WEST), aws("ec2", EAST)
        ends = {"VpcId": vpc(west, "10.40.0.0/16"), "PeerVpcId": vpc(east, "10.41.0.0/16"), "PeerRegion": EAST}
        tags = [{"ResourceType": "vpc-peering-connection", "Tags": [{"Key": "side", "Value": "west"}]}]
        made = west.create_vpc_peering_connection(**ends, TagSpecifications=tags)["VpcPeeringConnection"]
        ident = made["VpcPeeringConnectionId"]
        assert [item["Status"]["Code"] for ec2 in (west, east) for item in seen(ec2)] == ["pending-acceptance"] * 2
        assert refused(west.create_vpc_peering_connection, **ends) == "VpcPeeringConnectionAlreadyExists"
        assert refused(west.accept_vpc_peering_connection, VpcPeeringConnectionId=ident) == "OperationNotPermitted"

        table = west.create_route_table(VpcId=ends["VpcId"])["RouteTable"]["RouteTableId"]
        west.create_route(RouteTableId=table, DestinationCidrBlock="10.41.0.0/16", VpcPeeringConnectionId=ident)

        def state() -> str:
            routes = west.describe_route_tables(RouteTableIds=[table])["RouteTables"][0]["Routes"]
            return next(str(r["State"]) for r in routes if r.get("VpcPeeringConnectionId") == ident)

        assert state() == "blackhole"
        east.accept_vpc_peering_connection(VpcPeeringConnectionId=ident)
        assert [item["Status"]["Code"] for ec2 in (west, east) for item in seen(ec2)] == ["active"] * 2
        assert state() == "active"

        # Each side has tags of its own, and is found by them alone.
        east.create_tags(Resources=[ident], Tags=[{"Key": "side", "Value": "east"}])
        assert [item["Tags"] for item in seen(west)] == [[{"Key": "side", "Value": "west"}]]
        assert [item["Tags"] for item in seen(east)] == [[{"Key": "side", "Value": "east"}]]
        assert len(seen(east, Filters=[named("tag:side", "east")])) == 1
        assert seen(east, Filters=[named("tag:side", "west")]) == []
        assert len(seen(west, Filters=[named("accepter-vpc-info.vpc-id", ends["PeerVpcId"])])) == 1
        assert seen(west, Filters=[named("status-code", "deleted")]) == []
        assert refused(west.describe_vpc_peering_connections, VpcPeeringConnectionIds=["pcx-0"]).endswith("NotFound")
        assert [item.type for item in inventory.resources()].count("aws_vpc_peering_connection") == 1

        east.delete_vpc(VpcId=ends["PeerVpcId"])  # it takes the peering along
        assert [item["Status"]["Code"] for item in seen(west)] == ["deleted"]
        assert state() == "blackhole"
        assert refused(west.delete_vpc_peering_connection, VpcPeeringConnectionId=ident) == "InvalidStateTransition"
        assert "aws_vpc_peering_connection" not in {item.type for item in inventory.resources()}

        # Overlapping networks are not joined.
        west.create_vpc_peering_connection(
            VpcId=vpc(west, "10.40.0.0/16"), PeerVpcId=vpc(east, "10.40.0.0/20"), PeerRegion=EAST
        )
        assert {item["Status"]["Code"] for item in seen(east)} == {"deleted", "failed"}
