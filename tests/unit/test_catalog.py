"""The excerpt on instance types says what EC2 says, and fresher answers can be laid over it."""

from __future__ import annotations

import gzip
import json
from importlib import metadata, resources
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.spec import catalog
from infra.spec.catalog import Gpu, InstanceType, NetworkCard


def known(name: str) -> InstanceType:
    kind = catalog.instance(name)
    assert kind is not None
    return kind


@pytest.mark.parametrize(
    ("name", "gpus"),
    [
        ("p5.48xlarge", (Gpu("H100", 8, 81920, "NVIDIA"),)),
        ("p5.4xlarge", (Gpu("H100", 1, 81920, "NVIDIA"),)),
        ("p4d.24xlarge", (Gpu("A100", 8, 40960, "NVIDIA"),)),
        ("g4dn.xlarge", (Gpu("T4", 1, 16384, "NVIDIA"),)),
        ("p3.16xlarge", (Gpu("V100", 8, 16384, "NVIDIA"),)),
        ("p2.xlarge", (Gpu("K80", 1, 12288, "NVIDIA"),)),
        ("g6f.large", (Gpu("L4", 1, 2861, "NVIDIA", share=0.125),)),
        ("m5.large", ()),
    ],
)
def test_gpus(name: str, gpus: tuple[Gpu, ...]) -> None:
    assert known(name).gpus == gpus


def test_a_training_machine_has_all_its_network_cards() -> None:
    p5 = known("p5.48xlarge")
    assert p5.max_efa_interfaces == 32
    assert p5.network_cards == tuple(NetworkCard(index, 2, True, True) for index in range(32))
    assert (p5.vcpus, p5.memory_mib, p5.local_nvme_gb) == (192, 2097152, 30400)
    assert p5.usage_classes == ("capacity-block", "on-demand", "spot")
    assert p5.placement == ("cluster", "partition", "spread")


def test_a_card_that_takes_no_efa_is_told_from_those_that_do() -> None:
    cards = known("p6-b300.48xlarge").network_cards
    assert [card.efa for card in cards] == [False] + [True] * 16


def test_small_and_odd_types() -> None:
    t3, metal = known("t3.micro"), known("m5.metal")
    assert t3.burstable and not t3.efa and t3.placement == ("partition", "spread") and t3.local_nvme_gb == 0
    assert metal.bare_metal and metal.hypervisor == "" and t3.hypervisor == "nitro"
    assert known("m6g.large").architectures == ("arm64",)
    assert known("d2.xlarge").local_nvme_gb == 0  # its local disks are not NVMe
    assert known("g4dn.xlarge").gpu_count == 1 and known("g4dn.xlarge").family == "g4dn"


def test_retired_types_are_known_but_not_called_offered() -> None:
    p3 = known("p3.16xlarge")
    assert not p3.listed
    assert p3.last_listed < catalog.shipped().date
    assert catalog.offered("p3.16xlarge", "us-west-2") is None
    assert catalog.offered("p3.16xlarge", "sa-east-1") is False


def test_offerings() -> None:
    assert catalog.offered("p5.48xlarge", "us-east-2") is True
    assert catalog.offered("p5.48xlarge", "eu-west-3") is False
    assert catalog.offered("p5.48xlarge", "mars-north-1") is None
    assert catalog.offered("p9.huge", "us-east-2") is None
    assert catalog.zones("us-west-2") == ("us-west-2a", "us-west-2b", "us-west-2c", "us-west-2d")
    assert catalog.zones("mars-north-1") == ()
    assert set(catalog.shipped().zones_offering("p4d.24xlarge", "us-west-2") or ()) <= set(catalog.zones("us-west-2"))


def test_every_name_and_region_answers() -> None:
    assert list(catalog.names()) == sorted(set(catalog.names()))
    assert {"us-east-1", "us-east-2", "us-west-2", "eu-west-1"} <= set(catalog.regions())
    for name in catalog.names():
        kind = known(name)
        assert kind.name == name and kind.vcpus > 0 and kind.memory_mib > 0 and kind.architectures
        assert sum(card.efa for card in kind.network_cards) >= kind.max_efa_interfaces
    listed = [name for name in catalog.names() if known(name).listed]
    for name in listed:
        assert any(catalog.offered(name, region) for region in catalog.regions()), name


