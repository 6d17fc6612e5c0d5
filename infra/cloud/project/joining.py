"""How the machines that a plan makes become one Kubernetes cluster, in words. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from infra.cloud.project import links
from infra.spec.models import Cluster

PLANE = "module.control_plane.aws_instance."


def sentences(cluster: Cluster, created: Iterable[str]) -> list[str]:
    """What follows an apply that makes a control plane; ``created`` are the addresses that it makes. Else nothing."""
    made = any(name.startswith(PLANE) for name in created)
    if cluster.kubernetes is None or cluster.aws is None or cluster.cloud_plane is None or not made:
        return []
    home, count = cluster.aws.home, cluster.kubernetes.control_plane.count
    who = f"{count} machines make" if count > 1 else "1 machine makes"
    found = [
        f"Kubernetes {cluster.kubernetes.version}: {who} the control plane at the first start, and what others need to "
        f"join is then in SSM: /infra/{cluster.cluster}/join in {home}"
    ]
    if cluster.pools:
        found.append(f"machines of the pools ({', '.join(cluster.pools)}) join by that at their start")
    joined, foreign = links.linked(cluster), links.foreign(cluster)
    if joined:
        found.append(f"the VPCs of {', '.join(joined)} are joined by peerings, over which these reach the API and pods")
    if foreign:
        others = [region for region in links.members(cluster) if region not in foreign]
        rest = f" and with {', '.join(others)}" if others else ""
        found.append(
            f"the way to {', '.join(foreign)} is yours, because the VPCs there are (network.existing): join them with "
            f"each other{rest}, or machines there do not reach the API: docs/kubernetes-join.md, Networks"
        )
    if cluster.metal:
        found.append(f"physical machines ({', '.join(cluster.metal)}) join at the end of infra node bootstrap")
    return found
