"""Server-side apply: who set which field (``managedFields``), conflicts, and what goes when nobody wants it."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

from tests.kube import errors
from tests.kube.listing import Target
from tests.kube.store import Object, now

Path = tuple[str, ...]
# Lists whose elements have owners of their own, by their keys; every other list is owned whole.
_KEYS: dict[str, tuple[str, ...]] = {
    "conditions": ("type",),
    "addresses": ("type",),
    "containers": ("name",),
    "initContainers": ("name",),
    "volumes": ("name",),
    "volumeMounts": ("mountPath",),
    "env": ("name",),
    "ports": ("containerPort", "protocol"),
    "imagePullSecrets": ("name",),
    "ownerReferences": ("uid",),
}
_DEFAULTS = {"protocol": "TCP"}
_OWNED_METADATA = ("annotations", "finalizers", "labels", "ownerReferences")


def _leaves(obj: Object) -> dict[Path, Any]:
    """Every field that somebody may own, with its value."""
    meta = {name: value for name, value in (obj.get("metadata") or {}).items() if name in _OWNED_METADATA}
    rest = {name: value for name, value in obj.items() if name not in ("metadata", "kind", "apiVersion")}
    return dict(_walk((), {**rest, **({"metadata": meta} if meta else {})}))


def _walk(path: Path, value: Any) -> Iterator[tuple[Path, Any]]:
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from _walk((*path, f"f:{name}"), inner)
    elif path and path[-1] == "f:finalizers" and isinstance(value, list):
        for item in value:
            yield (*path, f"v:{json.dumps(item)}"), item
    elif isinstance(value, list) and value and (keys := _keys_of(path, value)):
        for item in value:
            step = (*path, _step(keys, item))
            yield (*step, "."), True
            yield from _walk(step, item)
    else:
        yield path, value


def _keys_of(path: Path, value: list[Any]) -> tuple[str, ...]:
    keys = _KEYS.get(path[-1].removeprefix("f:"), ()) if path else ()
    fits = all(isinstance(item, dict) and all(key in item or key in _DEFAULTS for key in keys) for item in value)
    return keys if fits else ()


def _step(keys: tuple[str, ...], item: Object) -> str:
    return "k:" + json.dumps({key: item.get(key, _DEFAULTS.get(key)) for key in keys}, separators=(",", ":"))


def _nested(paths: set[Path]) -> Object:
    """Paths as a ``fieldsV1``."""
    tree: Object = {}
    for path in sorted(paths):
        place = tree
        for step in path:
            place = place.setdefault(step, {})
    return tree


def _paths(tree: Object, path: Path = ()) -> Iterator[Path]:
    for step, inner in tree.items():
        if inner:
            yield from _paths(inner, (*path, step))
        else:
            yield (*path, step)


def _fields(entry: Object) -> set[Path]:
    return set(_paths(entry.get("fieldsV1") or {}))


def _entry(manager: str, operation: str, target: Target, paths: set[Path]) -> Object:
    return {
        "manager": manager,
        "operation": operation,
        "apiVersion": target.resource.api_version(target.version),
        "time": now(),
        "fieldsType": "FieldsV1",
        "fieldsV1": _nested(paths),
        **({"subresource": target.sub} if target.sub else {}),
    }


def _same(one: Object, other: Object) -> bool:
    return all(one.get(name) == other.get(name) for name in ("manager", "operation", "subresource"))


def created(manager: str, target: Target, obj: Object) -> list[Object]:
    """The owners of a new object: the one who made it."""
    return [_entry(manager, "Update", target, set(_leaves({**obj, "status": {}})) - {("f:status",)})]


def entry(manager: str, target: Target, wanted: Object) -> Object:
    """What an apply of ``wanted`` owns."""
    return _entry(manager, "Apply", target, set(_leaves(wanted)))


def updated(manager: str, target: Target, before: Object, after: Object) -> list[Object]:
    """The owners after a plain change: what it changed is its own from now on."""
    owners: list[Object] = before["metadata"].get("managedFields") or []
    was, has = _leaves(before), _leaves(after)
    touched = {path for path, value in has.items() if path not in was or was[path] != value}
    gone = set(was) - set(has)
    if not touched and not gone:
        return owners
    mine = _entry(manager, "Update", target, touched)
    result = []
    for one in owners:
        paths = _fields(one) - gone
        if _same(one, mine):
            mine = _entry(manager, "Update", target, paths | touched)
        elif paths - touched:
            result.append({**one, "fieldsV1": _nested(paths - touched)})
    return [*result, mine] if mine["fieldsV1"] else result


def applied(obj: Object, wanted: Object, owned: Object, force: bool) -> tuple[Object, list[Object]]:
    """The object after an apply, and its owners. 409, with every conflict, when others own what it changes."""
    owners: list[Object] = obj["metadata"].get("managedFields") or []
    mine = next((one for one in owners if _same(one, owned)), None)
    others = [one for one in owners if one is not mine]
    have, want = _leaves(obj), _leaves(wanted)
    differ = {path for path, value in want.items() if path in have and have[path] != value}
    causes = [
        {
            "reason": "FieldManagerConflict",
            "message": f'conflict with "{one["manager"]}" using {one["apiVersion"]}',
            "field": _told(path),
        }
        for one in others
        for path in sorted(_fields(one) & differ)
    ]
    if causes and not force:
        raise errors.apply_conflict(causes)
    kept = []
    for one in others:
        paths = _fields(one) - differ
        if paths:
            kept.append({**one, "fieldsV1": _nested(paths)})
    after = _merged((), obj, wanted)
    theirs = set().union(*(_fields(one) for one in kept)) if kept else set()
    for path in (_fields(mine) - set(want) - theirs) if mine else ():
        _drop(after, path)
    if mine and after == obj and mine["fieldsV1"] == owned["fieldsV1"]:
        return obj, owners
    return after, [*kept, owned]


def _told(path: Path) -> str:
    words = []
    for step in path:
        kind, _, rest = step.partition(":")
        if kind == "k":
            pairs = ",".join(f"{key}={json.dumps(value)}" for key, value in json.loads(rest).items())
            words.append(f"[{pairs}]")
        elif rest:
            words.append(f".{rest}")
    return "".join(words)


def _merged(path: Path, have: Any, want: Any) -> Any:
    if isinstance(want, dict) and isinstance(have, dict):
        result = dict(have)
        for name, value in want.items():
            result[name] = _merged((*path, f"f:{name}"), have.get(name), value)
        return result
    if isinstance(want, list) and isinstance(have, list) and path:
        if path[-1] == "f:finalizers":
            return have + [item for item in want if item not in have]
        keys = _keys_of(path, want)
        if keys and _keys_of(path, have):
            result_of = {_step(keys, item): item for item in have}
            for item in want:
                step = _step(keys, item)
                result_of[step] = _merged((*path, step), result_of.get(step), item)
            return list(result_of.values())
    return copy.deepcopy(want)


def _drop(obj: Any, path: Path) -> None:
    """Take a field out, if it is there; an element of a list goes with its own mark."""
    place = obj
    for at, step in enumerate(path):
        last = at == len(path) - 1
        kind, _, rest = step.partition(":")
        if kind == "f" and isinstance(place, dict):
            if last:
                place.pop(rest, None)
                return
            place = place.get(rest)
        elif kind in ("k", "v") and isinstance(place, list):
            wanted = json.loads(rest)
            found = next((item for item in place if item == wanted or _has(item, wanted)), None)
            if found is None:
                return
            if last or path[at + 1 :] == (".",):
                place.remove(found)
                return
            place = found
        else:
            return


def _has(item: Any, keys: Any) -> bool:
    if not isinstance(item, dict) or not isinstance(keys, dict):
        return False
    return all(item.get(key, _DEFAULTS.get(key)) == value for key, value in keys.items())