def test_nothing_is_known_of_unknown_types() -> None:
    assert catalog.instance("p9.huge") is None
    assert catalog.instance("") is None


def test_source_and_date_are_carried() -> None:
    assert catalog.shipped().source.startswith("moto ")
    assert len(catalog.shipped().date) == len("2026-10-27")


def test_the_shipped_file_is_small_and_without_a_timestamp() -> None:
    raw = resources.files("infra.data").joinpath("instances.json.gz").read_bytes()
    assert len(raw) < 400_000
    assert raw[4:8] == b"\0\0\0\0"


def test_the_excerpt_loses_nothing_of_its_source() -> None:
    moto = pytest.importorskip("moto")
    if f"moto {metadata.version('moto')}" != catalog.shipped().source:
        pytest.skip("another moto than the excerpt's is installed")
    path = Path(moto.__file__).parent / "ec2/resources/instance_types.json.gz"
    for raw in json.loads(gzip.decompress(path.read_bytes())).values():
        assert catalog.instance(raw["InstanceType"]) == catalog.from_api(raw, catalog.shipped().date)


def test_an_answer_without_interface_types_counts_efa_cards() -> None:
    card: dict[str, Any] = {"MaximumNetworkInterfaces": 4}
    raw = {
        "InstanceType": "x1.old",
        "VCpuInfo": {"DefaultVCpus": 2},
        "MemoryInfo": {"SizeInMiB": 1024},
        "ProcessorInfo": {"SupportedArchitectures": ["x86_64"]},
        "NetworkInfo": {
            "EfaSupported": True,
            "EfaInfo": {"MaximumEfaInterfaces": 1},
            "MaximumNetworkInterfaces": 8,
            "NetworkCards": [{**card, "NetworkCardIndex": 1}, {**card, "NetworkCardIndex": 0}],
        },
    }
    raw["NetworkInfo"]["NetworkCards"].reverse()  # type: ignore[index]
    kind = catalog.from_api(raw)
    assert kind.network_cards == (NetworkCard(0, 4, True, False), NetworkCard(1, 4, False, False))
    assert kind.efa


def test_a_fresh_answer_that_offers_a_retired_type_is_believed() -> None:
    offers = {"us-west-2": {"us-west-2a": ["p3.16xlarge"]}}
    laid = catalog.shipped().overlay([], offers, source="DescribeInstanceTypeOfferings", date="2027-01-01")
    assert laid.offered("p3.16xlarge", "us-west-2") is True
    assert laid.offered("p3.16xlarge", "us-east-1") is None


NAMES = st.sampled_from([*catalog.names()[::50], "p5.48xlarge", "new.large", "p3.8xlarge"])
REGIONS = st.sampled_from(["us-west-2", "mars-1"])


@given(
    st.dictionaries(REGIONS, st.dictionaries(st.text("abc", max_size=2), st.sets(NAMES))),
    st.sets(NAMES),
    NAMES,
    st.sampled_from(["us-west-2", "mars-1", "eu-west-1"]),
)
def test_overlay_rules_where_it_speaks_and_nowhere_else(
    offers: dict[str, dict[str, set[str]]], fresh: set[str], name: str, region: str
) -> None:
    base = catalog.shipped()
    types = [InstanceType(one, vcpus=1, memory_mib=1) for one in sorted(fresh)]
    laid = base.overlay(types, offers, source="DescribeInstanceTypes", date="2027-01-01")
    assert laid.date == "2027-01-01"
    assert laid.instance(name) == (next((one for one in types if one.name == name), None) or base.instance(name))
    assert (name in laid.names()) == (laid.instance(name) is not None)
    if region not in offers:
        assert laid.zones(region) == base.zones(region)
        assert laid.zones_offering(name, region) == base.zones_offering(name, region) or name not in base.names()
    else:
        assert laid.zones(region) == tuple(sorted(offers[region]))
        if laid.instance(name) is not None:
            having = {zone for zone, names in offers[region].items() if name in names}
            assert set(laid.zones_offering(name, region) or ()) == having
    assert base is catalog.shipped() and base.instance("new.large") is None
