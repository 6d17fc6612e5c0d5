"""What a client asks first: which groups, versions and resources there are. Aggregated and one by one."""

from __future__ import annotations

from typing import Any

from tests.kube.resources import RESOURCES, VERBS, Resource

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
VERSION = {
    "major": "1",
    "minor": "37",
    "gitVersion": "v1.37.0",
    "gitCommit": "0" * 40,
    "gitTreeState": "clean",
    "buildDate": "2026-08-26T00:00:00Z",
    "goVersion": "go1.26",
    "compiler": "gc",
    "platform": "linux/amd64",
}
# The kinds of subresources that are not those of their parents.
_SUB_KINDS = {
    "binding": ("", "v1", "Binding", ("create",)),
    "eviction": ("policy", "v1", "Eviction", ("create",)),
    "scale": ("autoscaling", "v1", "Scale", ("get", "patch", "update")),
    "status": ("", "", "", ("get", "patch", "update")),
    "finalize": ("", "", "", ("update",)),
}


def groups() -> dict[str, list[str]]:
    """The groups with their versions, the preferred one first."""
    found: dict[str, list[str]] = {}
    for resource in RESOURCES:
        versions = found.setdefault(resource.group, [])
        versions += [version for version in resource.versions if version not in versions]
    return found


def _served(group: str, version: str) -> list[Resource]:
    return [item for item in RESOURCES if item.group == group and version in item.versions]


def _group(name: str, versions: list[str]) -> dict[str, Any]:
    named = [{"groupVersion": f"{name}/{version}", "version": version} for version in versions]
    return {"name": name, "versions": named, "preferredVersion": named[0]}


def api_versions(address: str) -> dict[str, Any]:
    return {
        "kind": "APIVersions",
        "versions": ["v1"],
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}],
    }


def group_list() -> dict[str, Any]:
    named = [_group(name, versions) for name, versions in groups().items() if name]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": named}


def one_group(name: str) -> dict[str, Any] | None:
    versions = groups().get(name)
    return {"kind": "APIGroup", "apiVersion": "v1", **_group(name, versions)} if versions and name else None


def resource_list(group: str, version: str) -> dict[str, Any] | None:
    served = _served(group, version)
    if not served:
        return None
    lines: list[dict[str, Any]] = []
    for item in served:
        one: dict[str, Any] = {
            "name": item.plural,
            "singularName": item.singular,
            "namespaced": item.namespaced,
            "kind": item.kind,
            "verbs": list(VERBS),
        }
        if item.short:
            one["shortNames"] = list(item.short)
        if item.categories:
            one["categories"] = list(item.categories)
        lines.append(one)
        for name in item.subresources:
            sub_group, sub_version, kind, verbs = _SUB_KINDS[name]
            lines.append(
                {
                    "name": f"{item.plural}/{name}",
                    "singularName": "",
                    "namespaced": item.namespaced,
                    "kind": kind or item.kind,
                    "verbs": list(verbs),
                    **({"group": sub_group, "version": sub_version} if sub_group else {}),
                }
            )
    named = f"{group}/{version}" if group else version
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": named, "resources": lines}


def aggregated(core: bool) -> dict[str, Any]:
    """All of it in one answer: of ``/api`` (core) or of ``/apis``."""
    items = [
        {
            "metadata": {"name": name, "creationTimestamp": None} if name else {"creationTimestamp": None},
            "versions": [
                {
                    "version": version,
                    "freshness": "Current",
                    "resources": [_aggregated_one(item, version) for item in _served(name, version)],
                }
                for version in versions
            ],
        }
        for name, versions in groups().items()
        if (not name) is core
    ]
    return {"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items}


def _aggregated_one(item: Resource, version: str) -> dict[str, Any]:
    subs = []
    for name in item.subresources:
        group, sub_version, kind, verbs = _SUB_KINDS[name]
        if not kind:
            group, sub_version, kind = item.group, version, item.kind
        subs.append(
            {
                "subresource": name,
                "responseKind": {"group": group, "version": sub_version, "kind": kind},
                "verbs": list(verbs),
            }
        )
    return {
        "resource": item.plural,
        "responseKind": {"group": item.group, "version": version, "kind": item.kind},
        "scope": "Namespaced" if item.namespaced else "Cluster",
        "singularResource": item.singular,
        "verbs": list(VERBS),
        **({"shortNames": list(item.short)} if item.short else {}),
        **({"categories": list(item.categories)} if item.categories else {}),
        **({"subresources": subs} if subs else {}),
    }
