"""What an account says of itself: instance types, where they are offered, quotas, what is used, list prices.

Everything is read with few, paged calls. Errors are those of :func:`infra.cloud.aws.translated`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from infra.cloud.aws import Session, skew, translated
from infra.spec import catalog
from infra.spec.catalog import Catalog, InstanceType
from infra.spec.facts import QUOTA_CODES, Facts, quota_key
from infra.spec.models import Cluster

PRICING_REGION = "us-east-1"  # the price list is served from there for every region
CHUNK = 100
ADDRESSES = "L-0263D0A3"
VPCS = "L-F678F1CE"
OTHER_CODES: Mapping[str, tuple[str, str]] = {"addresses": ("ec2", ADDRESSES), "vpcs": ("vpc", VPCS)}


@dataclass(frozen=True, slots=True)
class RegionState:
    """``enabled`` for this account; ``skew`` is AWS's clock minus ours in seconds, None when not said."""

    name: str
    enabled: bool
    skew: float | None = None


@dataclass(frozen=True, slots=True)
class Room:
    """A quota that is a count of things: how many there may be, and how many there are."""

    allowed: int
    used: int


def regions(session: Session) -> dict[str, RegionState]:
    """Every region that AWS knows, and whether the account has it enabled."""
    with translated("ec2:DescribeRegions", profile=session.profile):
        said = session.client("ec2").describe_regions(AllRegions=True)
    moment = skew(said)
    return {
        item["RegionName"]: RegionState(item["RegionName"], item.get("OptInStatus") != "not-opted-in", moment)
        for item in said["Regions"]
    }


def zones(session: Session, region: str) -> list[str]:
    """The region's availability zones that the account may use; local zones are not among them."""
    with translated("ec2:DescribeAvailabilityZones", region, session.profile):
        only = [{"Name": "state", "Values": ["available"]}, {"Name": "zone-type", "Values": ["availability-zone"]}]
        said = session.client("ec2", region).describe_availability_zones(Filters=only)
    return sorted(item["ZoneName"] for item in said["AvailabilityZones"])


def instance_types(session: Session, region: str, names: Iterable[str]) -> list[InstanceType]:
    """DescribeInstanceTypes of those names; unknown ones are left out."""
    wanted = sorted(set(names))
    date = _today()
    found: list[InstanceType] = []
    with translated("ec2:DescribeInstanceTypes", region, session.profile):
        pages = session.client("ec2", region).get_paginator("describe_instance_types")
        for start in range(0, len(wanted), CHUNK):
            only = [{"Name": "instance-type", "Values": wanted[start : start + CHUNK]}]
            for page in pages.paginate(Filters=only):
                found += [catalog.from_api(item, date) for item in page["InstanceTypes"]]
    return found


def offerings(session: Session, region: str) -> dict[str, list[str]]:
    """Zone -> the types it offers, for all zones of the region."""
    found: dict[str, list[str]] = {}
    with translated("ec2:DescribeInstanceTypeOfferings", region, session.profile):
        pages = session.client("ec2", region).get_paginator("describe_instance_type_offerings")
        for page in pages.paginate(LocationType="availability-zone"):
            for item in page["InstanceTypeOfferings"]:
                found.setdefault(item["Location"], []).append(item["InstanceType"])
    return found


def live_catalog(session: Session, cluster: Cluster, regions_asked: Sequence[str] = ()) -> Catalog:
    """The shipped catalog, with what the account's own regions say of the cluster's types laid over it."""
    wanted = types_wanted(cluster)
    types: list[InstanceType] = []
    offers: dict[str, dict[str, list[str]]] = {}
    for region in regions_asked or list(wanted):
        types += instance_types(session, region, wanted.get(region, set()))
        offers[region] = offerings(session, region)
    return overlay(types, offers)


def overlay(types: Iterable[InstanceType], offers: Mapping[str, Mapping[str, Iterable[str]]]) -> Catalog:
    """The shipped catalog with these types, and with all that these regions offer, laid over it."""
    return catalog.shipped().overlay(types, offers, source="DescribeInstanceTypes", date=_today())


def types_wanted(cluster: Cluster) -> dict[str, set[str]]:
    """Region -> the instance types that the cluster names there."""
    found: dict[str, set[str]] = {region: set() for region in (cluster.aws.regions if cluster.aws else [])}
    for pool in cluster.pools.values():
        for region in cluster.pool_regions(pool):
            found.setdefault(region, set()).update(pool.instance_types)
    for host in cluster.hosts.values():
        for region in cluster.host_region(host):
            found.setdefault(region, set()).add(host.instance_type)
    if cluster.aws and (plane := cluster.cloud_plane):
        found[cluster.aws.home].add(plane.instance_type)
    return found


