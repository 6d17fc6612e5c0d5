"""--refresh-prices: what is asked, what is kept, what is used."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from infra.cloud import aws_facts
from infra.cloud.pricing import fresh as fresh_prices
from infra.cloud.pricing import prices
from infra.errors import Refused
from infra.spec.load import load
from tests.conftest import LABS


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    yield
    prices.use(None)


def site(endpoint: str | None = None) -> Any:
    cluster = load(LABS / "research-lab.yaml").cluster
    return SimpleNamespace(cluster=cluster, line=SimpleNamespace(endpoint=endpoint), session=None)


def test_every_region_and_type_of_the_file_is_wanted() -> None:
    found = fresh_prices.wanted(site().cluster)
    assert set(found) == {"us-west-2", "us-east-1", "eu-west-1"}
    assert found["eu-west-1"] == {"c5.9xlarge", "c5.18xlarge", "m5.12xlarge"}
    assert {"p3.8xlarge", "g4dn.xlarge", "m5.large"} <= found["us-west-2"]


def product(region: str, name: str, amount: str) -> dict[str, Any]:
    """One product as the Pricing API gives it."""
    term = {"priceDimensions": {"d": {"unit": "Hrs", "pricePerUnit": {"USD": amount}}}}
    return {
        "product": {
            "productFamily": "Compute Instance",
            "attributes": {
                "regionCode": region,
                "instanceType": name,
                "operatingSystem": "Linux",
                "tenancy": "Shared",
                "preInstalledSw": "NA",
                "capacitystatus": "Used",
                "licenseModel": "No License required",
                "marketoption": "OnDemand",
                "usagetype": f"USW2-BoxUsage:{name}",
                "locationType": "AWS Region",
            },
        },
        "serviceCode": "AmazonEC2",
        "terms": {"OnDemand": {"t": term}},
    }


def test_fetched_prices_are_kept_and_used_and_dated_today(monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(_session: Any, service: str, filters: Mapping[str, str]) -> Iterator[dict[str, Any]]:
        if service == "AmazonEC2" and filters.get("instanceType", "m5.large") == "m5.large":
            yield product(filters["regionCode"], "m5.large", "0.5")

    monkeypatch.setattr(aws_facts, "price_list", answer)
    fresh_prices.refresh(site())
    price = prices.hourly("instance", "m5.large", "us-west-2")
    assert price is not None
    assert (float(price.amount), price.date[:2]) == (0.5, "20")
    prices.use(None)
    fresh_prices.use_kept()
    assert prices.hourly("instance", "m5.large", "us-west-2") == price


def test_a_damaged_cache_is_as_good_as_none() -> None:
    fresh_prices.kept().parent.mkdir(parents=True, exist_ok=True)
    fresh_prices.kept().write_text("{")
    fresh_prices.use_kept()
    assert prices.hourly("instance", "p5.48xlarge", "us-west-2") is not None


def test_the_embedded_aws_has_no_prices() -> None:
    with pytest.raises(Refused, match="cannot be asked for here"):
        fresh_prices.refresh(site("http://127.0.0.1:1"))
