"""Kubernetes objects as tests write them."""

from __future__ import annotations

from typing import Any

Object = dict[str, Any]


def node(name: str, ready: bool = True, **labels: str) -> Object:
    has = {"cpu": "4", "memory": "16Gi", "pods": "110"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels},
        "status": {
            "capacity": has,
            "allocatable": has,
            "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
            "addresses": [{"type": "InternalIP", "address": "10.0.0.7"}],
            "nodeInfo": {"kubeletVersion": "v1.37.0", "osImage": "Debian 12"},
        },
    }


def pod(name: str, cpu: str = "100m", app: str = "web", seconds: float | None = None, **spec: Any) -> Object:
    """``seconds``: how long it runs before it succeeds."""
    notes = {} if seconds is None else {"test/seconds": str(seconds)}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": app}, "annotations": notes},
        "spec": {
            "containers": [{"name": "main", "image": "busybox", "resources": {"requests": {"cpu": cpu}}}],
            "terminationGracePeriodSeconds": 1,
            **spec,
        },
    }


def replica_set(name: str, replicas: int) -> Object:
    template = pod("", app=name)
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": template["spec"]},
        },
    }


def budget(name: str, **spec: Any) -> Object:
    """``minAvailable`` or ``maxUnavailable`` of the pods with the label ``app=<name>``."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": name},
        "spec": {"selector": {"matchLabels": {"app": name}}, **spec},
    }
