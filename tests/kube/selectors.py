"""Label selectors and field selectors, as query strings and as objects have them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from tests.kube import errors
from tests.kube.resources import Resource

Test = Callable[[Mapping[str, Any]], bool]

_EVERY = {"metadata.name": "", "metadata.namespace": ""}
# What can be asked for besides name and namespace, and what stands for a field that is not there.
_FIELDS: dict[str, dict[str, str]] = {
    "pods": {
        "spec.nodeName": "",
        "spec.restartPolicy": "",
        "spec.schedulerName": "",
        "spec.serviceAccountName": "",
        "spec.hostNetwork": "false",
        "status.phase": "",
        "status.podIP": "",
        "status.nominatedNodeName": "",
    },
    "nodes": {"spec.unschedulable": "false"},
    "namespaces": {"status.phase": ""},
    "secrets": {"type": ""},
    "jobs": {"status.successful": "0"},
    "events": {
        **{f"involvedObject.{name}": "" for name in ("kind", "namespace", "name", "uid", "apiVersion", "fieldPath")},
        "involvedObject.resourceVersion": "",
        "reason": "",
        "reportingComponent": "",
        "source": "",
        "type": "",
    },
}
_SET = re.compile(r"^\s*(\S+)\s+(in|notin)\s*\(([^)]*)\)\s*$")
_PARTS = re.compile(r",(?![^()]*\))")
_VALUE = re.compile(r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$")
_KEY = re.compile(r"^([a-z0-9A-Z][-a-zA-Z0-9._]*/)?[a-zA-Z0-9]([-a-zA-Z0-9._]*[a-zA-Z0-9])?$")


def _key(text: str) -> str:
    text = text.strip()
    if not _KEY.match(text):
        raise errors.bad_request(f"unable to parse requirement: <nil>: Invalid value: {text!r}: not a label key")
    return text


def _value(text: str) -> str:
    text = text.strip()
    if not _VALUE.match(text) or len(text) > 63:
        raise errors.bad_request(f"unable to parse requirement: values: Invalid value: {text!r}: not a label value")
    return text


def _one_label(text: str) -> Test:
    found = _SET.match(text)
    if found:
        key, values = _key(found[1]), {_value(value) for value in found[3].split(",")}
        if found[2] == "in":
            return lambda labels: labels.get(key) in values
        return lambda labels: labels.get(key) not in values
    for sign in ("!=", "==", "="):
        if sign in text:
            name, _, wanted = text.partition(sign)
            key, value = _key(name), _value(wanted)
            if sign == "!=":
                return lambda labels: labels.get(key) != value
            return lambda labels: labels.get(key) == value
    text = text.strip()
    if text.startswith("!"):
        absent = _key(text[1:])
        return lambda labels: absent not in labels
    present = _key(text)
    return lambda labels: present in labels


def labels(text: str) -> Test | None:
    """``app=web,tier in (a, b),!old`` as a test of an object; None when it lets everything pass."""
    tests = [_one_label(part) for part in _PARTS.split(text) if part.strip()]
    if not tests:
        return None
    return lambda obj: all(test(obj["metadata"].get("labels") or {}) for test in tests)


def fields(resource: Resource, text: str) -> Test | None:
    """``spec.nodeName=a,status.phase!=Failed`` as a test of an object."""
    known = {**_EVERY, **({} if resource.custom else _FIELDS.get(resource.plural, {}))}
    tests: list[Test] = []
    for part in filter(None, text.split(",")):
        found = re.match(r"^([^!=]+)(!=|==|=)(.*)$", part)
        if not found:
            raise errors.bad_request(f"invalid selector: '{part}'; can't understand '{part}'")
        path, sign, value = found[1].strip(), found[2], found[3].strip()
        if path not in known:
            raise errors.bad_request(f"field label not supported: {path}")
        tests.append(_one_field(path, known[path], value, sign != "!="))
    return (lambda obj: all(test(obj) for test in tests)) if tests else None


def _one_field(path: str, absent: str, wanted: str, equal: bool) -> Test:
    steps = path.split(".")
    if path == "source":
        steps = ["source", "component"]

    def test(obj: Mapping[str, Any]) -> bool:
        value: Any = obj
        for step in steps:
            value = value.get(step) if isinstance(value, Mapping) else None
        text = absent if value is None else str(value).lower() if isinstance(value, bool) else str(value)
        return (text == wanted) is equal

    return test


def matches(selector: Mapping[str, Any] | None, found: Mapping[str, str] | None) -> bool:
    """Whether labels fit a LabelSelector object (``matchLabels``, ``matchExpressions``). None fits nothing."""
    if selector is None:
        return False
    have = found or {}
    if any(have.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        return False
    for rule in selector.get("matchExpressions") or ():
        key, values = rule["key"], rule.get("values") or ()
        fits = {
            "In": have.get(key) in values,
            "NotIn": have.get(key) not in values,
            "Exists": key in have,
            "DoesNotExist": key not in have,
        }[rule["operator"]]
        if not fits:
            return False
    return True