def quotas(session: Session, region: str, service: str = "ec2") -> dict[str, int]:
    """Quota code -> value in force. A quota that was never raised has AWS's default."""
    values: dict[str, int] = {}
    with translated("servicequotas:ListServiceQuotas", region, session.profile):
        client = session.client("service-quotas", region)
        # Defaults first: the second list holds only what was set for this account.
        for operation in ("list_aws_default_service_quotas", "list_service_quotas"):
            for page in client.get_paginator(operation).paginate(ServiceCode=service):
                values.update({item["QuotaCode"]: int(item["Value"]) for item in page["Quotas"] if "Value" in item})
    return values


def vcpu_quotas(session: Session, region: str) -> dict[str, int]:
    """Key of :data:`infra.spec.facts.QUOTA_CODES` -> vCPUs allowed; keys that AWS does not list are left out."""
    values = quotas(session, region)
    return {key: values[code] for key, code in QUOTA_CODES.items() if code in values}


def vcpus_used(session: Session, region: str, cluster: str, known: Catalog | None = None) -> dict[str, int]:
    """Quota key -> vCPUs of running machines that are not this cluster's."""
    types = known or catalog.shipped()
    used: dict[str, int] = {}
    with translated("ec2:DescribeInstances", region, session.profile):
        pages = session.client("ec2", region).get_paginator("describe_instances")
        only = [{"Name": "instance-state-name", "Values": ["pending", "running"]}]
        for page in pages.paginate(Filters=only):
            for item in (instance for group in page["Reservations"] for instance in group["Instances"]):
                kind = types.instance(item["InstanceType"])
                if kind is None or _tags(item).get("infra:cluster") == cluster:
                    continue
                key = quota_key(kind, "spot" if item.get("InstanceLifecycle") == "spot" else "on-demand")
                used[key] = used.get(key, 0) + kind.vcpus
    return used


def rooms(session: Session, region: str) -> dict[str, Room]:
    """``addresses`` and ``vpcs``: how many the region may have and has. Unknown quotas are left out."""
    with translated("ec2:DescribeVpcs", region, session.profile):
        client = session.client("ec2", region)
        used = {
            "vpcs": sum(len(page["Vpcs"]) for page in client.get_paginator("describe_vpcs").paginate()),
            "addresses": len(client.describe_addresses()["Addresses"]),
        }
    found: dict[str, Room] = {}
    for name, (service, code) in OTHER_CODES.items():
        allowed = quotas(session, region, service).get(code)
        if allowed is not None:
            found[name] = Room(allowed, used[name])
    return found


def key_pairs(session: Session, region: str, cluster: str) -> frozenset[str]:
    """Names of SSH key pairs in the region that are not this cluster's."""
    with translated("ec2:DescribeKeyPairs", region, session.profile):
        said = session.client("ec2", region).describe_key_pairs()["KeyPairs"]
    return frozenset(item["KeyName"] for item in said if _tags(item).get("infra:cluster") != cluster)


def facts(session: Session, cluster: Cluster, regions_asked: Sequence[str] = ()) -> Facts:
    """Everything the rules can use. Raises what the first refused call says; see doctor for one line a check."""
    wanted = regions_asked or (cluster.aws.regions if cluster.aws else [])
    live = live_catalog(session, cluster, wanted)
    name = cluster.cluster
    return Facts(
        catalog=live,
        quotas={region: vcpu_quotas(session, region) for region in wanted},
        used={region: vcpus_used(session, region, name, live) for region in wanted},
        key_pairs={region: key_pairs(session, region, name) for region in wanted},
    )


def price_list(
    session: Session, service: str, filters: Mapping[str, str], most: int = 20_000
) -> Iterator[dict[str, Any]]:
    """The price list's products, decoded, at most ``most``: ``{product, terms, publicationDate, …}``.

    ``filters`` are exact, such as ``{"regionCode": "us-west-2", "operatingSystem": "Linux"}``.
    """
    asked = [{"Type": "TERM_MATCH", "Field": field, "Value": value} for field, value in filters.items()]
    with translated("pricing:GetProducts", PRICING_REGION, session.profile):
        pages = session.client("pricing", PRICING_REGION).get_paginator("get_products")
        count = 0
        for page in pages.paginate(ServiceCode=service, Filters=asked, FormatVersion="aws_v1"):
            for text in page["PriceList"]:
                yield json.loads(text) if isinstance(text, str) else text
                count += 1
                if count >= most:
                    return


def spot_prices(session: Session, region: str, names: Iterable[str]) -> dict[str, float]:
    """Instance type -> the cheapest zone's spot price now, USD an hour, Linux."""
    found: dict[str, float] = {}
    with translated("ec2:DescribeSpotPriceHistory", region, session.profile):
        pages = session.client("ec2", region).get_paginator("describe_spot_price_history")
        now = datetime.now(UTC)
        asked = {"InstanceTypes": sorted(set(names)), "ProductDescriptions": ["Linux/UNIX"], "StartTime": now}
        for page in pages.paginate(**asked, EndTime=now):
            for item in page["SpotPriceHistory"]:
                price = float(item["SpotPrice"])
                found[item["InstanceType"]] = min(price, found.get(item["InstanceType"], price))
    return found


def _tags(item: Mapping[str, Any]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in item.get("Tags", ())}


def _today() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%d")
