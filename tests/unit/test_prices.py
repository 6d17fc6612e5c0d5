"""Prices are dated and sourced, what has none is never 0, and the price list of AWS reads into the same table."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from importlib import resources
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.cloud.pricing import price_list, prices
from infra.cloud.pricing.price_table import HOURS_PER_MONTH, THINGS, Price, Source, Table, parse, shipped, thing
from infra.plan.model import Cost, total
from infra.spec import catalog

DAY = "2027-01-02"
HERE = Source("https://example.test/prices", DAY, "test")
GP3 = {"volume_size": 100, "volume_type": "gp3"}
ROUND: dict[tuple[str, str], str] = {
    ("instance", "p9.large"): "1",
    ("instance", "p9.huge"): "10",
    ("nat-gateway", "hour"): "0.05",
    ("public-ipv4", "address"): "0.01",
    ("load-balancer", "network"): "0.02",
    ("ebs", "gp3"): "0.073",  # 100 GB: a cent an hour
    ("ebs", "gp3-iops"): "0.0073",
    ("ebs", "gp3-throughput"): "0.073",
}


@pytest.fixture(autouse=True)
def round_prices() -> Iterator[None]:
    """A region "here" in which every price is a round number; the shipped table lies under it."""
    rows = {(kind, "here", key): text for (kind, key), text in ROUND.items()}
    prices.use(Table({row: Price(Decimal(text), thing(row[0], row[2])[0], HERE) for row, text in rows.items()}))
    yield
    prices.use(None)


# ---- the table that ships


def test_every_shipped_price_has_a_source_and_a_date() -> None:
    data = json.loads(resources.files("infra.data").joinpath("prices.json").read_text())
    for source in data["sources"].values():
        assert source["url"].startswith("https://")
        assert re.fullmatch(r"20\d\d-\d\d-\d\d", source["date"])
    rows = list(shipped())
    assert len(rows) > 200
    assert all(price.source.url and price.date and price.amount > 0 for *_, price in rows)
    assert shipped().date == f"{min(p.date for *_, p in rows)} to {max(p.date for *_, p in rows)}"


def test_shipped_prices_are_of_types_and_regions_that_exist() -> None:
    for kind, region, key, price in shipped():
        assert region in catalog.regions()
        assert price.unit == thing(kind, key)[0]
        if kind == "instance":
            assert catalog.instance(key) is not None, key
            assert catalog.shipped().zones_offering(key, region), f"{key} was never offered in {region}"


def test_no_price_is_listed_twice() -> None:
    data = json.loads(resources.files("infra.data").joinpath("prices.json").read_text())
    for by_region in data["prices"].values():
        for by_source in by_region.values():
            keys = [key for entries in by_source.values() for key in entries]
            assert len(keys) == len(set(keys))


@pytest.mark.parametrize(
    ("kind", "key", "region", "amount"),
    [
        ("instance", "p3.8xlarge", "us-west-2", "12.24"),
        ("instance", "p5.48xlarge", "us-east-2", "55.04"),
        ("instance", "g4dn.xlarge", "eu-west-1", "0.587"),
        ("instance", "m5.large", "us-east-1", "0.096"),
        ("nat-gateway", "hour", "us-east-1", "0.045"),
    ],
)
def test_what_the_labs_use_has_its_price(kind: str, key: str, region: str, amount: str) -> None:
    found = prices.hourly(kind, key, region)
    assert found is not None and found.amount == Decimal(amount)


def test_what_is_not_in_the_table_has_no_price() -> None:
    assert prices.hourly("instance", "p9.huge", "us-east-1") is None
    assert prices.hourly("instance", "p5.48xlarge", "mars-north-1") is None


@pytest.mark.parametrize(
    "damage",
    [
        {"currency": "EUR"},
        {"prices": {"instance": {"r": {"s": {"m5.large": 0}}}}},
        {"prices": {"instance": {"r": {"s": {"m5.large": "free"}}}}},
        {"prices": {"instance": {"r": {"s": {"m5.large": float("nan")}}}}},
        {"prices": {"instance": {"r": {"nobody": {"m5.large": 1}}}}},
        {"prices": {"lunch": {"r": {"s": {"m5.large": 1}}}}},
    ],
)
def test_a_damaged_table_is_refused(damage: dict[str, Any]) -> None:
    good = {"currency": "USD", "sources": {"s": {"url": "u", "date": DAY}}, "prices": {}}
    assert parse(good) == Table({})
    with pytest.raises((ValueError, KeyError)):
        parse(good | damage)


THINGS_ROWS = st.sampled_from(sorted(THINGS)).map(lambda row: row if row[1] else (row[0], "m5.large"))
AMOUNTS = st.decimals("0.0001", "1000", places=6)
SOURCES = st.builds(Source, st.just("https://x.test"), st.dates().map(str), st.text(max_size=3))
TABLES = st.dictionaries(
    st.tuples(THINGS_ROWS, st.sampled_from(["r-1", "r-2"])), st.tuples(AMOUNTS, SOURCES), max_size=8
).map(
    lambda rows: Table(
        {
            (kind, region, key): Price(amount, thing(kind, key)[0], source)
            for ((kind, key), region), (amount, source) in rows.items()
        }
    )
)


@given(TABLES)
def test_a_table_survives_being_written_and_read(table: Table) -> None:
    assert parse(json.loads(json.dumps(table.data()))) == table


@given(TABLES, TABLES)
def test_a_table_over_another_hides_it_row_by_row(fresh: Table, older: Table) -> None:
    both = fresh.over(older)
    assert set(both.prices) == set(fresh.prices) | set(older.prices)
    for row, price in both.prices.items():
        assert price == fresh.prices.get(row, older.prices.get(row))


def test_the_date_of_a_table_is_one_day_or_a_span() -> None:
    assert Table({}).date == ""
    old = Price(Decimal(1), "hour", Source("u", "2020-01-01"))
    new = Price(Decimal(1), "hour", Source("u", DAY))
    assert Table({("instance", "r", "a"): new}).date == DAY
    assert Table({("instance", "r", "a"): new, ("instance", "r", "b"): old}).date == f"2020-01-01 to {DAY}"


def test_what_is_paid_by_use_has_no_price_by_the_hour() -> None:
    with pytest.raises(ValueError, match="paid by use"):
        Price(Decimal("0.045"), "GB", HERE).hourly()


# ---- resources


def cost(kind: str, values: Mapping[str, Any], template: Mapping[str, Any] | None = None) -> Cost:
    found = prices.price_of(kind, values, "here", template)
    assert found is not None
    return rounded(found)


def rounded(found: Cost) -> Cost:
    return Cost(round(found.known, 9), found.unknown, found.usage, found.bound)


@pytest.mark.parametrize(
    ("kind", "values", "expected"),
    [
        ("aws_nat_gateway", {}, Cost(0.05, usage=("NAT gateway: data",))),
        ("aws_eip", {}, Cost(0.01)),
        ("aws_efs_file_system", {}, Cost(usage=("EFS storage",))),
        ("aws_s3_bucket", {}, Cost(usage=("S3 storage",))),
        ("aws_ebs_volume", {"size": 200, "type": "gp3"}, Cost(0.02)),
        ("aws_ebs_volume", {"size": 100, "type": "gp3", "iops": 3000, "throughput": 125}, Cost(0.01)),
        ("aws_ebs_volume", {"size": 100, "type": "gp3", "iops": 4000, "throughput": 225}, Cost(0.03)),
        ("aws_ebs_volume", {"size": 200, "type": "io2"}, Cost(unknown=("EBS io2 in here",))),
        ("aws_ebs_volume", {"type": "gp3", "size": None}, Cost(unknown=("EBS gp3 of unknown size",))),
        ("aws_instance", {"instance_type": "p9.large", "root_block_device": [GP3]}, Cost(1.01)),
        (
            "aws_instance",
            {"instance_type": "p9.large", "root_block_device": [GP3], "associate_public_ip_address": True},
            Cost(1.02),
        ),
        (
            "aws_instance",
            {
                "instance_type": "p9.large",
                "root_block_device": [GP3],
                "associate_public_ip_address": True,
                "instance_state": "stopped",
            },
            Cost(0.01),
        ),
        ("aws_instance", {"instance_type": "p9.large"}, Cost(1.0, unknown=("root disk of unknown size",))),
        (
            "aws_instance",
            {"instance_type": "p8.large", "root_block_device": [GP3]},
            Cost(0.01, unknown=("p8.large in here",)),
        ),
        (
            "aws_instance",
            {
                "instance_type": "p9.large",
                "root_block_device": [GP3],
                "instance_market_options": [{"market_type": "spot"}],
            },
            Cost(1.01, bound=True),
        ),
        (
            "aws_lb",
            {"load_balancer_type": "network", "internal": True},
            Cost(0.02, usage=("load balancer: capacity units",)),
        ),
        (
            "aws_lb",
            {"load_balancer_type": "network", "internal": False, "subnets": ["a", "b"]},
            Cost(0.04, usage=("load balancer: capacity units",)),
        ),
        ("aws_vpc_endpoint", {"vpc_endpoint_type": "Gateway"}, Cost()),
        ("aws_ec2_capacity_reservation", {"instance_type": "p9.huge", "instance_count": 4}, Cost(40.0)),
        ("aws_kms_key", {}, Cost(unknown=("KMS key in here",))),
    ],
)
def test_resources(kind: str, values: dict[str, Any], expected: Cost) -> None:
    assert cost(kind, values) == expected


def test_what_costs_nothing_of_its_own_is_not_priced() -> None:
    assert prices.price_of("aws_subnet", {}, "here") is None


def test_without_a_price_nothing_is_zero() -> None:
    found = prices.price_of("aws_nat_gateway", {}, "mars-north-1")
    assert found is not None and found.unknown == ("NAT gateway in mars-north-1",)


TEMPLATE = {"instance_type": "p9.large", "block_device_mappings": [{"ebs": [GP3]}]}


def mixed(types: list[str], share: int, **size: int | None) -> dict[str, Any]:
    policy = {
        "instances_distribution": [{"on_demand_percentage_above_base_capacity": share}],
        "launch_template": [{"override": [{"instance_type": name} for name in types]}],
    }
    return {"mixed_instances_policy": [policy], **size}


def group(values: dict[str, Any], template: Mapping[str, Any] | None = TEMPLATE) -> prices.GroupCost:
    found = prices.group_cost(values, "here", template)
    return prices.GroupCost(rounded(found.desired), rounded(found.maximum), found.instance_types)


def test_a_group_of_one_type_is_of_its_template() -> None:
    sizes = {"min_size": 1, "desired_capacity": 2, "max_size": 5}
    assert group(sizes) == prices.GroupCost(Cost(2.02), Cost(5.05), ("p9.large",))
    assert cost("aws_autoscaling_group", sizes, TEMPLATE) == Cost(2.02)


def test_a_mixed_group_is_of_its_first_type_and_at_most_of_its_dearest() -> None:
    found = group(mixed(["p9.large", "p9.huge"], 100, min_size=0, desired_capacity=1, max_size=3))
    assert found == prices.GroupCost(Cost(1.01), Cost(30.03), ("p9.large", "p9.huge"))


def test_spot_is_at_most_its_on_demand_price() -> None:
    found = group(mixed(["p9.large"], 0, min_size=1, max_size=3))
    assert found.desired == Cost(1.01, bound=True) and found.maximum == Cost(3.03, bound=True)


def test_an_empty_group_costs_nothing_and_its_maximum_says_what_is_not_known() -> None:
    found = group(mixed(["p8.large", "p9.large"], 100, min_size=0, max_size=2))
    assert found.desired == Cost()
    assert found.maximum == Cost(2.02, unknown=("p8.large in here",))


@pytest.mark.parametrize(
    ("values", "template", "unknown"),
    [
        ({"min_size": 1}, {}, ("machines of an Auto Scaling group",)),
        (mixed(["p9.large"], 100, min_size=1), None, ("disks of Auto Scaling groups",)),
        (mixed(["p9.large"], 100), TEMPLATE, ("number of machines",)),
        (
            {"min_size": 1},
            {**TEMPLATE, "instance_market_options": [{"market_type": "capacity-block"}]},
            ("capacity block (paid in advance)",),
        ),
    ],
)
def test_what_a_group_does_not_tell_is_unknown(
    values: dict[str, Any], template: dict[str, Any] | None, unknown: tuple[str, ...]
) -> None:
    assert group(values, template).desired.unknown == unknown


def test_a_public_group_pays_for_addresses() -> None:
    public = {**TEMPLATE, "network_interfaces": [{"associate_public_ip_address": "true"}]}
    assert group({"desired_capacity": 2, "max_size": 2}, public).desired == Cost(2.04)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
BLOCKS = ["mixed_instances_policy", "launch_template", "override", "root_block_device", "ebs", "subnets"]
FIELDS = st.sampled_from(
    [*BLOCKS, "instance_type", "desired_capacity", "min_size", "max_size", "size", "type", "volume_size", "iops"]
)
KINDS = st.sampled_from(["aws_instance", "aws_autoscaling_group", "aws_ebs_volume", "aws_lb", "aws_subnet"])


@given(KINDS, st.dictionaries(FIELDS, JSON), st.none() | st.dictionaries(FIELDS, JSON))
def test_no_values_break_the_price(kind: str, values: dict[str, Any], template: dict[str, Any] | None) -> None:
    found = prices.price_of(kind, values, "here", template) or Cost()
    assert found.known >= 0 and found.known != float("inf")


COSTS = st.builds(
    Cost,
    st.integers(0, 1000).map(float),
    st.sets(st.sampled_from("ab")).map(lambda names: tuple(sorted(names))),
    st.sets(st.sampled_from("cd")).map(lambda names: tuple(sorted(names))),
    st.booleans(),
)


@given(st.lists(COSTS, max_size=5), st.randoms())
def test_a_sum_forgets_nothing_and_knows_no_order(costs: list[Cost], random: Any) -> None:
    shuffled = list(costs)
    random.shuffle(shuffled)
    found = total(costs)
    assert total(shuffled) == found
    assert set(found.unknown) == {name for one in costs for name in one.unknown}
    assert set(found.usage) == {name for one in costs for name in one.usage}
    assert found.bound == any(one.bound for one in costs)


# ---- the price list of AWS


def product(family: str, price: str, **attributes: str) -> dict[str, Any]:
    dimensions = {
        "X.Y.2": {"beginRange": "51200", "pricePerUnit": {"USD": "0.0000000001"}},
        "X.Y.1": {"beginRange": "0", "pricePerUnit": {"USD": price}},
    }
    return {
        "product": {"productFamily": family, "attributes": {"regionCode": "us-west-2", **attributes}},
        "terms": {"OnDemand": {"X.Y": {"priceDimensions": dimensions}}, "Reserved": {}},
    }


P5 = {
    "servicecode": "AmazonEC2",
    "instanceType": "p5.48xlarge",
    "operatingSystem": "Linux",
    "tenancy": "Shared",
    "preInstalledSw": "NA",
    "capacitystatus": "Used",
    "marketoption": "OnDemand",
    "usagetype": "USW2-BoxUsage:p5.48xlarge",
}


@pytest.mark.parametrize(
    ("raw", "kind", "key", "amount"),
    [
        (product("Compute Instance", "55.04", **P5), "instance", "p5.48xlarge", "55.04"),
        (product("Storage", "0.08", volumeApiName="gp3", usagetype="USW2-EBS:VolumeUsage.gp3"), "ebs", "gp3", "0.08"),
        (product("System Operation", "0.005", volumeApiName="gp3"), "ebs", "gp3-iops", "0.005"),
        (product("Provisioned Throughput", "40.96", volumeApiName="gp3"), "ebs", "gp3-throughput", "0.04"),
        (product("NAT Gateway", "0.045", usagetype="USW2-NatGateway-Hours"), "nat-gateway", "hour", "0.045"),
        (product("NAT Gateway", "0.045", usagetype="EU-NatGateway-Bytes"), "nat-gateway", "data", "0.045"),
        (
            product("Load Balancer-Network", "0.0225", usagetype="LoadBalancerUsage"),
            "load-balancer",
            "network",
            "0.0225",
        ),
        (
            product("", "0.005", group="VPCPublicIPv4Address", usagetype="USW2-PublicIPv4:InUseAddress"),
            "public-ipv4",
            "address",
            "0.005",
        ),
        (
            product("Storage", "0.3", servicecode="AmazonEFS", usagetype="USW2-TimedStorage-ByteHrs"),
            "efs",
            "standard",
            "0.3",
        ),
        (
            product("Storage", "0.023", servicecode="AmazonS3", usagetype="TimedStorage-ByteHrs"),
            "s3",
            "standard",
            "0.023",
        ),
    ],
)
def test_products_of_the_price_list(raw: dict[str, Any], kind: str, key: str, amount: str) -> None:
    for form in (raw, json.dumps(raw)):
        found = price_list.read([form], DAY).price(kind, key, "us-west-2")
        assert found is not None
        assert (found.amount, found.date, found.unit) == (Decimal(amount), DAY, thing(kind, key)[0])


@pytest.mark.parametrize(
    "raw",
    [
        product("Compute Instance", "55.04", **P5 | {"operatingSystem": "Windows"}),
        product("Compute Instance", "55.04", **P5 | {"tenancy": "Dedicated"}),
        product("Compute Instance", "55.04", **P5 | {"preInstalledSw": "SQL Std"}),
        product("Compute Instance", "55.04", **P5 | {"capacitystatus": "AllocatedCapacityReservation"}),
        product("Compute Instance", "31.46", **P5 | {"marketoption": "CapacityBlock"}),
        product("Compute Instance", "0.0000000000", **P5),
        product("Storage", "0.1", volumeApiName="gp2"),
        product("Load Balancer-Application", "0.0056", usagetype="TS-LoadBalancerUsage"),
        product("Storage", "0.025", servicecode="AmazonEFS", storageClass="Infrequent Access", usagetype="IA"),
        {"product": {"attributes": {}}, "terms": {}},
        "not json",
        "[]",
    ],
)
def test_what_is_not_priced_is_passed_over(raw: dict[str, Any] | str) -> None:
    assert price_list.read([raw], DAY) == Table({})


def test_a_refresh_asks_for_each_type_and_region_and_keeps_to_what_it_is_told() -> None:
    asked: list[tuple[str, Mapping[str, str]]] = []

    def fetch(service: str, filters: Mapping[str, str]) -> list[dict[str, Any]]:
        asked.append((service, filters))
        if filters.get("instanceType") != "p5.48xlarge":
            return []
        return [product("Compute Instance", "60", **P5 | {"regionCode": filters["regionCode"]})]

    found = price_list.refreshed(fetch, {"us-east-2": ["p5.48xlarge"], "us-west-2": ["m5.large"]}, DAY)
    assert [row[:3] for row in found] == [("instance", "us-east-2", "p5.48xlarge")]
    assert {filters["regionCode"] for _, filters in asked} == {"us-east-2", "us-west-2"}
    assert {service for service, _ in asked} == {"AmazonEC2", "AWSELB", "AmazonVPC", "AmazonEFS", "AmazonS3"}
    prices.use(found)
    fresh, old = prices.hourly("instance", "p5.48xlarge", "us-east-2"), prices.hourly("ebs", "gp3", "us-east-1")
    assert fresh is not None and (fresh.amount, fresh.date) == (Decimal(60), DAY)
    assert old is not None and old.date < DAY
    assert HOURS_PER_MONTH == 730


@given(JSON)
def test_no_product_breaks_the_reading(raw: Any) -> None:
    assert price_list.read([json.dumps(raw, allow_nan=True)], DAY) == Table({})
