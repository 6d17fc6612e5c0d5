"""The storage of a root: EFS file systems and S3 buckets, each a module call. NFS is nobody's but the lab's."""

from __future__ import annotations

from typing import Any

from infra.cloud.project.terms import Ref, identifier
from infra.spec.models import Cluster, Efs, S3Bucket, Storage


def region_storage(cluster: Cluster, region: str) -> dict[str, Storage]:
    return {name: item for name, item in sorted(cluster.storage.items()) if region in cluster.storage_regions(item)}


def storage_calls(cluster: Cluster, region: str) -> dict[str, Any]:
    calls = {}
    for name, item in region_storage(cluster, region).items():
        body: dict[str, Any] = {}
        if item.efs:
            body = _efs(name, item.efs)
        elif item.s3:
            body = _bucket(item.s3, bucket_name(cluster, item, region))
        address = f"module.storage_{identifier(name)}"
        calls[f"storage_{identifier(name)}"] = {"cluster": cluster.cluster, "address": address, **body}
    return calls


def bucket_names(cluster: Cluster) -> list[str]:
    """Every bucket of the cluster, whatever its region: machines of all regions may use it."""
    return sorted(
        bucket_name(cluster, item, region)
        for item in cluster.storage.values()
        if item.s3
        for region in cluster.storage_regions(item)
    )


def bucket_name(cluster: Cluster, item: Storage, region: str) -> str:
    """The name in the file for the storage's first region; names are global, so further regions add theirs."""
    name = item.s3.bucket if item.s3 else ""
    return name if region == cluster.storage_regions(item)[0] else f"{name}-{region}"


def _efs(name: str, efs: Efs) -> dict[str, Any]:
    return {
        "source": "./modules/efs",
        "name": name,
        "throughput": efs.throughput,
        "backup": efs.backup,
        "vpc_id": Ref("module.network.vpc_id"),
        "subnets": Ref("module.network.private_subnets"),
        "nodes": Ref("module.security.nodes"),
    }


def _bucket(s3: S3Bucket, name: str) -> dict[str, Any]:
    return {
        "source": "./modules/bucket",
        "bucket": name,
        "versioned": s3.versioned,
        "expire_days": s3.expire_days,
    }
