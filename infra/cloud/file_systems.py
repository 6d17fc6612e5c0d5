"""The EFS file systems of a cluster, by their tags."""

from __future__ import annotations

from infra.cloud.aws import Session, translated
from infra.cloud.project.terms import identifier
from infra.spec.models import Cluster


def ids(session: Session, cluster: Cluster) -> dict[tuple[str, str], str]:
    """(storage, region) -> the id of its file system, of those that are there."""
    wanted = {
        (f"module.storage_{identifier(name)}.aws_efs_file_system.this", region): (name, region)
        for name, item in cluster.storage.items()
        if item.efs
        for region in cluster.storage_regions(item)
    }
    found = {}
    for region in sorted({region for _, region in wanted}):
        with translated("elasticfilesystem:DescribeFileSystems", region, session.profile):
            pages = session.client("efs", region).get_paginator("describe_file_systems").paginate()
            for item in [item for page in pages for item in page["FileSystems"]]:
                tags = {tag["Key"]: tag["Value"] for tag in item.get("Tags", ())}
                key = wanted.get((tags.get("infra:address", ""), region))
                if key is not None and tags.get("infra:cluster") == cluster.cluster:
                    found[key] = str(item["FileSystemId"])
    return found
