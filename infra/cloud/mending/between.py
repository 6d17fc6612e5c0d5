"""What is in AWS between the regions of one cluster: peerings with its tag, and the routes of its tables."""

from __future__ import annotations

from collections.abc import Iterable

from infra.cloud.aws import Session
from infra.cloud.mending.adopt import CLUSTER, Found
from infra.cloud.mending.find import GONE, Inventory, Search, routes, tags_of
from infra.errors import AccessDenied


def inventory(session: Session, regions: Iterable[str], cluster: str) -> Inventory:
    """All of it. What we may not look at is a gap; other refusals are raised."""
    found: list[Found] = []
    gaps: list[str] = []
    for region in regions:
        try:
            found += _region(Search(session, region, cluster))
        except AccessDenied as error:
            gaps.append(f"not looked at: {error}")
    return Inventory(tuple(found), tuple(gaps))


def _region(search: Search) -> Iterable[Found]:
    """A peering is listed by the side that asked for it; the other one is a part of it."""
    mine = [{"Name": f"tag:{CLUSTER}", "Values": [search.cluster]}]
    for item in search.pages("ec2", "describe_vpc_peering_connections", "VpcPeeringConnections", Filters=mine):
        asked = item["RequesterVpcInfo"].get("Region") == search.region
        if asked and item["Status"]["Code"] not in GONE:
            yield Found("aws_vpc_peering_connection", item["VpcPeeringConnectionId"], tags_of(item.get("Tags")))
    for table in search.pages("ec2", "describe_route_tables", "RouteTables", Filters=mine):
        yield from routes(table)
