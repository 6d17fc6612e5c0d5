"""Matching what a plan would create with what is there; what is left over; never anything twice, never any data."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.cloud.mending import adopt
from infra.cloud.mending.adopt import ADDRESS, CLUSTER, Create, Found, Rules
from infra.cloud.mending.kinds import KINDS, REPEATABLE
from infra.cloud.project.terms import tag_of_address

MODULES = Path(__file__).parents[2] / "terraform" / "modules"
NOW = datetime(2026, 1, 2, 12, tzinfo=UTC)
LAB = Rules("lab", NOW)


def tags(address: str, cluster: str = "lab") -> dict[str, str]:
    return {CLUSTER: cluster, ADDRESS: tag_of_address(address)}


def create(address: str, **values: Any) -> Create:
    """Something taggable that a plan would create."""
    type_ = address.rpartition(".")[0].rpartition(".")[2]
    return Create(address, type_, {"tags": tags(address), **values})


def found(type_: str, ident: str, address: str = "", **rest: Any) -> Found:
    return Found(type_, ident, tags(address) if address else {}, **rest)


VPC = "module.network.aws_vpc.this"
SUBNET = 'module.network.aws_subnet.private["us-west-2a"]'
ROLE = 'module.identity.aws_iam_role.this["node"]'


def test_every_kind_that_the_modules_make_is_known() -> None:
    made = {name for path in MODULES.rglob("*.tf") for name in re.findall(r'(?m)^resource "(\w+)"', path.read_text())}
    assert made - set(KINDS) == REPEATABLE & made
    assert not REPEATABLE & set(KINDS)


def test_tags_decide_and_an_import_goes_to_the_address() -> None:
    match = adopt.match([create(VPC)], [found("aws_vpc", "vpc-1", VPC)], set(), LAB)
    assert adopt.document(match.imports) == {"import": [{"to": VPC, "id": "vpc-1"}]}


def test_a_key_of_for_each_is_found_by_its_tag() -> None:
    match = adopt.match([create(SUBNET)], [found("aws_subnet", "subnet-1", SUBNET)], set(), LAB)
    assert list(match.imports) == [SUBNET]


def test_what_the_state_knows_and_what_another_cluster_has_is_not_adopted() -> None:
    there = [found("aws_vpc", "vpc-1", VPC), Found("aws_vpc", "vpc-2", tags(VPC, "other"))]
    assert adopt.match([create(VPC)], there, {("aws_vpc", "vpc-1")}, LAB).imports == {}


def test_an_auto_scaling_group_has_its_tags_in_blocks() -> None:
    blocks = [{"key": "Name", "value": "x"}, {"key": ADDRESS, "value": "module.pool_a.aws_autoscaling_group.this"}]
    wanted = Create("module.pool_a.aws_autoscaling_group.this", "aws_autoscaling_group", {"tag": blocks, "name": "l-a"})
    assert wanted.tag == "module.pool_a.aws_autoscaling_group.this"


def test_what_was_not_tagged_yet_is_found_by_its_name_when_it_is_young() -> None:
    wanted = [create(ROLE, name="lab-node")]
    young = found("aws_iam_role", "lab-node", keys={"name": "lab-node"}, created=NOW + timedelta(seconds=3))
    old = found("aws_iam_role", "lab-node", keys={"name": "lab-node"}, created=NOW - timedelta(days=3))
    assert list(adopt.match(wanted, [young], set(), LAB).imports) == [ROLE]
    doubtful = adopt.match(wanted, [old], set(), LAB)
    assert doubtful.imports == {}
    assert doubtful.doubts == (
        "identity: role node: lab-node is there already (made 2025-12-30 12:00 UTC) and carries no tag of ours; "
        "if it is yours, infra plan --adopt takes it over",
    )
    assert list(adopt.match(wanted, [old], set(), Rules("lab", NOW, trusting=True)).imports) == [ROLE]


def test_another_clusters_thing_of_our_name_is_never_adopted() -> None:
    theirs = Found("aws_s3_bucket", "b", {CLUSTER: "other"}, {"bucket": "b"}, created=NOW)
    for rules in (LAB, Rules("lab", NOW, trusting=True)):
        match = adopt.match([create("module.s.aws_s3_bucket.this", bucket="b")], [theirs], set(), rules)
        assert match.imports == {}
        assert "belongs to the cluster other" in match.doubts[0]


def test_parts_without_tags_are_found_by_what_they_join() -> None:
    address = 'module.s.aws_efs_mount_target.this["us-west-2a"]'
    target = Found("aws_efs_mount_target", "fsmt-1", {}, {"file_system_id": "fs-1", "subnet_id": "subnet-1"})
    wanted = Create(address, "aws_efs_mount_target", {"file_system_id": "fs-1", "subnet_id": "subnet-1"})
    unknown = Create(address, "aws_efs_mount_target", {"file_system_id": "fs-1"})
    assert list(adopt.match([wanted], [target], set(), LAB).imports) == [address]
    assert adopt.match([unknown], [target], set(), LAB).imports == {}


def test_of_several_the_used_one_is_taken_and_its_subnets_with_it() -> None:
    there = [
        found("aws_vpc", "vpc-1", VPC),
        found("aws_vpc", "vpc-2", VPC),
        found("aws_subnet", "subnet-1", SUBNET, vpc="vpc-1", keys={"vpc_id": "vpc-1"}),
        found("aws_subnet", "subnet-2", SUBNET, vpc="vpc-2", keys={"vpc_id": "vpc-2"}),
        found("aws_internet_gateway", "igw-2", "module.network.aws_internet_gateway.this", vpc="vpc-2"),
    ]
    match = adopt.match([create(SUBNET), create(VPC)], there, set(), LAB)
    assert {address: item.id for address, item in match.imports.items()} == {VPC: "vpc-2", SUBNET: "subnet-2"}
    taken = {item.key for item in match.imports.values()} | {("aws_internet_gateway", "igw-2")}
    left = adopt.leftovers(there, taken, LAB)
    assert [item.id for item in left.remove] == ["subnet-1", "vpc-1"]


def test_a_subnet_of_a_vpc_that_is_not_ours_is_left() -> None:
    there = [found("aws_subnet", "subnet-9", SUBNET, vpc="vpc-9")]
    assert adopt.match([create(SUBNET)], there, set(), LAB, ["vpc-1"]).imports == {}


def test_data_is_kept_and_all_that_it_stands_on() -> None:
    there = [
        found("aws_efs_file_system", "fs-1", "module.storage_d.aws_efs_file_system.this"),
        Found("aws_efs_mount_target", "fsmt-1", {}, {"file_system_id": "fs-1", "subnet_id": "subnet-1"}, vpc="vpc-1"),
        found("aws_security_group", "sg-1", "module.storage_d.module.group.aws_security_group.this", vpc="vpc-1"),
        found("aws_vpc", "vpc-1", VPC),
        found("aws_vpc", "vpc-2", VPC),
        found("aws_iam_role", "lab-node", ROLE),
    ]
    left = adopt.leftovers(there, set(), LAB)
    assert {item.id for item in left.kept} == {"fs-1", "sg-1", "vpc-1"}
    assert [item.id for item in left.remove] == ["vpc-2", "lab-node"]
    everything = adopt.leftovers(there, set(), LAB, everything=True)
    assert [item.id for item in everything.remove] == ["fs-1", "sg-1", "vpc-1", "vpc-2", "lab-node"]


def test_machines_of_a_pool_are_nobodys_left_over() -> None:
    machine = Found("aws_instance", "i-1", {CLUSTER: "lab", "infra:pool": "gpu"})
    assert adopt.leftovers([machine], set(), LAB, everything=True) == adopt.Leftovers()


def test_a_title_says_what_it_was_for() -> None:
    assert found("aws_subnet", "subnet-1", SUBNET).title == "network: subnet private us-west-2a subnet-1"
    assert found("aws_s3_bucket", "b").title == "S3 bucket b"


def plan(actions: list[str], address: str, before: Any = None, after: Any = None, **rest: Any) -> dict[str, Any]:
    type_ = address.rpartition(".")[0].rpartition(".")[2]
    change = {"actions": actions, "before": before, "after": after}
    return {"address": address, "type": type_, "mode": "managed", "change": change, **rest}


def test_reading_a_plan() -> None:
    shown = {
        "prior_state": {
            "values": {
                "root_module": {
                    "child_modules": [
                        {
                            "resources": [
                                {"mode": "managed", "type": "aws_vpc", "values": {"id": "vpc-1"}},
                                {"mode": "data", "type": "aws_ami", "values": {"id": "ami-1"}},
                            ],
                            "child_modules": [
                                {"resources": [{"mode": "managed", "type": "aws_eip", "values": {"id": "eip-1"}}]}
                            ],
                        }
                    ]
                }
            }
        },
        "resource_changes": [
            plan(["create"], ROLE, after={"name": "lab-node"}),
            plan(["create"], VPC, after={}, deposed="1234"),
            plan(["delete", "create"], SUBNET, before={"id": "subnet-1"}, after={}),
            plan(["no-op"], "module.a.aws_key_pair.b", before={"id": "k"}, after={"id": "k"}),
        ],
    }
    assert [item.address for item in adopt.creates(shown)] == [ROLE]
    expected = {("aws_vpc", "vpc-1"), ("aws_eip", "eip-1"), ("aws_subnet", "subnet-1"), ("aws_key_pair", "k")}
    assert adopt.known(shown) == expected
    assert adopt.known({}) == set()
    assert adopt.creates({}) == []


def test_an_import_is_part_of_what_a_plan_does_to_the_world() -> None:
    """Otherwise a saved plan could go stale without anybody noticing."""
    from infra.plan import terraform as reading

    same = {"id": "vpc-1", "tags": None}
    item = plan(["no-op"], VPC, before=same, after=same)
    assert reading.world({"resource_changes": [item]}) == {}
    item["change"]["importing"] = {"id": "vpc-1"}
    first = reading.world({"resource_changes": [item]})
    assert set(first) == {VPC}
    item["change"]["importing"] = {"id": "vpc-2"}
    assert reading.world({"resource_changes": [item]}) != first
    (change,) = reading.changes({"resource_changes": [item]})
    assert change.action == "import"
    assert change.reasons[0] == "adopted: it exists as vpc-2"


ADDRESSES = [VPC, SUBNET, ROLE, "module.storage_d.aws_efs_file_system.this", "module.pool_a.aws_launch_template.this"]
IDS = ["1", "2", "3"]


@st.composite
def things(draw: st.DrawFn) -> Found:
    address = draw(st.sampled_from(ADDRESSES))
    type_ = create(address).type
    ident = draw(st.sampled_from(IDS))
    owner = draw(st.sampled_from(["lab", "lab", "other", ""]))
    marked = {CLUSTER: owner, ADDRESS: tag_of_address(address)} if owner else {}
    vpc = draw(st.sampled_from(["", "1", "2"])) if type_ == "aws_subnet" else ""
    keys = {name: draw(st.sampled_from(["x", "y"])) for name in KINDS[type_].key}
    when = draw(st.none() | st.integers(-600, 600).map(lambda minutes: NOW + timedelta(minutes=minutes)))
    return Found(type_, ident, marked, keys, vpc=vpc, created=when)


@st.composite
def wishes(draw: st.DrawFn) -> Create:
    address = draw(st.sampled_from(ADDRESSES))
    type_ = create(address).type
    keys = {name: draw(st.sampled_from(["x", "y"]) | st.none()) for name in KINDS[type_].key}
    return create(address, **keys)


@given(
    st.lists(wishes(), unique_by=lambda item: item.address),
    st.lists(things(), unique_by=lambda item: item.key),
    st.sets(st.tuples(st.sampled_from(sorted(KINDS)), st.sampled_from(IDS))),
    st.booleans(),
)
def test_nothing_is_taken_twice_nor_from_anybody(
    wanted: list[Create], there: list[Found], taken: set[adopt.Id], trusting: bool
) -> None:
    rules = Rules("lab", NOW, trusting)
    match = adopt.match(wanted, there, taken, rules)
    keys = [item.key for item in match.imports.values()]
    assert len(keys) == len(set(keys))
    assert not set(keys) & taken
    assert all(item.tags.get(CLUSTER, "lab") in ("", "lab") for item in match.imports.values())
    assert all(address in {create.address for create in wanted} for address in match.imports)
    left = adopt.leftovers(there, taken | set(keys), rules)
    assert not {item.key for item in left.remove} & (taken | set(keys) | {item.key for item in left.kept})
    assert not any(KINDS[item.type].data for item in left.remove)
    assert all(item.tags[CLUSTER] == "lab" for item in (*left.remove, *left.kept))
    assert adopt.match(wanted, there[::-1], taken, rules).imports.keys() == match.imports.keys()


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.type)
def test_every_kind_can_be_removed(kind: Any) -> None:
    from infra.cloud.mending.remove import PLAIN, SPECIAL

    assert (kind.type in PLAIN) + (kind.type in SPECIAL) == (0 if kind.part else 1)
