"""Reading Terraform's JSON: changes, reasons, what differs. Data-file cases, and properties over any values."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from infra.plan.about import about
from infra.plan.differences import HIDDEN, Difference, differences, element, short
from infra.plan.terraform import changes, moves, world

CASES = yaml.safe_load((Path(__file__).parent.parent / "data" / "plan_changes.yaml").read_text())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_a_resource_change_is_read(case: dict[str, Any]) -> None:
    """Each case is one entry of ``resource_changes``, and the change that a person reads."""
    item = {"mode": "managed", "type": "aws_instance", **case["item"]}
    item.setdefault("address", f"module.host_dev.{item['type']}.this")
    found = changes({"resource_changes": [item], "resource_drift": case.get("drift", [])})
    wanted = case["change"]
    if wanted is None:
        assert found == []
        return
    (change,) = found
    assert {key: _plain(getattr(change, key)) for key in wanted} == wanted


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text('ab{}[]"', max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=12,
)
OBJECTS = st.dictionaries(st.sampled_from(["name", "size", "rule", "tags"]), VALUES, max_size=4)
MASKS = st.recursive(
    st.booleans(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=6,
)
OBJECT_MASKS = st.dictionaries(st.sampled_from(["name", "size", "rule", "tags"]), MASKS, max_size=4)


@given(OBJECTS, OBJECTS)
def test_what_differs_is_found_and_nothing_else(before: dict[str, Any], after: dict[str, Any]) -> None:
    found = moves({"before": before, "after": after})
    same = {key: before.get(key) for key in {*before, *after}} == {key: after.get(key) for key in {*before, *after}}
    if same:
        assert found == []
    wrong = [name for name, _ in found if before.get(name) == after.get(name)]
    assert wrong == []
    missed = {key for key in {*before, *after} if _differs(before.get(key), after.get(key))} - {
        name for name, _ in found
    }
    assert missed == set()


def _differs(one: Any, other: Any) -> bool:
    """A key without a value is as if it were not there; 1 and true are the same to Python."""
    return bool(_bare(one) != _bare(other))


def _bare(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _bare(item) for key, item in value.items() if item is not None}
    return [_bare(item) for item in value] if isinstance(value, list) else value


@given(OBJECTS)
def test_nothing_differs_from_itself(value: dict[str, Any]) -> None:
    assert moves({"before": value, "after": json.loads(json.dumps(value))}) == []


@given(OBJECTS, OBJECTS, OBJECT_MASKS, OBJECT_MASKS, OBJECT_MASKS)
def test_any_masks_can_be_read(before: Any, after: Any, unknown: Any, left: Any, right: Any) -> None:
    change = {"before": before, "after": after, "after_unknown": unknown}
    for name, text in moves({**change, "before_sensitive": left, "after_sensitive": right}):
        assert name in text


@given(st.text("xyz", min_size=8, max_size=12), st.text("xyz", min_size=8, max_size=12), st.integers(0, 3))
def test_a_secret_never_shows(old: str, new: str, shape: int) -> None:
    def put(value: Any) -> Any:
        return [value, {"inner": value}, [{"inner": value}], {"inner": {"deep": [value]}}][shape]

    change = {"before": {"secret": put(old)}, "after": {"secret": put(new)}}
    masks = {"before_sensitive": {"secret": put(True)}, "after_sensitive": {"secret": put(True)}}
    text = " ".join(text for _, text in moves({**change, **masks}))
    assert old not in text
    assert new not in text
    assert (HIDDEN in text) == (old != new)


@given(st.lists(VALUES, max_size=5), st.randoms())
def test_another_order_is_said_to_be_one(items: list[Any], random: Any) -> None:
    mixed = random.sample(items, len(items))
    found = differences({"before": {"list": items}, "after": {"list": mixed}})
    assert all(item.kind == "order" for item in found)


def test_the_world_is_of_what_would_be_touched() -> None:
    def item(address: str, actions: list[str], after: Any = None) -> dict[str, Any]:
        return {"address": address, "change": {"actions": actions, "before": None, "after": after}}

    one = world({"resource_changes": [item("a", ["create"], {"x": 1}), item("b", ["no-op"]), item("c", ["read"])]})
    other = world({"resource_changes": [item("a", ["create"], {"x": 2})]})
    assert set(one) == {"a"}
    assert one != other


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "(none)"),
        ([], "(none)"),
        (True, "true"),
        (4, "4"),
        ("x" * 70, "x" * 59 + "…"),
        ({"a": 1, "b": "", "c": None}, "a 1"),
        ([{"key": "k", "value": "v"}, {"key": "l", "value": ""}], "k=v, l=(none)"),
        ({"Effect": "Allow", "Action": ["s3:Get", "s3:Put"], "Sid": "Use"}, "Allow s3:Get, s3:Put (Use)"),
        ({"Effect": "Deny", "Action": "*", "Resource": "x"}, "Deny *"),
        ({"cidr_block": "0.0.0.0/0", "gateway_id": "igw-1", "nat_gateway_id": ""}, "0.0.0.0/0 via igw-1"),
        ({"cidr_block": "0.0.0.0/0", "gateway_id": "", "nat_gateway_id": "nat-1"}, "0.0.0.0/0 via nat-1"),
    ],
)
def test_short(value: Any, text: str) -> None:
    assert short(value) == text


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ({"protocol": "tcp", "from_port": 22, "to_port": 22, "cidr_blocks": ["10.0.0.0/8"]}, "tcp 22 10.0.0.0/8"),
        ({"protocol": "udp", "from_port": 1, "to_port": 9, "security_groups": ["sg-1"]}, "udp 1-9 sg-1"),
        ({"protocol": "-1", "from_port": 0, "to_port": 0, "self": True}, "all the group itself"),
    ],
)
def test_a_firewall_rule_in_words(rule: dict[str, Any], text: str) -> None:
    assert element(rule) == text


def test_difference_texts() -> None:
    assert Difference("tags.owner", "changed", None, "bob").text() == "tags.owner (none) → bob"
    assert Difference("rules", "added", None, "x").text() == "rules + x"
    assert Difference("rules", "removed", "x", None).text() == "rules - x"
    assert Difference("rules", "order", [1, 2], [2, 1]).text() == "rules: another order"
    assert Difference("rule[1].port", "changed", 1, 2).name == "rule"


GROUP = {
    "min_size": 1,
    "max_size": 50,
    "desired_capacity": 2,
    "mixed_instances_policy": [
        {
            "instances_distribution": [{"on_demand_percentage_above_base_capacity": 0, "on_demand_base_capacity": 1}],
            "launch_template": [{"override": [{"instance_type": "c5.large"}, {"instance_type": "m5.large"}]}],
        }
    ],
}
TEMPLATE = {
    "instance_type": "p5.48xlarge",
    "capacity_reservation_specification": [
        {"capacity_reservation_target": [{"capacity_reservation_id": "cr-0123456789abcdef0"}]}
    ],
}


@pytest.mark.parametrize(
    ("kind", "values", "text"),
    [
        ("aws_autoscaling_group", GROUP, "2 of 1 to 50 × c5.large, m5.large, spot above 1 on demand"),
        (
            "aws_autoscaling_group",
            {"min_size": 32, "max_size": 32, "desired_capacity": 32, "placement_group": "train-h100"},
            "32 × p5.48xlarge, cr-0123456789abcdef0, placement group train-h100",
        ),
        (
            "aws_instance",
            {"instance_type": "m5.large", "root_block_device": [{"volume_size": 100}]},
            "m5.large, 100 GB",
        ),
        ("aws_vpc", {"cidr_block": "10.0.0.0/16"}, "10.0.0.0/16"),
        ("aws_lb", {"internal": True, "load_balancer_type": "network"}, "internal, network"),
        ("aws_route_table", {"vpc_id": "vpc-1"}, ""),
        ("aws_vpc", None, ""),
    ],
)
def test_what_a_thing_is(kind: str, values: Any, text: str) -> None:
    template = TEMPLATE if values and "placement_group" in values else None
    assert about(kind, values, template) == text
