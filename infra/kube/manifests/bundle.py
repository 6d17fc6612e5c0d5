"""Everything that is put into a cluster, in the order in which it is applied, and as YAML that does not change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from infra.errors import SpecError
from infra.kube.manifests import autoscaler, flannel, gpus, health, storage
from infra.kube.manifests.objects import Raw
from infra.spec.models import Cluster

FIRST = ("Namespace", "RuntimeClass", "StorageClass", "CSIDriver", "ServiceAccount", "ClusterRole", "Role")
LAST = ("Deployment", "DaemonSet")
PATHS = {
    "Namespace": ("api/v1", "namespaces"),
    "ServiceAccount": ("api/v1", "serviceaccounts"),
    "ConfigMap": ("api/v1", "configmaps"),
    "ClusterRole": ("apis/rbac.authorization.k8s.io/v1", "clusterroles"),
    "ClusterRoleBinding": ("apis/rbac.authorization.k8s.io/v1", "clusterrolebindings"),
    "Role": ("apis/rbac.authorization.k8s.io/v1", "roles"),
    "RoleBinding": ("apis/rbac.authorization.k8s.io/v1", "rolebindings"),
    "DaemonSet": ("apis/apps/v1", "daemonsets"),
    "Deployment": ("apis/apps/v1", "deployments"),
    "PodDisruptionBudget": ("apis/policy/v1", "poddisruptionbudgets"),
    "RuntimeClass": ("apis/node.k8s.io/v1", "runtimeclasses"),
    "StorageClass": ("apis/storage.k8s.io/v1", "storageclasses"),
    "CSIDriver": ("apis/storage.k8s.io/v1", "csidrivers"),
}


def objects(cluster: Cluster, efs: storage.FileSystems | None = None) -> list[Raw]:
    """All objects; ``efs``: the ids of EFS file systems that are there. Raises SpecError without ``kubernetes:``."""
    if cluster.kubernetes is None:
        raise SpecError(
            f"cluster {cluster.cluster!r} has no Kubernetes",
            why="there is no kubernetes: section",
            fix='add one: kubernetes: {version: "1.36"}',
        )
    found = [
        *flannel.objects(cluster),
        *gpus.objects(cluster),
        *storage.objects(cluster, efs or {}),
        *health.objects(cluster),
        autoscaler.dns_budget(),
        *autoscaler.objects(cluster, reduced(cluster)),
    ]
    return sorted(found, key=_order)


def text(found: list[Raw]) -> str:
    """As YAML documents; equal objects give equal text."""
    import yaml

    return "".join(f"---\n{yaml.dump(item, Dumper=_dumper(), sort_keys=True, width=120)}" for item in found)


def path(item: Mapping[str, Any]) -> str:
    """Where the object is in the API: ``/apis/apps/v1/namespaces/kube-system/daemonsets/csi-nfs-node``."""
    group, plural = PATHS[item["kind"]]
    namespace = item["metadata"].get("namespace")
    return "/".join(["", group, *(["namespaces", namespace] if namespace else []), plural, item["metadata"]["name"]])


def title(item: Mapping[str, Any]) -> str:
    """``DaemonSet kube-system/csi-nfs-node``."""
    meta = item["metadata"]
    return f"{item['kind']} {'/'.join(filter(None, [meta.get('namespace'), meta['name']]))}"


def reduced(cluster: Cluster) -> str:
    """The cluster as the autoscaler needs it: without people, and without a profile of somebody's ~/.aws."""
    import yaml

    data = cluster.model_dump(mode="json", exclude_defaults=True, exclude_none=True)
    data.pop("access", None)
    data.get("aws", {}).pop("profile", None)
    data["version"] = 1
    return yaml.dump(data, Dumper=_dumper(), sort_keys=True, width=120)


def _order(item: Raw) -> tuple[int, str]:
    kind = item["kind"]
    place = FIRST.index(kind) if kind in FIRST else len(FIRST) + (LAST.index(kind) + 1 if kind in LAST else 0)
    return place, title(item)


def _dumper() -> Any:
    """Texts of several lines as blocks, which a person can read; no anchors."""
    import yaml

    class Plain(yaml.SafeDumper):
        def ignore_aliases(self, data: Any) -> bool:
            return True

    def words(dumper: Any, value: str) -> Any:
        style = "|" if "\n" in value else None
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)

    Plain.add_representer(str, words)
    return Plain
