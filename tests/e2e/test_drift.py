"""infra drift: exactly what was changed behind our back, and nothing that nobody changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import SLICE, Infra
from tests.e2e.aws import Hand

pytestmark = pytest.mark.engine

FOLDER = Path(".infra") / "demo@local" / "us-west-2"


@pytest.fixture
def applied(infra: Infra) -> Infra:
    infra.write(SLICE)
    infra("apply", "--yes")
    return infra


def test_right_after_an_apply_there_is_none(applied: Infra) -> None:
    found = applied("drift", "--json", code=0).json
    assert found["drift"] is False
    assert found["regions"][0]["resources"] > 20
    assert "no drift" in applied("drift", code=0).out
    assert "behind our back" not in applied("plan", code=0).out


def test_shows_exactly_what_was_changed(applied: Infra) -> None:
    hand = Hand(applied)
    vpc = hand.named("describe_vpcs", "Vpcs", "demo")["VpcId"]
    hand.ec2.create_tags(Resources=[vpc], Tags=[{"Key": "owner", "Value": "bob"}])
    group = hand.named("describe_security_groups", "SecurityGroups", "demo-nodes")["GroupId"]
    hand.ec2.authorize_security_group_ingress(
        GroupId=group, IpProtocol="tcp", FromPort=8080, ToPort=8080, CidrIp="0.0.0.0/0"
    )
    hand.groups.update_auto_scaling_group(AutoScalingGroupName="demo-cpu", MaxSize=9)
    table = hand.named("describe_route_tables", "RouteTables", "demo-public")["RouteTableId"]
    hand.ec2.delete_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0")
    hand.ec2.create_route(RouteTableId=table, DestinationCidrBlock="172.20.0.0/16", GatewayId=_gateway(hand))
    hand.client("iam").attach_role_policy(
        RoleName="demo-us-west-2-node", PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess"
    )
    subnet = hand.named("describe_subnets", "Subnets", "demo-public-us-west-2b")["SubnetId"]
    hand.ec2.delete_subnet(SubnetId=subnet)

    state = (applied.folder / FOLDER / "terraform.tfstate").read_bytes()
    changed = applied("drift", "--json", code=2).json["regions"][0]["changed"]
    assert (applied.folder / FOLDER / "terraform.tfstate").read_bytes() == state
    assert not (applied.folder / FOLDER / "drift.tfplan").exists()
    assert {item["title"]: (item["action"], item["moved"]) for item in changed} == {
        "network: VPC": ("update", ["tags.owner (none) → bob"]),
        "network: route public": ("delete", ["is gone: deleted outside of infra"]),
        "network: route table public": ("update", [f"route + 172.20.0.0/16 via {_gateway(hand)}"]),
        "network: subnet public us-west-2b": ("delete", ["is gone: deleted outside of infra"]),
        "pool cpu: Auto Scaling group": ("update", ["max_size 2 → 9"]),
        "security: security group nodes": ("update", ["ingress + tcp 8080 0.0.0.0/0"]),
        "identity: role node": (
            "update",
            ["managed_policy_arns + arn:aws:iam::aws:policy/AdministratorAccess"],
        ),
    }
    planned = applied("plan", code=2).out
    assert "is gone: deleted outside of infra" in planned
    assert "new in cluster.yaml" not in planned
    applied("apply")
    left = applied("drift", "--json", code=2).json["regions"][0]["changed"]
    assert {item["title"] for item in left} == {"identity: role node", "network: route table public"}, (
        "an apply takes no policy and no route away that it did not add"
    )
    hand.ec2.delete_route(RouteTableId=table, DestinationCidrBlock="172.20.0.0/16")
    hand.client("iam").detach_role_policy(
        RoleName="demo-us-west-2-node", PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess"
    )
    assert applied("drift", "--json", code=0).json["drift"] is False


def _gateway(hand: Hand) -> str:
    return str(hand.named("describe_internet_gateways", "InternetGateways", "demo")["InternetGatewayId"])


def test_what_carries_our_tag_and_is_in_no_state_is_shown(applied: Infra) -> None:
    hand = Hand(applied)
    vpc = hand.named("describe_vpcs", "Vpcs", "demo")["VpcId"]
    subnet = hand.ec2.create_subnet(VpcId=vpc, CidrBlock="10.40.240.0/24")["Subnet"]["SubnetId"]
    tags = {"infra:cluster": "demo", "infra:address": "module.network.aws_subnet.extra/x", "Name": "mine"}
    hand.ec2.create_tags(Resources=[subnet], Tags=[{"Key": key, "Value": value} for key, value in tags.items()])
    found = applied("drift", "--json", code=2).json["regions"][0]
    assert found["changed"] == []
    assert found["unknown"] == [
        {"id": subnet, "kind": "subnet", "made_as": 'module.network.aws_subnet.extra["x"]', "name": "mine"}
    ]
    assert subnet in applied("drift", code=2).out


def test_a_restart_of_the_embedded_aws_is_said_and_the_next_plan_starts_anew(applied: Infra) -> None:
    applied("local", "down")
    found = applied("drift", "--json", code=2).json["regions"][0]
    assert len(found["changed"]) == found["resources"]
    assert "started anew" in found["changed"][0]["moved"][0]
    planned = applied("plan", code=2)
    assert "started anew" in planned.out
    assert (applied.folder / FOLDER / "terraform.tfstate.before-restart").is_file()
    applied("apply")
    applied("drift", code=0)


def test_before_anything_was_applied(infra: Infra) -> None:
    infra.write(SLICE)
    assert "nothing was applied here yet" in infra("drift", code=0).out


def test_a_region_that_is_not_in_the_file(infra: Infra) -> None:
    infra.write(SLICE)
    assert infra("drift", "--region", "eu-west-1", "--json", code=1).json["error"]["kind"] == "UsageError"
