"""The messages that Go's typed clients send as protobuf: ``kubectl create namespace`` and its like.

Kinds with pods in them are not read: clients send those as JSON from a file, and 415 is the answer otherwise.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

from tests.kube import errors

PROTOBUF = "application/vnd.kubernetes.protobuf"
_MAGIC = b"k8s\0"
# number: (name, type). A type is "text", "texts", "int", "bool", "map" (of texts), "bytes map" (base64 in JSON),
# another message, or a list of one message for a list of them.
Message = dict[int, tuple[str, Any]]
_META: Message = {
    1: ("name", "text"),
    2: ("generateName", "text"),
    3: ("namespace", "text"),
    5: ("uid", "text"),
    6: ("resourceVersion", "text"),
    11: ("labels", "map"),
    12: ("annotations", "map"),
    14: ("finalizers", "texts"),
}
_OPTIONS: Message = {
    1: ("gracePeriodSeconds", "int"),
    2: ("preconditions", {1: ("uid", "text"), 2: ("resourceVersion", "text")}),
    3: ("orphanDependents", "bool"),
    4: ("propagationPolicy", "text"),
    5: ("dryRun", "texts"),
}
_EITHER: Message = {1: ("type", "int"), 2: ("intVal", "int"), 3: ("strVal", "text")}
_SELECTOR: Message = {
    1: ("matchLabels", "map"),
    2: ("matchExpressions", [{1: ("key", "text"), 2: ("operator", "text"), 3: ("values", "texts")}]),
}
_BUDGET: Message = {
    1: ("minAvailable", _EITHER),
    2: ("selector", _SELECTOR),
    3: ("maxUnavailable", _EITHER),
    4: ("unhealthyPodEvictionPolicy", "text"),
}
_PRIORITY: Message = {
    2: ("value", "int"),
    3: ("globalDefault", "bool"),
    4: ("description", "text"),
    5: ("preemptionPolicy", "text"),
}
_MESSAGES: dict[str, Message] = {
    "Binding": {1: ("metadata", _META), 2: ("target", {1: ("kind", "text"), 3: ("name", "text")})},
    "ConfigMap": {1: ("metadata", _META), 2: ("data", "map"), 3: ("binaryData", "bytes map"), 4: ("immutable", "bool")},
    "DeleteOptions": _OPTIONS,
    "Eviction": {1: ("metadata", _META), 2: ("deleteOptions", _OPTIONS)},
    "Namespace": {1: ("metadata", _META)},
    "PodDisruptionBudget": {1: ("metadata", _META), 2: ("spec", _BUDGET)},
    "PriorityClass": {1: ("metadata", _META), **_PRIORITY},
    "Secret": {1: ("metadata", _META), 2: ("data", "bytes map"), 3: ("type", "text"), 5: ("immutable", "bool")},
    "ServiceAccount": {1: ("metadata", _META)},
}


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def _fields(data: bytes) -> Iterator[tuple[int, Any]]:
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        if tag & 7 == 0:
            value, at = _varint(data, at)
            yield tag >> 3, value
        elif tag & 7 == 2:
            size, at = _varint(data, at)
            yield tag >> 3, data[at : at + size]
            at += size
        else:
            raise ValueError(f"wire type {tag & 7} is not expected")


def _message(data: bytes, known: Message) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for number, value in _fields(data):
        name, kind = known.get(number, ("", ""))
        if kind == "texts":
            found.setdefault(name, []).append(value.decode())
        elif kind in ("map", "bytes map"):
            pair = dict(_fields(value))
            text = pair.get(2, b"") if kind == "map" else base64.b64encode(pair.get(2, b""))
            found.setdefault(name, {})[pair.get(1, b"").decode()] = text.decode()
        elif isinstance(kind, list):
            found.setdefault(name, []).append(_message(value, kind[0]))
        elif kind is _EITHER:
            either = _message(value, _EITHER)
            found[name] = either.get("strVal", "") if either.get("type") else either.get("intVal", 0)
        elif kind:
            found[name] = _value(value, kind)
    # What Go writes though it is empty was not said.
    return {name: value for name, value in found.items() if value not in ("", {})}


def _value(value: Any, kind: Any) -> Any:
    if kind == "text":
        return value.decode()
    if kind == "bool":
        return bool(value)
    if kind == "int":
        return value - (1 << 64) if value >> 63 else value
    return _message(value, kind)


def decode(body: bytes) -> dict[str, Any]:
    """The object in a protobuf body; 415 for a kind that is not expected so."""
    if not body:
        return {}
    if not body.startswith(_MAGIC):
        raise errors.bad_request("provided data does not appear to be a protobuf message")
    try:
        envelope = dict(_fields(body[len(_MAGIC) :]))
        kind = {number: value.decode() for number, value in _fields(envelope.get(1, b""))}
        name = kind.get(2, "")
        if name not in _MESSAGES:
            raise errors.unsupported(f"{PROTOBUF} of {name}", "application/json")
        return {"apiVersion": kind.get(1, ""), "kind": name, **_message(envelope.get(2, b""), _MESSAGES[name])}
    except (IndexError, ValueError, AttributeError, TypeError) as error:
        raise errors.bad_request(f"proto: cannot parse the body: {error}") from None
