"""The way between the regions: which are joined, the project that joins them, and what is known of their ends.

``INFRA_GOLDEN=write pytest tests/unit/test_links.py`` writes the golden files anew.
"""

from __future__ import annotations

import ipaddress
import json
import os
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.cloud import links as planned
from infra.cloud.mending import known
from infra.cloud.mending.rules import Rules
from infra.cloud.planning import Request
from infra.cloud.project import joining, links
from infra.cloud.project.provider import ProviderLine, online
from infra.cloud.work import Work
from infra.errors import StalePlan
from infra.plan import steps
from infra.plan.drift import drift, lasting
from infra.plan.model import LINKS, Change, Leftover, Plan, RegionPlan, from_data
from infra.plan.words import title
from infra.spec.addresses import region_blocks
from infra.spec.load import load
from infra.spec.models import Cluster

GOLDEN = Path(__file__).parent / "golden" / "root"
LABS = Path(__file__).parents[1] / "labs"
WEST, EAST, EU = "us-west-2", "us-east-1", "eu-west-1"
TABLE = "module.network.aws_route_table."


def research(**parts: Any) -> Cluster:
    return load(LABS / "research-lab.yaml").cluster.model_copy(update=parts)


def pools(*regions: str) -> dict[str, Any]:
    cluster = research()
    return {"cpu": cluster.pools["cpu"].model_copy(update={"regions": list(regions)})}


def existing(*regions: str) -> Any:
    lab = {"vpc": {"id": "vpc-1"}, "private": {"ids": ["subnet-1"]}}
    network = research().network
    return type(network).model_validate({**network.model_dump(), "existing": dict.fromkeys(regions, lab)})


# ---- which


def test_the_regions_with_machines_of_one_cluster_are_joined_and_no_other() -> None:
    assert links.linked(research()) == [WEST, EAST, EU]
    assert links.linked(research(pools=pools(WEST, EU))) == [WEST, EU]
    assert links.linked(research(pools=pools(EU))) == [WEST, EU]  # the control plane is at home
    assert links.linked(research(pools=pools(WEST))) == []
    assert links.linked(research(kubernetes=None)) == []


def test_a_vpc_of_the_lab_is_left_to_the_lab_and_said() -> None:
    cluster = research(network=existing(EU))
    assert links.linked(cluster) == [WEST, EAST] and links.foreign(cluster) == [EU]
    said = joining.sentences(cluster, ['module.control_plane.aws_instance.this["control-plane-1"]'])
    assert any("us-west-2, us-east-1 are joined" in text for text in said)
    assert any(
        text.startswith("the way to eu-west-1 is yours") and "with us-west-2, us-east-1" in text for text in said
    )
    alone = research(network=existing(EU), pools=pools(EU))
    assert links.linked(alone) == [] and links.foreign(alone) == [EU]
    assert links.foreign(research(network=existing(WEST), pools=pools(WEST))) == []


@given(st.integers(8, 22), st.integers(1, 16))
def test_the_networks_of_the_regions_never_overlap(prefix: int, count: int) -> None:
    """AWS refuses a peering of overlapping networks."""
    try:
        blocks = [ipaddress.ip_network(text) for text in region_blocks(f"10.0.0.0/{prefix}", count)]
    except ValueError:
        return  # too small: a rule refuses it
    assert not any(one.overlaps(other) for one, other in combinations(blocks, 2))


# ---- the project


@pytest.mark.parametrize("line", [ProviderLine(3, "= 3.39.0", "http://127.0.0.1:45366"), online()], ids=["3", "6"])
def test_golden(line: ProviderLine) -> None:
    ends = {name: {"vpc": f"vpc-{name}", "public": f"rtb-{name}-0", f"{name}a": f"rtb-{name}-1"} for name in (EU, WEST)}
    text = json.dumps(links.build(research(), {**ends, EAST: {}}, line), indent=2, sort_keys=True) + "\n"
    golden = GOLDEN / f"research-lab.links.{'embedded' if line.major == 3 else 'online'}.json"
    if os.environ.get("INFRA_GOLDEN") == "write":
        golden.write_text(text)
    assert text == golden.read_text()


def test_a_name_says_which_two_are_joined_whatever_their_order() -> None:
    name = links.call(WEST, EAST)
    assert name == links.call(EAST, WEST) == "link_us_east_1__us_west_2"
    assert links.sides(f'module.{name}.aws_route.there["public"]') == (EAST, WEST)
    assert links.sides("module.network.aws_vpc.this") == ()
    assert title(f"module.{name}.aws_vpc_peering_connection.this") == "us-east-1 ↔ us-west-2: VPC peering"
    assert title(f'module.{name}.aws_route.back["public"]') == "us-east-1 ↔ us-west-2: route back public"


