"""What an account says of itself, from answers of AWS's shape (botocore checks them against the API's model)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from botocore.stub import Stubber

from infra.cloud import aws, aws_facts
from infra.cloud.aws import Session
from infra.errors import AccessDenied, Throttled
from infra.spec.models import Aws, Cluster

HOME = "us-west-2"


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> Session:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a-secret-for-this-test")
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    return aws.session(Aws(regions=[HOME], endpoint="http://127.0.0.1:9"))


@pytest.fixture
def answers(session: Session) -> Iterator[Any]:
    """``answers(service, operation, answer, …)``: what AWS says next, in order."""
    with ExitStack() as stack:
        stubs: dict[tuple[str, str], Stubber] = {}

        def add(service: str, operation: str, *said: dict[str, Any], region: str = HOME) -> None:
            key = (service, region)
            if key not in stubs:
                stubs[key] = stack.enter_context(Stubber(session.client(service, region)))
            for item in said:
                stubs[key].add_response(operation, item)

        def refuse(service: str, operation: str, code: str) -> None:
            add(service, operation)
            stubs[(service, HOME)].add_client_error(operation, code, "words")

        add.refuse = refuse  # type: ignore[attr-defined]
        yield add
        for stub in stubs.values():
            stub.assert_no_pending_responses()


def kind(name: str, vcpus: int) -> dict[str, Any]:
    return {
        "InstanceType": name,
        "VCpuInfo": {"DefaultVCpus": vcpus},
        "MemoryInfo": {"SizeInMiB": 1024},
        "ProcessorInfo": {"SupportedArchitectures": ["x86_64"]},
        "NetworkInfo": {"MaximumNetworkInterfaces": 2, "EfaSupported": False, "NetworkCards": []},
    }


def test_regions(session: Session, answers: Any) -> None:
    answers(
        "ec2",
        "describe_regions",
        {
            "Regions": [
                {"RegionName": "us-west-2", "OptInStatus": "opt-in-not-required"},
                {"RegionName": "af-south-1", "OptInStatus": "not-opted-in"},
            ]
        },
    )
    found = aws_facts.regions(session)
    assert {name: state.enabled for name, state in found.items()} == {"us-west-2": True, "af-south-1": False}


def test_a_live_catalog_lies_over_the_shipped_one(session: Session, answers: Any) -> None:
    answers("ec2", "describe_instance_types", {"InstanceTypes": [kind("m99.huge", 512)]})
    offered = [{"InstanceType": "m99.huge", "Location": f"us-west-2{zone}"} for zone in "ab"]
    answers(
        "ec2",
        "describe_instance_type_offerings",
        {"InstanceTypeOfferings": offered[:1], "NextToken": "more"},
        {"InstanceTypeOfferings": offered[1:]},
    )
    data = {"version": 1, "cluster": "lab", "aws": {"regions": [HOME]}, "profiles": {"cpu": {}}}
    pools = {"a": {"profile": "cpu", "instance_types": ["m99.huge", "m98.gone"], "size": 1}}
    live = aws_facts.live_catalog(session, Cluster.model_validate({**data, "pools": pools}))
    huge = live.instance("m99.huge")
    assert huge is not None
    assert huge.vcpus == 512
    assert live.zones_offering("m99.huge", HOME) == ("us-west-2a", "us-west-2b")
    assert live.offered("m5.large", HOME) is False
    assert live.offered("m5.large", "eu-west-1") is True
    assert live.source == "DescribeInstanceTypes"


def quota(code: str, value: float) -> dict[str, Any]:
    return {"QuotaCode": code, "Value": value}


def test_quotas_of_the_account_win_over_defaults(session: Session, answers: Any) -> None:
    answers(
        "service-quotas",
        "list_aws_default_service_quotas",
        {"Quotas": [quota("L-1216C47A", 5.0), quota("L-DB2E81BA", 0.0)], "NextToken": "more"},
        {"Quotas": [quota("L-417A185B", 0.0), quota("L-UNKNOWN", 1.0)]},
    )
    answers("service-quotas", "list_service_quotas", {"Quotas": [quota("L-1216C47A", 1152.0)]})
    assert aws_facts.vcpu_quotas(session, HOME) == {"on-demand:standard": 1152, "on-demand:g": 0, "on-demand:p": 0}


def test_vcpus_used_leaves_out_the_cluster_itself(session: Session, answers: Any) -> None:
    mine = {"Tags": [{"Key": "infra:cluster", "Value": "lab"}]}
    machines = [
        {"InstanceType": "m5.large"},
        {"InstanceType": "m5.large", **mine},
        {"InstanceType": "g4dn.xlarge", "InstanceLifecycle": "spot"},
        {"InstanceType": "nobody.knows"},
    ]
    answers("ec2", "describe_instances", {"Reservations": [{"Instances": machines[:2]}, {"Instances": machines[2:]}]})
    assert aws_facts.vcpus_used(session, HOME, "lab") == {"on-demand:standard": 2, "spot:g": 4}


def test_rooms(session: Session, answers: Any) -> None:
    answers("ec2", "describe_vpcs", {"Vpcs": [{"VpcId": "vpc-1"}, {"VpcId": "vpc-2"}]})
    answers("ec2", "describe_addresses", {"Addresses": [{"AllocationId": "eipalloc-1"}]})
    for code, value in ((aws_facts.ADDRESSES, 5.0), (aws_facts.VPCS, 10.0)):
        answers("service-quotas", "list_aws_default_service_quotas", {"Quotas": [quota(code, value)]})
        answers("service-quotas", "list_service_quotas", {"Quotas": []})
    found = aws_facts.rooms(session, HOME)
    assert found == {"addresses": aws_facts.Room(5, 1), "vpcs": aws_facts.Room(10, 2)}


def test_key_pairs_of_others(session: Session, answers: Any) -> None:
    mine = {"KeyName": "lab-ada", "Tags": [{"Key": "infra:cluster", "Value": "lab"}]}
    answers("ec2", "describe_key_pairs", {"KeyPairs": [mine, {"KeyName": "old"}]})
    assert aws_facts.key_pairs(session, HOME, "lab") == {"old"}


def test_the_price_list_is_read_page_by_page_and_no_further_than_asked(session: Session, answers: Any) -> None:
    def page(*skus: str) -> dict[str, Any]:
        return {"FormatVersion": "aws_v1", "PriceList": [json.dumps({"product": {"sku": sku}}) for sku in skus]}

    answers("pricing", "get_products", page("1", "2") | {"NextToken": "x"}, page("3", "4"), region="us-east-1")
    found = aws_facts.price_list(session, "AmazonEC2", {"regionCode": HOME}, most=3)
    assert [item["product"]["sku"] for item in found] == ["1", "2", "3"]


def test_spot_prices_are_of_the_cheapest_zone(session: Session, answers: Any) -> None:
    history = [
        {"InstanceType": "g4dn.xlarge", "SpotPrice": "0.21"},
        {"InstanceType": "g4dn.xlarge", "SpotPrice": "0.17"},
        {"InstanceType": "p3.2xlarge", "SpotPrice": "0.9"},
    ]
    answers("ec2", "describe_spot_price_history", {"SpotPriceHistory": history})
    assert aws_facts.spot_prices(session, HOME, ["g4dn.xlarge"]) == {"g4dn.xlarge": 0.17, "p3.2xlarge": 0.9}


def test_refusals_name_the_action_and_the_region(session: Session, answers: Any) -> None:
    answers.refuse("ec2", "describe_key_pairs", "UnauthorizedOperation")
    with pytest.raises(AccessDenied, match="ec2:DescribeKeyPairs") as caught:
        aws_facts.key_pairs(session, HOME, "lab")
    assert caught.value.problems[0].where == HOME
    answers.refuse("service-quotas", "list_aws_default_service_quotas", "TooManyRequestsException")
    with pytest.raises(Throttled):
        aws_facts.quotas(session, HOME)
