"""The autoscaler in the cluster: ``infra autoscale run`` on the control plane, and what it may do there."""

from __future__ import annotations

from infra.files import digest
from infra.kube.manifests import images
from infra.kube.manifests.health import CONFINED, UNPRIVILEGED
from infra.kube.manifests.objects import (
    ON_CONTROL_PLANE,
    SYSTEM,
    Raw,
    account,
    deployment,
    from_field,
    mount,
    needs,
    role,
    rule,
    settings,
    thing,
)
from infra.spec.models import Cluster

NAME = "infra-autoscaler"
METRICS_PORT = 8085
FOLDER = "/etc/infra"


def wanted(cluster: Cluster) -> bool:
    """There are pools whose size follows the work."""
    return any(cluster.autoscaled(pool) for pool in cluster.pools)


def objects(cluster: Cluster, text: str) -> list[Raw]:
    """``text``: the cluster.yaml that the autoscaler reads. Nothing when no pool is its own."""
    if not wanted(cluster):
        return []
    assert cluster.kubernetes is not None
    machines = cluster.kubernetes.control_plane.size
    data = {"cluster.yaml": text}
    marks = {
        "infra/settings": digest(data),
        "prometheus.io/scrape": "true",
        "prometheus.io/port": str(METRICS_PORT),
    }
    found = [
        account(NAME),
        *role(NAME, _everywhere()),
        *role(NAME, _own(), within=SYSTEM),
        settings(f"{NAME}-cluster", data),
        deployment(NAME, _pod(cluster), replicas=2 if machines > 1 else 1, marks=marks),
    ]
    if machines > 1:
        found.append(_budget(NAME, {"app": NAME}))
    return found


def dns_budget() -> Raw:
    """Scale-in drains nodes: never both pods of the cluster's DNS at a time. kubeadm makes them without a budget."""
    return _budget("coredns", {"k8s-app": "kube-dns"})


def _budget(name: str, labels: dict[str, str]) -> Raw:
    spec = {"maxUnavailable": 1, "selector": {"matchLabels": labels}}
    return thing("PodDisruptionBudget", "policy/v1", name, SYSTEM, spec=spec)


def _everywhere() -> list[Raw]:
    """It looks at pods and nodes, tells the scheduler where waiting pods are expected (a pod's status), moves pods
    through the Eviction API alone, and deletes the nodes of machines that it returned. It can neither read a secret nor
    start or delete a pod."""
    gangs = ["scheduling.k8s.io", "scheduling.x-k8s.io", "scheduling.volcano.sh"]
    return [
        rule([""], ["pods"], ["list"]),
        rule([""], ["pods/status"], ["patch"]),
        rule([""], ["nodes"], ["get", "list", "patch", "delete"]),
        rule([""], ["pods/eviction"], ["create"]),
        rule(["apps"], ["daemonsets"], ["list"]),
        rule(gangs, ["podgroups", "workloads"], ["list"]),
    ]


def _own() -> list[Raw]:
    """The lease of whoever leads, and what must outlive a restart. A rule on names cannot cover ``create``."""
    return [
        rule(["coordination.k8s.io"], ["leases"], ["create"]),
        rule(["coordination.k8s.io"], ["leases"], ["get", "update"], [NAME]),
        rule([""], ["configmaps"], ["create"]),
        rule([""], ["configmaps"], ["get", "update"], [NAME]),
    ]


def _pod(cluster: Cluster) -> Raw:
    patience = {"initialDelaySeconds": 60, "periodSeconds": 30, "timeoutSeconds": 5, "failureThreshold": 4}
    container = {
        "name": NAME,
        "image": images.ours(cluster),
        "args": ["autoscale", "run", "--file", f"{FOLDER}/cluster.yaml", "--metrics", str(METRICS_PORT)],
        "livenessProbe": {"httpGet": {"path": "/healthz", "port": "metrics"}, **patience},
        "env": [
            {"name": "HOME", "value": "/tmp"},
            from_field("POD_NAME", "metadata.name"),
            # Where notices go; a secret of the lab's own, if there is one.
            {
                "name": "INFRA_WEBHOOK",
                "valueFrom": {"secretKeyRef": {"name": NAME, "key": "webhook", "optional": True}},
            },
        ],
        "ports": [{"name": "metrics", "containerPort": METRICS_PORT, "protocol": "TCP"}],
        "resources": needs("100m", "300Mi", "1Gi"),
        "securityContext": CONFINED,
        "volumeMounts": [mount("cluster", FOLDER, readOnly=True), mount("home", "/tmp")],
    }
    spread = {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": {"app": NAME}},
    }
    return {
        # There, its credentials are the machine's role: no key of AWS is in the cluster. That role is given to the
        # machine's own network alone, since it may read the administrators' kubeconfig.
        **ON_CONTROL_PLANE,
        "hostNetwork": True,
        "dnsPolicy": "ClusterFirstWithHostNet",
        "serviceAccountName": NAME,
        "priorityClassName": "system-cluster-critical",
        "securityContext": UNPRIVILEGED,
        "topologySpreadConstraints": [spread],
        "containers": [container],
        "volumes": [
            {"name": "cluster", "configMap": {"name": f"{NAME}-cluster"}},
            {"name": "home", "emptyDir": {}},
        ],
    }
