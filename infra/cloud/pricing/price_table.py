"""List prices, each with its date and source: the small table that ships, or one that was fetched.

A kind and a key name a price: ``instance`` p5.48xlarge, ``nat-gateway`` hour, ``ebs`` gp3… (see THINGS). What is not
in the table has no known price: never 0, never a guess.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from importlib import resources
from typing import Any

from infra.errors import AssetError

HOURS_PER_MONTH = 730

THINGS = {
    ("instance", ""): ("hour", ""),
    ("nat-gateway", "hour"): ("hour", "NAT gateway"),
    ("nat-gateway", "data"): ("GB", "NAT gateway: data"),
    ("public-ipv4", "address"): ("hour", "public IPv4 address"),
    ("load-balancer", "application"): ("hour", "application load balancer"),
    ("load-balancer", "network"): ("hour", "network load balancer"),
    ("ebs", "gp3"): ("GB-month", "EBS gp3"),
    ("ebs", "gp3-iops"): ("IOPS-month", "EBS gp3 IOPS"),
    ("ebs", "gp3-throughput"): ("MiBps-month", "EBS gp3 throughput"),
    ("efs", "standard"): ("GB-month", "EFS storage"),
    ("efs", "elastic-read"): ("GB", "EFS elastic throughput: read"),
    ("efs", "elastic-write"): ("GB", "EFS elastic throughput: written"),
    ("s3", "standard"): ("GB-month", "S3 storage"),
}
"""Every (kind, key) a table may hold: what one is paid for, and its name. Instances have their type's name as key."""


def thing(kind: str, key: str) -> tuple[str, str]:
    """The unit and the name. Raises KeyError for an unknown kind or key."""
    unit, name = THINGS[kind, "" if kind == "instance" else key]
    return unit, name or key


@dataclass(frozen=True, slots=True)
class Source:
    """Where prices were read, and the day for which they held (ISO)."""

    url: str
    date: str
    about: str = ""


@dataclass(frozen=True, slots=True)
class Price:
    """USD for one ``unit`` (see THINGS), valid on ``source.date``."""

    amount: Decimal
    unit: str
    source: Source

    @property
    def date(self) -> str:
        return self.source.date

    def hourly(self, count: float = 1) -> float:
        """USD an hour for ``count`` units, kept up all the time; a month has 730 hours.

        Raises ValueError for what is paid by use ("GB").
        """
        if self.unit == "GB":
            raise ValueError("what is paid by use costs nothing by the hour")
        return float(self.amount) * count / (1 if self.unit == "hour" else HOURS_PER_MONTH)


@dataclass(frozen=True)
class Table:
    """Prices by kind, region and key."""

    prices: Mapping[tuple[str, str, str], Price]

    def price(self, kind: str, key: str, region: str) -> Price | None:
        return self.prices.get((kind, region, key))

    @property
    def date(self) -> str:
        """The day of the prices, or the oldest and the newest: "2024-07-01 to 2026-07-20"; empty without prices."""
        days = sorted({price.date for price in self.prices.values()})
        return " to ".join(dict.fromkeys((days[0], days[-1]))) if days else ""

    def __iter__(self) -> Iterator[tuple[str, str, str, Price]]:
        """(kind, region, key, price), sorted."""
        for (kind, region, key), price in sorted(self.prices.items()):
            yield kind, region, key, price

    def over(self, older: Table) -> Table:
        """This table, with the other's prices where this one has none."""
        return Table({**older.prices, **self.prices})

    def data(self) -> dict[str, Any]:
        """The JSON form that :func:`parse` reads; amounts are texts, so that no digit is lost."""
        names: dict[Source, str] = {}
        prices: dict[str, Any] = {}
        for kind, region, key, price in self:
            name = names.setdefault(price.source, str(len(names)))
            by_source = prices.setdefault(kind, {}).setdefault(region, {})
            by_source.setdefault(name, {})[key] = str(price.amount)
        sources = {name: {"url": one.url, "date": one.date, "about": one.about} for one, name in names.items()}
        return {"currency": "USD", "sources": sources, "prices": prices}


def parse(data: Mapping[str, Any]) -> Table:
    """A table from its JSON form: prices -> kind -> region -> source -> key -> amount.

    Raises KeyError, TypeError or ValueError when it is not of that form, has a price that is not above 0, or is not
    in USD.
    """
    if data["currency"] != "USD":
        raise ValueError(f"prices in {data['currency']}, not in USD")
    sources = {name: Source(one["url"], one["date"], one.get("about", "")) for name, one in data["sources"].items()}
    prices = {}
    for kind, by_region in data["prices"].items():
        for region, by_source in by_region.items():
            for name, entries in by_source.items():
                for key, raw in entries.items():
                    prices[kind, region, key] = Price(amount(raw), thing(kind, key)[0], sources[name])
    return Table(prices)


def amount(raw: object) -> Decimal:
    """A price as a number above 0. Raises ValueError for anything else."""
    try:
        value = Decimal(str(raw))
    except InvalidOperation as error:
        raise ValueError(f"not a price: {raw!r}") from error
    if not value.is_finite() or value <= 0:
        raise ValueError(f"not a price: {raw!r}")
    return value


@lru_cache(maxsize=1)
def shipped() -> Table:
    """The table that ships with us. Raises AssetError when it is missing or damaged."""
    try:
        raw = resources.files("infra.data").joinpath("prices.json").read_text(encoding="utf-8")
        return parse(json.loads(raw, parse_float=Decimal))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise AssetError(
            "the table of prices that ships with infra cannot be read",
            where="infra/data/prices.json",
            why=str(error),
            fix="reinstall: pip install --force-reinstall infra",
        ) from error
