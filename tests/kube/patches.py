"""The patches that a client may send: JSON (RFC 6902), merge (RFC 7386) and strategic merge."""

from __future__ import annotations

import copy
from typing import Any

from tests.kube import errors

# The lists that a strategic merge patch merges, by the key of their elements; every other list is replaced whole
# (so are a node's taints and a pod's tolerations).
_MERGED = {
    "conditions": "type",
    "addresses": "type",
    "containers": "name",
    "initContainers": "name",
    "ephemeralContainers": "name",
    "volumes": "name",
    "volumeMounts": "mountPath",
    "env": "name",
    "ports": "containerPort",
    "imagePullSecrets": "name",
    "ownerReferences": "uid",
    "topologySpreadConstraints": "topologyKey",
    "hostAliases": "ip",
    "secrets": "name",
    "podIPs": "ip",
    "hostIPs": "ip",
    "schedulingGates": "name",
    "resourceClaims": "name",
    "volumeDevices": "devicePath",
}
_MERGED_VALUES = {"finalizers", "podCIDRs"}


def merge(target: Any, patch: Any) -> Any:
    """RFC 7386."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge(result.get(key), value)
    return result


def strategic(target: Any, patch: Any) -> Any:
    """Kubernetes' own: as ``merge``, but some lists are merged, and ``$patch``, ``$retainKeys``… steer it."""
    if not isinstance(patch, dict):
        return patch
    what = patch.get("$patch")
    if what == "delete":
        return {}
    if what == "replace":
        return {key: value for key, value in patch.items() if key != "$patch"}
    result = dict(target) if isinstance(target, dict) else {}
    if "$retainKeys" in patch:
        result = {key: value for key, value in result.items() if key in patch["$retainKeys"]}
    for key, value in patch.items():
        if key.startswith("$deleteFromPrimitiveList/"):
            name = key.partition("/")[2]
            result[name] = [item for item in result.get(name) or () if item not in value]
        elif key.startswith("$"):
            continue
        elif value is None:
            result.pop(key, None)
        elif isinstance(value, list):
            result[key] = _strategic_list(key, result.get(key), value)
        else:
            result[key] = strategic(result.get(key), value)
    for key, order in patch.items():
        if key.startswith("$setElementOrder/"):
            name = key.partition("/")[2]
            if name in result:
                result[name] = _ordered(name, result[name], order)
    return result


def _strategic_list(name: str, target: Any, patch: list[Any]) -> list[Any]:
    if name in _MERGED_VALUES:
        have = list(target or ())
        return have + [value for value in patch if value not in have]
    by = _MERGED.get(name)
    if by is None or not all(isinstance(item, dict) for item in patch):
        return patch
    if any(item.get("$patch") == "replace" for item in patch):
        return [item for item in patch if item.get("$patch") != "replace"]
    result = list(target or ())
    for item in patch:
        if by not in item:
            raise errors.bad_request(f"map: {item} does not contain declared merge key: {by}")
        place = next((index for index, have in enumerate(result) if have.get(by) == item[by]), None)
        if item.get("$patch") == "delete":
            if place is not None:
                del result[place]
        elif place is None:
            result.append(strategic({}, item))
        else:
            result[place] = strategic(result[place], item)
    return result


def _ordered(name: str, values: list[Any], order: list[Any]) -> list[Any]:
    """The list in the order that the client has; what it does not know comes last."""
    by = _MERGED.get(name)
    if by is None:
        keys = list(order)
        return sorted(values, key=lambda value: keys.index(value) if value in keys else len(keys))
    keys = [item.get(by) for item in order]
    return sorted(values, key=lambda value: keys.index(value.get(by)) if value.get(by) in keys else len(keys))


def json_patch(target: Any, patch: Any) -> Any:
    """RFC 6902. A failed ``test`` or a path that is not there is 422."""
    if not isinstance(patch, list):
        raise errors.bad_request("json: cannot unmarshal object into Go value of type jsonpatch.Patch")
    doc = [copy.deepcopy(target)]
    for step in patch:
        try:
            _json_step(doc, step)
        except (KeyError, IndexError, ValueError, TypeError) as error:
            message = f"the server rejected our request due to an error in our request: {step.get('op')}: {error}"
            raise errors.ApiError(422, "Invalid", message) from None
    return doc[0]


def _json_step(doc: list[Any], step: dict[str, Any]) -> None:
    op, path = step["op"], _pointer(step["path"])
    if op == "test":
        if _at(doc, path) != step.get("value"):
            raise ValueError(f"testing value {step['path']} failed: test failed")
    elif op == "remove":
        _take(doc, path)
    elif op == "replace":
        _at(doc, path)
        _put(doc, path, step["value"], replace=True)
    elif op == "add":
        _put(doc, path, step["value"])
    elif op == "move":
        _put(doc, path, _take(doc, _pointer(step["from"])))
    elif op == "copy":
        _put(doc, path, copy.deepcopy(_at(doc, _pointer(step["from"]))))
    else:
        raise ValueError(f"unexpected kind: {op}")


def _pointer(text: str) -> list[str]:
    if text and not text.startswith("/"):
        raise ValueError(f"{text} is not a JSON pointer")
    # The document hangs in a list of one, so that the whole of it can be replaced, too.
    return ["0", *(part.replace("~1", "/").replace("~0", "~") for part in text.split("/")[1:])]


def _at(doc: Any, path: list[str]) -> Any:
    for step in path:
        doc = doc[int(step)] if isinstance(doc, list) else doc[step]
    return doc


def _take(doc: Any, path: list[str]) -> Any:
    parent = _at(doc, path[:-1])
    return parent.pop(int(path[-1])) if isinstance(parent, list) else parent.pop(path[-1])


def _put(doc: Any, path: list[str], value: Any, replace: bool = False) -> None:
    parent = _at(doc, path[:-1])
    if not isinstance(parent, list):
        parent[path[-1]] = value
    elif replace or len(path) == 1:
        parent[int(path[-1])] = value
    elif path[-1] == "-":
        parent.append(value)
    elif int(path[-1]) > len(parent):
        raise IndexError(path[-1])
    else:
        parent.insert(int(path[-1]), value)
