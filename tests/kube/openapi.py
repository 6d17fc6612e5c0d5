"""OpenAPI documents with what clients look for in them: which kinds there are and that PATCH validates fields.

Objects are described as open: what a field may hold is the server's word, when the object comes.
"""

from __future__ import annotations

from typing import Any

from tests.kube import discovery
from tests.kube.resources import RESOURCES, Resource

_QUERY = ("dryRun", "fieldManager", "fieldValidation", "force")


def _kind(resource: Resource, version: str) -> dict[str, str]:
    return {"group": resource.group, "version": version, "kind": resource.kind}


def _path(resource: Resource, version: str) -> str:
    start = f"/apis/{resource.group}/{version}" if resource.group else f"/api/{version}"
    return f"{start}/{'namespaces/{namespace}/' if resource.namespaced else ''}{resource.plural}/{{name}}"


def _name(resource: Resource, version: str) -> str:
    group = ".".join(reversed((resource.group or "core.api.k8s.io").split(".")))
    return f"{group}.{version}.{resource.kind}"


def _schema(resource: Resource, version: str) -> dict[str, Any]:
    free = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    return {
        "type": "object",
        "description": f"{resource.kind}.",
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": free,
            "spec": free,
            "status": free,
        },
        "x-kubernetes-preserve-unknown-fields": True,
        "x-kubernetes-group-version-kind": [_kind(resource, version)],
    }


def index() -> dict[str, Any]:
    """``/openapi/v3``: one document for each group and version."""
    paths = {}
    for group, versions in discovery.groups().items():
        for version in versions:
            path = f"apis/{group}/{version}" if group else f"api/{version}"
            paths[path] = {"serverRelativeURL": f"/openapi/v3/{path}?hash=0"}
    return {"paths": paths}


def document(group: str, version: str) -> dict[str, Any]:
    """``/openapi/v3/apis/<group>/<version>``."""
    served = [item for item in RESOURCES if item.group == group and version in item.versions]
    parameters = [{"name": name, "in": "query", "schema": {"type": "string"}} for name in _QUERY]
    paths = {
        _path(item, version): {
            verb: {
                "operationId": f"{verb}{item.kind}",
                "parameters": parameters,
                "responses": {"200": {"description": "OK"}},
                "x-kubernetes-action": verb,
                "x-kubernetes-group-version-kind": _kind(item, version),
            }
            for verb in ("get", "put", "patch", "delete")
        }
        for item in served
    }
    schemas = {_name(item, version): _schema(item, version) for item in served}
    info = {"title": "Kubernetes", "version": discovery.VERSION["gitVersion"]}
    return {"openapi": "3.0.0", "info": info, "paths": paths, "components": {"schemas": schemas}}


def swagger() -> dict[str, Any]:
    """``/openapi/v2``: all of it in one document."""
    parameters = [{"name": name, "in": "query", "type": "string", "uniqueItems": True} for name in _QUERY]
    paths: dict[str, Any] = {}
    definitions: dict[str, Any] = {}
    for item in RESOURCES:
        for version in item.versions:
            paths[_path(item, version)] = {
                "patch": {
                    "operationId": f"patch{item.kind}",
                    "parameters": parameters,
                    "responses": {"200": {"description": "OK"}},
                    "x-kubernetes-action": "patch",
                    "x-kubernetes-group-version-kind": _kind(item, version),
                }
            }
            definitions[_name(item, version)] = _schema(item, version)
    info = {"title": "Kubernetes", "version": discovery.VERSION["gitVersion"]}
    return {"swagger": "2.0", "info": info, "paths": paths, "definitions": definitions}
