"""The JSON Schema (draft 2020-12) of ``cluster.yaml``, for editors.

pydantic writes most of it. What is said here is what the models accept before they are typed: the short forms of
size, capacity and disk, numbers for versions, and a key with nothing after it.
"""

from __future__ import annotations

from typing import Any

from infra.spec.models import Cluster

ID = "urn:infra:cluster:1"
DIALECT = "https://json-schema.org/draft/2020-12/schema"
VERSION_PATTERN = r"^[0-9]+(\.[0-9]+){0,3}$"
_RESERVATION = {"type": "string", "pattern": "^cr-[0-9a-f]{8,17}$"}

_SHORT_SIZE = {"type": "integer", "minimum": 0, "maximum": 10_000, "description": "so many, always"}
_SHORT_CAPACITY = {"enum": ["on-demand", "spot"]}
_CAPACITY = {
    "reservation": {**_RESERVATION, "description": "of a capacity reservation"},
    "block": {**_RESERVATION, "description": "of a capacity block"},
    "spot": {"const": True, "description": "with on_demand_base"},
}
_DISK = [
    {"type": "integer", "minimum": 1, "maximum": 64_000},
    {"type": "string", "pattern": r"^\s*[0-9]{1,7}\s*([GgTt]([Ii]?[Bb])?)?\s*$"},
]


def schema() -> dict[str, Any]:
    """The schema as JSON data, with a description on everything that a key does not say by itself."""
    raw = Cluster.model_json_schema()
    found: dict[str, Any] = _plain(raw)
    parts = found["$defs"]
    parts["Capacity"]["properties"] |= _CAPACITY
    parts["Capacity"] = _short(parts["Capacity"], _SHORT_CAPACITY)
    parts["Size"] = _short(parts["Size"], _SHORT_SIZE)
    for name in ("Efs", "Profile"):
        parts[name]["type"] = ["object", "null"]
    account = parts["Aws"]["properties"]["account"]
    account["anyOf"] = [{"type": ["string", "integer"], "pattern": "^[0-9]{12}$"}, {"type": "null"}]
    return {"$schema": DIALECT, "$id": ID, "title": "cluster.yaml", **found}


def _short(full: dict[str, Any], short: dict[str, Any]) -> dict[str, Any]:
    description = full.pop("description", "")
    return {"description": description, "anyOf": [short, full]}


def _plain(node: Any) -> Any:
    """A schema without pydantic's titles and empty defaults; what may be left out may be null."""
    if isinstance(node, list):
        return [_plain(item) for item in node]
    if not isinstance(node, dict):
        return node
    made = {key: _plain(item) for key, item in node.items() if not (key == "title" and isinstance(item, str))}
    if made.get("default", 0) in (None, {}, []) or isinstance(made.get("default"), dict):
        del made["default"]
    if "patternProperties" in made:
        made["additionalProperties"] = False
    if made.get("anyOf") == [{"type": "string"}, {"type": "number"}]:
        made["anyOf"] = [{"type": "string", "pattern": VERSION_PATTERN}, {"type": "number", "minimum": 0}]
    if {"ge", "le"} <= made.keys():
        made = {key: item for key, item in made.items() if key not in ("ge", "le")} | {"anyOf": _DISK}
    required = made.get("required", [])
    for key, item in made.get("properties", {}).items():
        if key not in required:
            made["properties"][key] = _or_nothing(item)
    return made


def _or_nothing(node: dict[str, Any]) -> dict[str, Any]:
    """The same, or null: a key with nothing after it is as if it were not there."""
    nothing = {"type": "null"}
    if "$ref" in node:
        return {"anyOf": [{"$ref": node["$ref"]}, nothing], **{k: v for k, v in node.items() if k != "$ref"}}
    if "anyOf" in node:
        return node if nothing in node["anyOf"] else {**node, "anyOf": [*node["anyOf"], nothing]}
    if "enum" in node:
        kind = {key: node[key] for key in ("enum", "type") if key in node}
        return {"anyOf": [kind, nothing], **{k: v for k, v in node.items() if k not in kind}}
    if isinstance(node.get("type"), str):
        return {**node, "type": [node["type"], "null"]}
    return node
