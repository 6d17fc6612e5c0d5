"""Fresh prices from the AWS Pricing API: what to ask for, and how to read the answer.

The call itself belongs to the AWS driver: it passes a function that takes a service code and filters and yields the
products of GetProducts' ``PriceList``, as JSON texts or already decoded.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from infra.cloud.pricing.price_table import Price, Source, Table, amount, thing

URL = "https://api.pricing.us-east-1.amazonaws.com"
Product = str | Mapping[str, Any]
Fetch = Callable[[str, Mapping[str, str]], Iterable[Product]]
"""fetch(service code, {field: value}) -> products; every filter is a TERM_MATCH."""


@dataclass(frozen=True, slots=True)
class Query:
    """One GetProducts call."""

    service: str
    filters: Mapping[str, str]


def queries(region: str, instance_types: Iterable[str]) -> Iterator[Query]:
    """What to ask for so that everything we price in a region has its price: a few hundred products in all."""

    def ask(service: str, **filters: str) -> Query:
        return Query(service, {"regionCode": region, **filters})

    for name in sorted(set(instance_types)):
        yield ask(
            "AmazonEC2",
            instanceType=name,
            operatingSystem="Linux",
            tenancy="Shared",
            preInstalledSw="NA",
            capacitystatus="Used",
        )
    yield ask("AmazonEC2", volumeApiName="gp3")
    yield ask("AmazonEC2", productFamily="NAT Gateway")
    yield ask("AWSELB", productFamily="Load Balancer-Network")
    yield ask("AWSELB", productFamily="Load Balancer-Application")
    yield ask("AmazonVPC", group="VPCPublicIPv4Address")
    yield ask("AmazonEFS", productFamily="Storage")
    yield ask("AmazonS3", productFamily="Storage", volumeType="Standard")


def refreshed(fetch: Fetch, wanted: Mapping[str, Iterable[str]], today: str) -> Table:
    """Prices of the instance types wanted per region, and of all else we price there, as of ``today`` (ISO).

    What the API does not tell is not in the table. Whatever ``fetch`` raises passes through.
    """
    products = (
        product
        for region, types in sorted(wanted.items())
        for query in queries(region, types)
        for product in fetch(query.service, query.filters)
    )
    return read(products, today)


def read(products: Iterable[Product], today: str) -> Table:
    """A table from products of the price list. Those that we do not price, or cannot read, are passed over."""
    source = Source(URL, today, "AWS Pricing API")
    prices: dict[tuple[str, str, str], Price] = {}
    for product in products:
        found = _product(product)
        if found is not None:
            kind, key, region, value = found
            prices[kind, region, key] = Price(value, thing(kind, key)[0], source)
    return Table(prices)


_PRODUCTS = {
    ("NAT Gateway", "NatGateway-Hours"): ("nat-gateway", "hour"),
    ("NAT Gateway", "NatGateway-Bytes"): ("nat-gateway", "data"),
    ("Load Balancer-Network", "LoadBalancerUsage"): ("load-balancer", "network"),
    ("Load Balancer-Application", "LoadBalancerUsage"): ("load-balancer", "application"),
    ("AmazonEFS", "TimedStorage-ByteHrs"): ("efs", "standard"),
    ("AmazonS3", "TimedStorage-ByteHrs"): ("s3", "standard"),
    ("VPCPublicIPv4Address", "PublicIPv4:InUseAddress"): ("public-ipv4", "address"),
}
"""(product family, service or group; usage type without its region) -> our kind and key."""

_GP3 = {
    "Storage": ("ebs", "gp3"),
    "System Operation": ("ebs", "gp3-iops"),
    "Provisioned Throughput": ("ebs", "gp3-throughput"),
}
# Not any letters: "TS-LoadBalancerUsage" is a trust store, not a load balancer in a region TS.
_REGION_PREFIX = re.compile(r"^(?:US|EU|AP|CA|SA|AF|ME|MX|IL|UG|CN)[A-Z]*\d*-")


def _product(product: Product) -> tuple[str, str, str, Decimal] | None:
    try:
        raw = json.loads(product) if isinstance(product, str) else product
        of: Mapping[str, str] = raw["product"]["attributes"]
        named = _name(raw["product"].get("productFamily", ""), of)
        if named is None:
            return None
        value = _on_demand(raw["terms"]["OnDemand"])
        if named == ("ebs", "gp3-throughput"):
            value /= 1024  # the list has it per GiB/s
        return *named, of["regionCode"], value
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _name(family: str, of: Mapping[str, str]) -> tuple[str, str] | None:
    """The kind and key under which we keep a product's price; None for products we do not price."""
    if family.startswith("Compute Instance"):
        return ("instance", of["instanceType"]) if _plain(of) else None
    if of.get("volumeApiName") == "gp3":
        return _GP3.get(family)
    if of.get("storageClass", "General Purpose") != "General Purpose":
        return None
    usage = _REGION_PREFIX.sub("", of.get("usagetype", ""))
    names = (family, of.get("servicecode", ""), of.get("group", ""))
    return next((_PRODUCTS[name, usage] for name in names if (name, usage) in _PRODUCTS), None)


def _plain(of: Mapping[str, str]) -> bool:
    """Linux on shared hardware, on demand, running: the list has dozens of variants of each type."""
    plain = {"operatingSystem": "Linux", "tenancy": "Shared", "preInstalledSw": "NA", "capacitystatus": "Used"}
    on_demand = of.get("marketoption", "OnDemand") == "OnDemand" and "BoxUsage" in of.get("usagetype", "")
    return on_demand and all(of.get(name) == value for name, value in plain.items())


def _on_demand(terms: Mapping[str, Any]) -> Decimal:
    """The price of the first tier, in USD. Raises KeyError or ValueError when there is none above 0."""
    (term,) = terms.values()
    first = min(term["priceDimensions"].values(), key=lambda one: Decimal(one.get("beginRange") or 0))
    return amount(first["pricePerUnit"]["USD"])
