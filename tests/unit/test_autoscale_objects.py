"""Raw Kubernetes JSON read into a snapshot, and the quantities in it."""

from __future__ import annotations

from contextlib import suppress
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.autoscale.capacity import allocatable
from infra.autoscale.gang_labels import read_groups
from infra.autoscale.objects import read_daemons, read_node, read_pod
from infra.autoscale.quantity import SUFFIXES, BadQuantity, exact, quantity, words
from infra.autoscale.snapshot import Gang, Taint
from tests.unit.clusters import node


@pytest.mark.parametrize(
    ("resource", "text", "amount"),
    [
        ("cpu", "1", 1000),
        ("cpu", "250m", 250),
        ("cpu", "0.0001", 1),
        ("cpu", "1e3", 1_000_000),
        ("cpu", 2, 2000),
        ("cpu", 0.5, 500),
        ("memory", "1.5Gi", 1610612736),
        ("memory", "1G", 10**9),
        ("memory", "128974848000m", 128974848),
        ("memory", "1E", 10**18 // 1000 * 1000),
        ("memory", ".5Ki", 512),
        ("memory", "+1k", 1000),
        ("nvidia.com/gpu", "8", 8),
        ("pods", "110", 110),
    ],
)
def test_quantities_are_exact(resource: str, text: object, amount: int) -> None:
    if text == "1E":
        with pytest.raises(BadQuantity, match="more than any machine"):
            quantity(resource, text)
    else:
        assert quantity(resource, text) == amount


@pytest.mark.parametrize(
    "raw", ["", "1 Gi", "1gi", "Gi", "--1", "-1", "1.2.3", "٣", "1e", "nan", "inf", None, True, [], "9" * 80]
)
def test_what_is_no_quantity_is_refused(raw: object) -> None:
    with pytest.raises(BadQuantity):
        quantity("memory", raw)


@given(st.integers(0, 10**6), st.integers(0, 999), st.sampled_from(sorted(SUFFIXES)))
def test_any_quantity_is_rounded_up_by_less_than_one(whole: int, part: int, suffix: str) -> None:
    text = f"{whole}.{part:03}{suffix}"
    value = exact(text)
    assert value == Fraction(whole * 1000 + part, 1000) * SUFFIXES[suffix]
    if value < 2**50:
        assert 0 <= quantity("memory", text) - value < 1


@given(st.text(max_size=12))
def test_no_text_is_more_than_a_bad_quantity(text: str) -> None:
    with suppress(BadQuantity):
        assert quantity("cpu", text) >= 0


def test_amounts_in_words() -> None:
    assert [words("cpu", 1500), words("memory", 48 * 2**30), words("memory", 12), words("nvidia.com/gpu", 8)] == [
        "1.5 cores",
        "48 GiB",
        "12 B",
        "8",
    ]


def container(cpu: str, memory: str = "1Gi", **more: Any) -> dict[str, Any]:
    return {"resources": {"requests": {"cpu": cpu, "memory": memory}}, **more}


def raw(spec: dict[str, Any], **meta: Any) -> dict[str, Any]:
    return {"metadata": {"name": "x", "namespace": "lab", **meta}, "spec": spec, "status": {"phase": "Pending"}}


def requests(spec: dict[str, Any]) -> dict[str, int]:
    found = read_pod(raw(spec))
    assert found is not None and not found.problem
    return dict(found.needs.requests)


def test_init_containers_sidecars_and_overhead_count_as_the_scheduler_counts_them() -> None:
    spec = {
        "initContainers": [container("3"), container("1", restartPolicy="Always"), container("2500m")],
        "containers": [container("500m"), container("1")],
        "overhead": {"cpu": "100m"},
    }
    assert requests(spec)["cpu"] == 3500 + 100
    assert requests(spec)["memory"] == 3 * 2**30
    assert requests({"containers": [container("500m")], "initContainers": [container("250m")]})["cpu"] == 500


def test_limits_stand_in_for_requests_and_pod_level_resources_come_first() -> None:
    assert requests({"containers": [{"resources": {"limits": {"nvidia.com/gpu": 8}}}]})["nvidia.com/gpu"] == 8
    assert requests({"containers": [container("1")], "resources": {"requests": {"cpu": "4"}}})["cpu"] == 4000


@pytest.mark.parametrize(
    "spec",
    [
        {"containers": [container("lots")]},
        {"containers": [{"resources": {"requests": "x"}}]},
        {"containers": "none"},
        {"containers": [None]},
        {"tolerations": [3]},
        {"nodeSelector": ["a"]},
        {
            "affinity": {
                "nodeAffinity": {
                    "requiredDuringSchedulingIgnoredDuringExecution": {
                        "nodeSelectorTerms": [{"matchExpressions": [{}]}]
                    }
                }
            }
        },
        {"topologySpreadConstraints": [{"maxSkew": "x", "topologyKey": "zone"}]},
        {"priority": "high"},
    ],
)
def test_a_malformed_pod_is_a_problem_of_its_own(spec: dict[str, Any]) -> None:
    found = read_pod(raw(spec))
    assert found is not None and found.problem.startswith("its manifest is malformed")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
FIELDS = (
    *("containers", "initContainers", "tolerations", "nodeSelector", "affinity", "overhead", "priority", "resources"),
    *("topologySpreadConstraints", "schedulingGates", "schedulingGroup", "workloadRef"),
)


@given(
    st.dictionaries(st.sampled_from(FIELDS), JSON),
    st.dictionaries(st.sampled_from(["labels", "annotations", "ownerReferences"]), JSON),
)
def test_no_json_is_more_than_a_problem(spec: dict[str, Any], meta: dict[str, Any]) -> None:
    assert read_pod(raw(spec, **meta)) is not None


def test_what_is_over_is_no_pod_and_what_is_gated_waits() -> None:
    assert read_pod({**raw({}), "status": {"phase": "Succeeded"}}) is None
    assert read_pod(raw({}, deletionTimestamp="2026-01-01T00:00:00Z")) is None
    held = read_pod(raw({"schedulingGates": [{"name": "kueue.x-k8s.io/admission"}]}))
    assert held is not None and "kueue.x-k8s.io/admission" in held.problem


OURS = {"infra/gang": "t", "infra/gang-size": "4", "infra/gang-within": "region"}
KUEUE = {
    "labels": {"kueue.x-k8s.io/pod-group-name": "k"},
    "annotations": {"kueue.x-k8s.io/pod-group-total-count": "2"},
}


@pytest.mark.parametrize(
    ("spec", "meta", "gang"),
    [
        ({}, {"annotations": OURS}, Gang("lab/t", 4, "region")),
        ({"schedulingGroup": {"podGroupName": "t"}}, {}, Gang("lab/t", 3, "zone")),
        ({"workloadRef": {"name": "w", "podGroup": "t"}}, {}, Gang("lab/w/t", 5, "zone")),
        ({}, KUEUE, Gang("lab/k", 2, "zone")),
        ({}, {"annotations": {"scheduling.k8s.io/group-name": "t"}}, Gang("lab/t", 3, "zone")),
        ({}, {"labels": {"scheduling.x-k8s.io/pod-group": "t"}}, Gang("lab/t", 3, "zone")),
        ({}, {}, None),
    ],
)
def test_gangs_in_everybodys_words(spec: dict[str, Any], meta: dict[str, Any], gang: Gang | None) -> None:
    groups = read_groups(
        [
            {"metadata": {"namespace": "lab", "name": "t"}, "spec": {"minMember": 3}},
            {
                "metadata": {"namespace": "lab", "name": "w"},
                "spec": {"podGroups": [{"name": "t", "policy": {"gang": {"minCount": 5}}}]},
            },
        ]
    )
    found = read_pod(raw(spec, **meta), groups)
    assert found is not None and not found.problem and found.needs.gang == gang


def test_a_gang_size_that_is_no_number_is_a_problem() -> None:
    found = read_pod(raw({}, annotations={"infra/gang": "t", "infra/gang-size": "many"}))
    assert found is not None and "'many' is not a number of pods" in found.problem


def ready(status: str, **spec: Any) -> dict[str, Any]:
    conditions = [{"type": "Ready", "status": status}]
    return {
        "metadata": {"name": "n", "labels": {"a": "b"}},
        "spec": spec,
        "status": {"conditions": conditions, "allocatable": {"cpu": "4", "memory": "bad", "pods": "110"}},
    }


def test_nodes_joining_broken_and_cordoned() -> None:
    start = {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}
    joining = read_node(ready("False", taints=[start]), created=100, now=200)
    assert joining.joining and not joining.taints
    broken = read_node(ready("Unknown", taints=[start]), created=100, now=10_000)
    assert broken.broken and broken.taints
    cordoned = read_node(ready("True", unschedulable=True))
    assert cordoned.taints == (Taint("node.kubernetes.io/unschedulable", "", "NoSchedule"),)
    assert dict(cordoned.allocatable) == {"cpu": 4000, "pods": 110}


def test_a_daemonset_that_cannot_be_read_is_a_warning() -> None:
    good = {"metadata": {"name": "d"}, "spec": {"template": {"spec": {"containers": [container("100m")]}}}}
    bad = {"metadata": {"name": "e"}, "spec": {"template": {"spec": {"containers": [container("x")]}}}}
    found, warnings = read_daemons([good, bad])
    assert [one.name for one in found] == ["default/d"]
    assert len(warnings) == 1 and "default/e" in warnings[0]


def test_a_live_machine_knows_best_then_the_data_and_an_unknown_type_is_a_warning() -> None:
    live = node("n", "g8", labels={"node.kubernetes.io/instance-type": "p4d.24xlarge"})
    assert allocatable("p4d.24xlarge", [live]) == (live.allocatable, "")
    estimate, warning = allocatable("p4d.24xlarge")
    assert estimate is not None and dict(estimate)["nvidia.com/gpu"] == 8 and not warning
    unknown, warning = allocatable("z9.huge")
    assert unknown is None and "z9.huge is not known" in warning
