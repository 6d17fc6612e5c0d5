"""Small words that the manifests are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from infra.spec.models import Cluster

Raw = dict[str, Any]

SYSTEM = "kube-system"
CONTROL_PLANE = "node-role.kubernetes.io/control-plane"
GPU = "nvidia.com/gpu"
GPU_PRESENT = "nvidia.com/gpu.present"
"""The label of a node with NVIDIA GPUs, as NVIDIA's own operator writes it; here a machine gives it to itself when it
joins."""
MANAGED = {"app.kubernetes.io/managed-by": "infra"}
EVERYWHERE = [{"operator": "Exists"}]
LINUX = {"kubernetes.io/os": "linux"}
ON_CONTROL_PLANE: Raw = {
    "nodeSelector": {CONTROL_PLANE: ""},
    "tolerations": [{"key": CONTROL_PLANE, "operator": "Exists", "effect": "NoSchedule"}],
}


def thing(kind: str, version: str, name: str, namespace: str = "", **body: Any) -> Raw:
    """An object with our label."""
    meta: Raw = {"name": name, "labels": dict(MANAGED)}
    if namespace:
        meta["namespace"] = namespace
    return {"apiVersion": version, "kind": kind, "metadata": meta, **body}


def settings(name: str, data: Mapping[str, str], namespace: str = SYSTEM) -> Raw:
    return thing("ConfigMap", "v1", name, namespace, data=dict(data))


def daemon_set(name: str, pod: Raw, namespace: str = SYSTEM, marks: Mapping[str, str] | None = None) -> Raw:
    """One pod on each node that ``pod`` (its spec) fits; a tenth of them is replaced at a time."""
    template = {"metadata": _pod_meta(name, marks), "spec": pod}
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "10%"}}
    spec = {"selector": {"matchLabels": {"app": name}}, "updateStrategy": strategy, "template": template}
    return thing("DaemonSet", "apps/v1", name, namespace, spec=spec)


def deployment(name: str, pod: Raw, replicas: int = 1, marks: Mapping[str, str] | None = None) -> Raw:
    spec: Raw = {
        "replicas": replicas,
        "selector": {"matchLabels": {"app": name}},
        "template": {"metadata": _pod_meta(name, marks), "spec": pod},
    }
    if pod.get("hostNetwork"):
        # Two of them cannot have the same port of one machine, so the old one goes first.
        spec["strategy"] = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}}
    return thing("Deployment", "apps/v1", name, SYSTEM, spec=spec)


def _pod_meta(name: str, marks: Mapping[str, str] | None) -> Raw:
    """``marks`` are annotations: digests of what the pod reads when it starts, so that a change starts it anew."""
    return {"labels": {"app": name, **MANAGED}, **({"annotations": dict(marks)} if marks else {})}


def rule(groups: Sequence[str], resources: Sequence[str], verbs: Sequence[str], names: Sequence[str] = ()) -> Raw:
    found: Raw = {"apiGroups": list(groups), "resources": list(resources), "verbs": list(verbs)}
    return {**found, "resourceNames": list(names)} if names else found


def account(name: str, namespace: str = SYSTEM) -> Raw:
    return thing("ServiceAccount", "v1", name, namespace)


def role(name: str, rules: Sequence[Raw], who: str = "", namespace: str = SYSTEM, *, within: str = "") -> list[Raw]:
    """A role, and the account that has it; ``within``: in one namespace alone."""
    kind = "Role" if within else "ClusterRole"
    api = "rbac.authorization.k8s.io/v1"
    return [thing(kind, api, name, within, rules=list(rules)), grant(name, kind, who or name, namespace, within)]


def grant(name: str, kind: str, who: str, namespace: str = SYSTEM, within: str = "", *, to: str = "") -> Raw:
    """Give an account a role that is there; the binding is called ``to``, or as the role."""
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name}
    subject = {"kind": "ServiceAccount", "name": who, "namespace": namespace}
    binding = f"{kind}Binding"
    api = "rbac.authorization.k8s.io/v1"
    return thing(binding, api, to or name, within, roleRef=reference, subjects=[subject])


def host(name: str, path: str, kind: str = "") -> Raw:
    """A volume: a folder of the machine."""
    return {"name": name, "hostPath": {"path": path, **({"type": kind} if kind else {})}}


def mount(name: str, path: str, **more: Any) -> Raw:
    return {"name": name, "mountPath": path, **more}


def needs(cpu: str, memory: str, limit: str = "") -> Raw:
    """What a container asks for; memory has a limit, CPU none: a limit there only makes it slow."""
    return {"requests": {"cpu": cpu, "memory": memory}, "limits": {"memory": limit or memory}}


def from_field(name: str, path: str) -> Raw:
    return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}


def has_gpus(cluster: Cluster) -> bool:
    """Whether any profile of a machine that joins has an NVIDIA driver."""
    profiles = [*(pool.profile for pool in cluster.pools.values()), *(item.profile for item in cluster.metal.values())]
    known = [cluster.profiles.get(name) for name in profiles]
    return any(profile is not None and profile.nvidia is not None for profile in known)
