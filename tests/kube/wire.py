"""The few messages that Go's typed clients send as protobuf: evictions, bindings and options of a deletion."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.kube import errors

PROTOBUF = "application/vnd.kubernetes.protobuf"
_MAGIC = b"k8s\0"
# number: (name, type); a type is "text", "int", "bool" or another message.
_PRECONDITIONS: dict[int, tuple[str, Any]] = {1: ("uid", "text"), 2: ("resourceVersion", "text")}
_OPTIONS: dict[int, tuple[str, Any]] = {
    1: ("gracePeriodSeconds", "int"),
    2: ("preconditions", _PRECONDITIONS),
    3: ("orphanDependents", "bool"),
    4: ("propagationPolicy", "text"),
    5: ("dryRun", "texts"),
}
_META: dict[int, tuple[str, Any]] = {1: ("name", "text"), 3: ("namespace", "text"), 5: ("uid", "text")}
_REFERENCE: dict[int, tuple[str, Any]] = {1: ("kind", "text"), 3: ("name", "text")}
_MESSAGES: dict[str, dict[int, tuple[str, Any]]] = {
    "DeleteOptions": _OPTIONS,
    "Eviction": {1: ("metadata", _META), 2: ("deleteOptions", _OPTIONS)},
    "Binding": {1: ("metadata", _META), 2: ("target", _REFERENCE)},
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
            raise errors.bad_request(f"protobuf: wire type {tag & 7} is not expected")


def _message(data: bytes, known: dict[int, tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for number, value in _fields(data):
        name, kind = known.get(number, ("", ""))
        if kind == "text":
            found[name] = value.decode()
        elif kind == "texts":
            found.setdefault(name, []).append(value.decode())
        elif kind == "int":
            found[name] = value - (1 << 64) if value >> 63 else value
        elif kind == "bool":
            found[name] = bool(value)
        elif kind:
            found[name] = _message(value, kind)
    return found


def decode(body: bytes) -> dict[str, Any]:
    """The object in a protobuf body; 415 for a kind that is not expected so."""
    if not body:
        return {}
    if not body.startswith(_MAGIC):
        raise errors.bad_request("provided data does not appear to be a protobuf message")
    envelope = dict(_fields(body[4:]))
    kind = {number: value.decode() for number, value in _fields(envelope.get(1, b""))}
    name = kind.get(2, "")
    if name not in _MESSAGES:
        raise errors.unsupported(f"{PROTOBUF} of {name}", "application/json")
    return {"apiVersion": kind.get(1, ""), "kind": name, **_message(envelope.get(2, b""), _MESSAGES[name])}
