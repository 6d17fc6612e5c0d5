"""``--refresh-prices``: today's list prices from the AWS Pricing API, kept in the cache and used from then on."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from infra import files
from infra.cloud import aws_facts
from infra.cloud.pricing import price_list, price_table, prices
from infra.cloud.site import Site
from infra.errors import Refused
from infra.local import places
from infra.spec.models import Cluster


def kept() -> Path:
    """The file of fetched prices; it may be removed at any time."""
    return places.prices()


def refresh(site: Site) -> None:
    """Ask AWS for every price this cluster needs, keep the answers and use them. Raises CloudError or Refused."""
    if site.line.endpoint is not None:
        raise Refused(
            "prices cannot be asked for here",
            where=site.line.endpoint,
            why="only AWS itself has a price list",
            fix="leave out --refresh-prices, or run it on a cluster without an endpoint",
        )
    today = datetime.now(UTC).date().isoformat()
    fresh = price_list.refreshed(partial(aws_facts.price_list, site.session), wanted(site.cluster), today)
    files.write_json(kept(), fresh.over(_read()).data())
    use_kept()


def use_kept() -> None:
    """Put what was fetched before over the shipped table. A damaged file is as good as none."""
    if kept().is_file():
        prices.use(_read())


def wanted(cluster: Cluster) -> dict[str, set[str]]:
    """The instance types that the cluster names, per region."""
    found: dict[str, set[str]] = {region: set() for region in (cluster.aws.regions if cluster.aws else ())}

    def add(regions: Iterable[str], types: Iterable[str]) -> None:
        for region in regions:
            found.setdefault(region, set()).update(types)

    for pool in cluster.pools.values():
        add(cluster.pool_regions(pool), pool.instance_types)
    for host in cluster.hosts.values():
        add(cluster.host_region(host), [host.instance_type])
    if cluster.aws and (plane := cluster.cloud_plane):
        add([cluster.aws.home], [plane.instance_type])
    return found


def _read() -> price_table.Table:
    try:
        return price_table.parse(json.loads(kept().read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError):
        return price_table.Table({})