def test_what_is_joined_of_a_region() -> None:
    assert links.end("module.network.aws_vpc.this") == "vpc"
    assert links.end(f"{TABLE}public") == "public"
    assert links.end(f'{TABLE}private["us-west-2a"]') == "us-west-2a"
    assert links.end("module.network.aws_subnet.public") == links.end("aws_vpc.vpc-123") == ""
    ids = {links.stand_in(region, name) for region in (WEST, EAST) for name in ("vpc", "public")}
    assert len(ids) == 4 and links.stand_in(WEST, "vpc") in ids


# ---- ends


def thing(address: str, ident: str) -> known.Thing:
    return known.Thing(address, address.split(".")[2].split("[")[0], {"id": ident})


def change(address: str, action: Any, *reasons: str) -> Change:
    return Change(address, "aws_x", action, title(address), reasons)


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The research lab, its regions applied but for the last."""
    states = {
        region: known.Known(
            region,
            (
                thing("module.network.aws_vpc.this", f"vpc-{region}"),
                thing(f"{TABLE}public", f"rtb-{region}-0"),
                thing(f'{TABLE}private["a"]', f"rtb-{region}-1"),
            ),
        )
        for region in (WEST, EAST)
    }
    provider = 'provider["registry.terraform.io/hashicorp/aws"].ap_south_1'
    states[LINKS] = known.Known(LINKS, raw={"resources": [{"provider": provider}]})
    monkeypatch.setattr(known, "read", lambda site, region: states.get(region, known.Known(region)))
    return SimpleNamespace(cluster=research(), ends={})


def test_ends_are_what_is_there_and_stand_ins_for_what_comes(site: Any) -> None:
    there = {
        region: {"vpc": f"vpc-{region}", "public": f"rtb-{region}-0", "a": f"rtb-{region}-1"} for region in (WEST, EAST)
    }
    assert planned.ends(site) == {"ap-south-1": {}, **there}
    plans = (
        RegionPlan(WEST, (change(f"{TABLE}public", "replace"), change("module.network.aws_vpc.this", "update"))),
        RegionPlan(EAST, (change(f'{TABLE}private["a"]', "delete"), change(f'{TABLE}private["b"]', "create"))),
        RegionPlan(EU, (change("module.network.aws_vpc.this", "update", "adopted: it exists as vpc-9"),)),
    )
    assert planned.ends(site, plans) == {
        "ap-south-1": {},
        WEST: {**there[WEST], "public": links.stand_in(WEST, "public")},
        EAST: {"vpc": f"vpc-{EAST}", "public": f"rtb-{EAST}-0", "b": links.stand_in(EAST, "b")},
        EU: {"vpc": links.stand_in(EU, "vpc")},
    }


def test_nobody_plans_links_that_are_not_wanted(site: Any, tmp_path: Path) -> None:
    site.work = Work(tmp_path)
    wanted = Request(rules={LINKS: Rules("research")})  # as --adopt has it for everybody
    for request in (Request(regions=(WEST,)), Request(only=("pools.cpu",)), Request(destroy=True)):
        assert planned.beside(site, request) == []
    assert planned.beside(site, wanted) == []  # the last region is not there yet
    site.cluster = research(pools=pools(WEST, EAST))
    assert planned.beside(site, wanted) == planned.beside(site, Request(only=("network",))) == [LINKS]
    site.cluster = research(pools=pools(WEST))
    assert planned.beside(site, wanted) == []
    (tmp_path / LINKS).mkdir()
    (tmp_path / LINKS / "main.tf.json").write_text("{}")
    assert planned.beside(site, wanted) == [LINKS] and planned.beside(site, Request()) == []


def test_the_second_plan_may_do_no_more_than_was_shown() -> None:
    shown = RegionPlan(
        LINKS,
        tuple(map(change, "abcd", ("create", "replace", "delete", "update"))),
        world={"a": "1", "b": "2", "c": "3", "d": "4"},
    )

    def fresh(world: dict[str, str], **actions: Any) -> list[str]:
        changes = tuple(change(address, action) for address, action in actions.items())
        return [item.address for item in planned.unforeseen(shown, RegionPlan(LINKS, changes, world=world))]

    assert fresh({"a": "1"}, a="create") == []
    assert fresh({"a": "9"}, a="create") == ["a"]
    assert fresh({"b": "9", "d": "9"}, b="create", d="create") == []  # it went with its table
    assert fresh({"c": "9"}, c="delete") == []
    assert fresh({"a": "1", "c": "9", "x": "1"}, a="delete", c="create", x="create") == ["a", "c", "x"]


def test_what_is_planned_again_keeps_what_is_left_over_or_says_what_is_new(
    site: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = change("module.link_a__b.x.y", "create")
    loose = (Leftover("aws_vpc_peering_connection", "pcx-1"),)
    shown = RegionPlan(LINKS, (made,), world={made.address: "1"}, waits=(WEST,), leftovers=loose)
    answers = [RegionPlan(LINKS, (made,), world={made.address: world}, file=world) for world in "12"]
    monkeypatch.setattr("infra.cloud.planning.plan_region", lambda *_: answers.pop(0))
    assert planned.again(site, replace(shown, waits=())).file == ""  # nothing to wait for: as it was
    fresh = planned.again(site, shown)
    assert (fresh.file, fresh.leftovers) == ("1", loose) and fresh.ends[WEST]["vpc"] == f"vpc-{WEST}"
    with pytest.raises(StalePlan, match="links: with the regions there"):
        planned.again(site, shown)


# ---- order, drift


def plan(*regions: RegionPlan, destroy: bool = False) -> Plan:
    return Plan("lab", "2026-11-22T00:00:00Z", "ada@lab", "spec", "cluster.yaml", {}, regions, destroy=destroy)


def test_the_links_come_after_what_they_join_and_go_before_it() -> None:
    west, east, eu = (RegionPlan(name, (change("module.network.x.y", "create"),)) for name in (WEST, EAST, EU))
    between = RegionPlan(LINKS, (change("module.link_a__b.x.y", "create"),), waits=(WEST, EAST), ends={WEST: {}})
    made = plan(west, east, eu, between)
    assert from_data(made.data()) == made and made.names == [WEST, EAST, EU]
    assert [(step.name, step.after) for step in steps.of(made)] == [
        (WEST, ()),
        (EAST, ()),
        (EU, ()),
        (LINKS, (f"terraform:{WEST}", f"terraform:{EAST}")),
    ]
    gone = steps.of(plan(between, west, east, destroy=True))
    assert [(step.name, step.after) for step in gone] == [
        (LINKS, ()),
        (WEST, ("terraform:links",)),
        (EAST, ("terraform:links",)),
    ]


def route(network: str, **target: str) -> dict[str, Any]:
    return {"cidr_block": network, "gateway_id": "", "vpc_peering_connection_id": "", **target}


def test_a_route_of_the_links_is_no_drift_of_its_table_and_a_foreign_one_is() -> None:
    ours = {"route_table_id": "rtb-1", "destination_cidr_block": "0.0.0.0/0"}
    theirs = ("aws_route", {"route_table_id": "rtb-1", "destination_cidr_block": "10.41.0.0/16"})
    routes = [route("0.0.0.0/0", gateway_id="igw-1"), route("10.41.0.0/16", vpc_peering_connection_id="pcx-1")]
    before: dict[str, Any] = {"id": "rtb-1", "route": []}
    after = {**before, "route": routes}
    state: list[tuple[str, str, dict[str, Any]]] = [
        (f"{TABLE}public", "aws_route_table", after),
        ("module.network.aws_route.public", "aws_route", ours),
    ]

    def shown(values: dict[str, Any]) -> dict[str, Any]:
        resources = [
            {"address": address, "type": kind, "mode": "managed", "values": one} for address, kind, one in state
        ]
        item = {"address": f"{TABLE}public", "type": "aws_route_table", "mode": "managed"}
        moved = {"actions": ["update"], "before": before, "after": values}
        return {
            "prior_state": {"values": {"root_module": {"resources": resources}}},
            "resource_drift": [{**item, "change": moved}],
        }

    assert drift(shown(after), [theirs]) == [] and lasting(state, [theirs]) == []
    alone = drift(shown(after))
    assert len(alone) == 1 and "10.41.0.0/16" in alone[0].reasons[0]
    more = {**after, "route": [*routes, route("172.20.0.0/16", vpc_peering_connection_id="pcx-1")]}
    assert "172.20.0.0/16" in drift(shown(more), [theirs])[0].reasons[0]
    kept = lasting([(f"{TABLE}public", "aws_route_table", more), state[1]], [theirs])
    assert len(kept) == 1 and "172.20.0.0/16" in kept[0].reasons[0]
