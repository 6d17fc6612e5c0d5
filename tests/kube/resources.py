"""The resources that the API serves, and how they are named."""

from __future__ import annotations

from dataclasses import dataclass

VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


@dataclass(frozen=True, eq=False)
class Resource:
    """One kind of object. ``versions``: the preferred one first; they differ in name alone.

    ``custom``: as from a CustomResourceDefinition: no strategic merge patch, no defaults, any field.
    """

    plural: str
    kind: str
    group: str = ""
    versions: tuple[str, ...] = ("v1",)
    namespaced: bool = True
    short: tuple[str, ...] = ()
    subresources: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    custom: bool = False

    @property
    def version(self) -> str:
        return self.versions[0]

    @property
    def singular(self) -> str:
        return self.kind.lower()

    @property
    def named(self) -> str:
        """``pods``, ``leases.coordination.k8s.io``: as in messages."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def has_status(self) -> bool:
        return "status" in self.subresources

    def api_version(self, version: str = "") -> str:
        version = version or self.version
        return f"{self.group}/{version}" if self.group else version


_STATUS = ("status",)
_SCALED = ("status", "scale")
_ALL = ("all",)

PODS = Resource("pods", "Pod", short=("po",), subresources=("binding", "eviction", "status"), categories=_ALL)
NODES = Resource("nodes", "Node", namespaced=False, short=("no",), subresources=_STATUS)
NAMESPACES = Resource("namespaces", "Namespace", namespaced=False, short=("ns",), subresources=("finalize", "status"))
EVENTS = Resource("events", "Event", short=("ev",))
LEASES = Resource("leases", "Lease", "coordination.k8s.io")
BUDGETS = Resource("poddisruptionbudgets", "PodDisruptionBudget", "policy", short=("pdb",), subresources=_STATUS)
DAEMONSETS = Resource("daemonsets", "DaemonSet", "apps", short=("ds",), subresources=_STATUS, categories=_ALL)
DEPLOYMENTS = Resource("deployments", "Deployment", "apps", short=("deploy",), subresources=_SCALED, categories=_ALL)
REPLICASETS = Resource("replicasets", "ReplicaSet", "apps", short=("rs",), subresources=_SCALED, categories=_ALL)
JOBS = Resource("jobs", "Job", "batch", subresources=_STATUS, categories=_ALL)
PRIORITIES = Resource("priorityclasses", "PriorityClass", "scheduling.k8s.io", namespaced=False, short=("pc",))
ROLES = "rbac.authorization.k8s.io"
STORAGE = Resource("storageclasses", "StorageClass", "storage.k8s.io", namespaced=False, short=("sc",))

_KUEUE = ("kueue.x-k8s.io", ("v1beta2", "v1beta1"))
RESOURCES = (
    Resource("configmaps", "ConfigMap", short=("cm",)),
    EVENTS,
    NAMESPACES,
    NODES,
    PODS,
    Resource("secrets", "Secret"),
    Resource("serviceaccounts", "ServiceAccount", short=("sa",)),
    DAEMONSETS,
    DEPLOYMENTS,
    REPLICASETS,
    JOBS,
    LEASES,
    BUDGETS,
    PRIORITIES,
    Resource("podgroups", "PodGroup", "scheduling.k8s.io", ("v1beta1", "v1alpha3"), subresources=_STATUS),
    Resource("workloads", "Workload", "scheduling.k8s.io", ("v1beta1", "v1alpha3")),
    STORAGE,
    Resource("csidrivers", "CSIDriver", "storage.k8s.io", namespaced=False),
    Resource("runtimeclasses", "RuntimeClass", "node.k8s.io", namespaced=False),
    Resource("clusterroles", "ClusterRole", ROLES, namespaced=False),
    Resource("clusterrolebindings", "ClusterRoleBinding", ROLES, namespaced=False),
    Resource("roles", "Role", ROLES),
    Resource("rolebindings", "RoleBinding", ROLES),
    Resource("clusterqueues", "ClusterQueue", *_KUEUE, namespaced=False, subresources=_STATUS, custom=True),
    Resource("localqueues", "LocalQueue", *_KUEUE, subresources=_STATUS, custom=True),
    Resource("workloads", "Workload", *_KUEUE, short=("wl",), subresources=_STATUS, custom=True),
    Resource(
        "podgroups",
        "PodGroup",
        "scheduling.volcano.sh",
        ("v1beta1",),
        short=("pg",),
        subresources=_STATUS,
        custom=True,
    ),
    Resource("queues", "Queue", "scheduling.volcano.sh", ("v1beta1",), False, ("q",), _STATUS, custom=True),
    Resource("jobs", "Job", "batch.volcano.sh", ("v1alpha1",), short=("vcjob",), subresources=_STATUS, custom=True),
)

_BY_PATH = {(item.group, version, item.plural): item for item in RESOURCES for version in item.versions}
_BY_KIND = {(item.api_version(version), item.kind): item for item in RESOURCES for version in item.versions}


def at_path(group: str, version: str, plural: str) -> Resource | None:
    return _BY_PATH.get((group, version, plural))


def of_kind(api_version: str, kind: str) -> Resource | None:
    return _BY_KIND.get((api_version, kind))
