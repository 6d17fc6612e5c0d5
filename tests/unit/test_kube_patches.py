"""The patches of the tests' Kubernetes API server: the examples of the standards, and what Kubernetes adds."""

from __future__ import annotations

from typing import Any

import pytest

from tests.kube import errors, patches, selectors
from tests.kube.fit import amount
from tests.kube.resources import PODS

# RFC 7386, appendix A: original, patch, result.
MERGES: list[tuple[Any, Any, Any]] = [
    ({"a": "b"}, {"a": "c"}, {"a": "c"}),
    ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
    ({"a": "b"}, {"a": None}, {}),
    ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
    ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
    ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
    ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
    ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
    (["a", "b"], ["c", "d"], ["c", "d"]),
    ({"a": "b"}, ["c"], ["c"]),
    ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
    ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
    ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
]
# RFC 6902, appendix A: document, patch, result (None: an error).
STEPS: list[tuple[Any, list[dict[str, Any]], Any]] = [
    ({"foo": "bar"}, [{"op": "add", "path": "/baz", "value": "qux"}], {"foo": "bar", "baz": "qux"}),
    ({"foo": [1, 3]}, [{"op": "add", "path": "/foo/1", "value": 2}], {"foo": [1, 2, 3]}),
    ({"foo": [1]}, [{"op": "add", "path": "/foo/-", "value": [2]}], {"foo": [1, [2]]}),
    ({"foo": [1, 2]}, [{"op": "remove", "path": "/foo/1"}], {"foo": [1]}),
    ({"foo": 1}, [{"op": "replace", "path": "/foo", "value": 2}], {"foo": 2}),
    ({"a": {"b": 1}, "c": {}}, [{"op": "move", "from": "/a/b", "path": "/c/d"}], {"a": {}, "c": {"d": 1}}),
    ({"a": [1]}, [{"op": "copy", "from": "/a", "path": "/b"}], {"a": [1], "b": [1]}),
    ({"a/b": 9}, [{"op": "test", "path": "/a~1b", "value": 9}], {"a/b": 9}),
    ({"foo": 1}, [{"op": "replace", "path": "", "value": {"all": 2}}], {"all": 2}),
    ({"foo": 1}, [{"op": "test", "path": "/foo", "value": 2}], None),
    ({"foo": 1}, [{"op": "add", "path": "/a/b", "value": 2}], None),
    ({"foo": 1}, [{"op": "remove", "path": "/bar"}], None),
    ({"foo": [1]}, [{"op": "add", "path": "/foo/5", "value": 2}], None),
]
READY, DISK = {"type": "Ready", "status": "True"}, {"type": "DiskPressure", "status": "False"}
STRATEGIC: list[tuple[Any, Any, Any]] = [
    ({"conditions": [READY]}, {"conditions": [DISK]}, {"conditions": [READY, DISK]}),
    (
        {"conditions": [READY, DISK]},
        {"conditions": [{"type": "Ready", "status": "False"}]},
        {"conditions": [{"type": "Ready", "status": "False"}, DISK]},
    ),
    ({"conditions": [READY, DISK]}, {"conditions": [{"$patch": "delete", "type": "Ready"}]}, {"conditions": [DISK]}),
    ({"conditions": [READY, DISK]}, {"conditions": [{"$patch": "replace"}, READY]}, {"conditions": [READY]}),
    (
        {"conditions": [READY]},
        {"$setElementOrder/conditions": [{"type": "DiskPressure"}, {"type": "Ready"}], "conditions": [DISK]},
        {"conditions": [DISK, READY]},
    ),
    ({"taints": [{"key": "a"}]}, {"taints": [{"key": "b"}]}, {"taints": [{"key": "b"}]}),
    ({"tolerations": [{"key": "a"}]}, {"tolerations": []}, {"tolerations": []}),
    (
        {"schedulingGates": [{"name": "a"}]},
        {"schedulingGates": [{"$patch": "delete", "name": "a"}]},
        {"schedulingGates": []},
    ),
    ({"finalizers": ["a"]}, {"finalizers": ["b", "a"]}, {"finalizers": ["a", "b"]}),
    ({"finalizers": ["a", "b"]}, {"$deleteFromPrimitiveList/finalizers": ["a"]}, {"finalizers": ["b"]}),
    ({"labels": {"a": "1"}}, {"labels": {"$patch": "replace", "b": "2"}}, {"labels": {"b": "2"}}),
    ({"a": 1, "b": 2}, {"$retainKeys": ["b"], "b": 3}, {"b": 3}),
]


@pytest.mark.parametrize(("original", "patch", "result"), MERGES)
def test_merge(original: Any, patch: Any, result: Any) -> None:
    assert patches.merge(original, patch) == result


@pytest.mark.parametrize(("document", "patch", "result"), STEPS)
def test_json_patch(document: Any, patch: list[dict[str, Any]], result: Any) -> None:
    if result is None:
        with pytest.raises(errors.ApiError) as error:
            patches.json_patch(document, patch)
        assert error.value.code == 422
    else:
        assert patches.json_patch(document, patch) == result


@pytest.mark.parametrize(("original", "patch", "result"), STRATEGIC)
def test_strategic_merge(original: Any, patch: Any, result: Any) -> None:
    assert patches.strategic(original, patch) == result


@pytest.mark.parametrize(
    ("selector", "fits"),
    [
        ("app=web", True),
        ("app==web,tier!=back", True),
        ("app in (web, api), !old", True),
        ("tier", False),
        ("tier notin (a,b)", True),
        ("app notin (web)", False),
        ("example.com/app", False),
    ],
)
def test_label_selectors(selector: str, fits: bool) -> None:
    test = selectors.labels(selector)
    assert test is not None and test({"metadata": {"labels": {"app": "web"}}}) is fits


def test_selectors_that_cannot_be_read() -> None:
    for wrong in ("a=b=c", "=a", "a in b", "-x"):
        with pytest.raises(errors.ApiError):
            selectors.labels(wrong)
    with pytest.raises(errors.ApiError, match="field label not supported"):
        selectors.fields(PODS, "spec.colour=red")


def test_quantities() -> None:
    assert [float(amount(text)) for text in ("500m", "2", "1Ki", "1.5Gi", "3k")] == [0.5, 2, 1024, 1.5 * 2**30, 3000]
