"""A plan as a person reads it: golden files under ``golden/plan_*.txt``."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.plan.model import Change, Cost, ImageStep, Machine, NodeStep, Plan, RegionPlan, Silent, from_data
from infra.plan.words import title
from infra.ui import plan_rows, plan_view
from tests.unit.render import golden, render

NEW = ("new in cluster.yaml",)


def to(action: Any, name: str, *reasons: str, profile: str = "gpu", **rest: Any) -> NodeStep:
    return NodeStep(name, action, profile, "a" * 64, "metal.titan", reasons=reasons, **rest)


def change(action: Any, address: str, *reasons: str, **rest: Any) -> Change:
    kind = next(step for step in address.replace("[", ".").split(".") if step.startswith("aws_"))
    return Change(address, kind, action, title(address), reasons or (NEW if action == "create" else ()), **rest)


def plan(*regions: RegionPlan, **rest: Any) -> Plan:
    given: dict[str, Any] = {"engine": {}, "spec": "0" * 64, "spec_file": "/home/ada/cluster.yaml", **rest}
    return Plan("lab", "2026-11-22T01:02:03Z", "ada@laptop", prices_date="2026-07-20", regions=regions, **given)


def network(zones: int = 2) -> list[Change]:
    found = [change("create", "module.network.aws_vpc.this", about="10.40.0.0/16")]
    found.append(change("create", 'module.network.aws_nat_gateway.this["a"]', after=Cost(0.045, usage=("NAT data",))))
    for zone in "abc"[:zones]:
        for kind in ("subnet.private", "subnet.public", "route_table.private", "route_table_association.private"):
            found.append(change("create", f'module.network.aws_{kind}["{zone}"]'))
    found.append(change("create", "module.network.aws_eip.nat", after=Cost(0.005)))
    return [*found, change("create", "module.network.aws_flow_log.rejects", after=Cost(usage=("logs",)))]


def machines() -> list[Change]:
    group = change(
        "create",
        "module.pool_gpu.aws_autoscaling_group.this",
        about="2 of 0 to 16 × p3.8xlarge, p3.16xlarge, spot",
        after=Cost(24.48, bound=True),
    )
    hosts = [
        change(
            "create",
            f'module.host_dev.aws_instance.this["dev-{number}"]',
            about="g4dn.xlarge, 100 GB, public",
            after=Cost(0.526, unknown=("EBS gp3 in xx-north-1",)),
        )
        for number in (1, 2)
    ]
    return [group, change("create", "module.pool_gpu.aws_launch_template.this"), *hosts]


FIRST = RegionPlan(
    "us-west-2",
    (*network(), *machines()),
    after=Cost(25.58, unknown=("EBS gp3 in xx-north-1",), usage=("NAT data", "logs"), bound=True),
    full=Cost(200.0, bound=True),
    limits=("pools.gpu: EFA interfaces are left out (AWS provider 3.39.0 has no argument for it)",),
)
MOVED = RegionPlan(
    "us-west-2",
    (
        change(
            "update", "module.pool_cpu.aws_autoscaling_group.this", "max_size 4 → 8", before=Cost(1.5), after=Cost(1.5)
        ),
        change(
            "replace",
            "module.storage_home.aws_efs_file_system.this",
            "encrypted false → true forces a new one",
            irreversible="every file on it is lost",
        ),
        change(
            "delete",
            'module.host_old.aws_instance.this["old-1"]',
            "no longer in cluster.yaml",
            irreversible="everything on its disk is lost",
            before=Cost(0.1),
            about="m5.large, 100 GB",
        ),
        change("delete", 'module.network.aws_subnet.private["c"]', "no longer in cluster.yaml"),
        change("delete", 'module.network.aws_subnet.public["c"]', "no longer in cluster.yaml"),
        change("create", 'module.network.aws_subnet.private["a"]', "is gone: deleted outside of infra"),
        change("import", "module.identity.aws_iam_role.this", "adopted: it exists as lab-node"),
    ),
    drift=(change("delete", 'module.network.aws_subnet.private["a"]', "is gone: deleted outside of infra"),),
    before=Cost(1.6),
    after=Cost(1.5),
)
METAL = tuple(
    Machine(
        f"titan-{number:02}", "titan", "gpu", f"ubuntu@titan-{number:02}", "4 × titan-x", ("ubuntu-22.04", "CUDA 12.9")
    )
    for number in range(1, 9)
)
WARNING = {
    "level": "warning",
    "rule": "spot",
    "where": "cluster.yaml:3",
    "what": "spot can be taken away",
    "why": "",
    "fix": "say on-demand",
}

PLANS = {
    "first": plan(FIRST),
    "details": plan(FIRST),
    "changes": plan(MOVED),
    "regions": plan(
        FIRST,
        RegionPlan("us-east-1"),
        RegionPlan("eu-west-1", tuple(network(3)), after=Cost(unknown=("NAT gateway in eu-west-1",))),
        machines=METAL,
        warnings=(WARNING,),
        notes=("physical machines are listed as the file wants them",),
    ),
    "empty": plan(RegionPlan("us-west-2", before=Cost(2.0), after=Cost(2.0))),
    "destroy": plan(
        RegionPlan(
            "us-west-2",
            (
                change("delete", "module.network.aws_vpc.this", "no longer wanted"),
                change("delete", 'module.network.aws_subnet.private["a"]', "no longer wanted"),
                change("delete", "module.network.aws_route_table.public", "no longer wanted"),
                change(
                    "delete",
                    "module.storage_out.aws_s3_bucket.this",
                    "no longer wanted",
                    irreversible="every object in it must be gone first",
                ),
            ),
            before=Cost(2.0),
        ),
        destroy=True,
    ),
    "back": plan(MOVED, as_of="3", spec_file="/home/ada/record 3 (cluster.yaml of 2026-11-01)"),
    "metal": plan(machines=METAL[:2]),
    "nodes": plan(
        RegionPlan("us-west-2", tuple(network()), awaits={"ami-00": "gpu"}),
        machines=METAL[:2],
        images=(ImageStep("bake", "gpu", "a" * 64, ("us-west-2",), ("nvidia.driver 575 → 580",)),),
        nodes=(
            *(to("converge", f"titan-0{n}", "575 → 580", before="c" * 64, reboot=True) for n in range(1, 6)),
            to("bootstrap", "titan-07", "never converged"),
            to("converge", "desk", "sysctl net.core.somaxconn is 128, was 4096", before="a" * 64, profile="cpu"),
        ),
        settled=("dev-1", "dev-2"),
        silent=(Silent("titan-06", "no answer within 10 s", "is it on? ping titan-06"), Silent("titan-08", "x")),
    ),
    "images": plan(
        RegionPlan("us-west-2"),
        images=(
            ImageStep("bake", "gpu", "a" * 64, ("us-west-2", "us-east-1"), ("nvidia.driver 575 → 580",)),
            ImageStep("promote", "cpu", "b" * 64, ("us-west-2",), ("docker 27 → 28",), {"us-west-2": "ami-0b"}),
        ),
    ),
}


@pytest.mark.parametrize("name", PLANS)
def test_golden(name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    text = render(plan_view.show, PLANS[name], name == "details", monkeypatch=monkeypatch, capsys=capsys)
    golden(f"plan_{name}.txt", text)


def test_a_plan_survives_its_json() -> None:
    for shown in PLANS.values():
        assert from_data(shown.data()) == shown


ADDRESSES = st.sampled_from([item.address for item in (*FIRST.changes, *MOVED.changes)])
ACTIONS = st.sampled_from(["create", "update", "replace", "delete", "import", "forget"])
CHANGES = st.lists(
    st.builds(
        lambda action, address, lost, cost: change(action, address, "because", irreversible=lost, after=Cost(cost)),
        ACTIONS,
        ADDRESSES,
        st.sampled_from(["", "it is lost"]),
        st.floats(0, 100),
    ),
    max_size=30,
)


@given(CHANGES, st.booleans())
def test_every_change_is_in_one_row_and_what_is_lost_in_one_of_its_own(changes: list[Change], details: bool) -> None:
    rows = plan_rows.rows(changes, details)
    assert sorted(map(id, (one for row in rows for one in row))) == sorted(map(id, changes))
    for row in rows:
        assert len({one.action for one in row}) == 1
        assert plan_rows.label(row)
        if any(one.irreversible or one.action in ("update", "replace") for one in row) or details:
            assert len(row) == 1
    lost = [bool(row[0].irreversible) for row in rows]
    assert lost == sorted(lost, reverse=True), "what cannot be undone comes first"
    for row in rows:
        if row[0].irreversible:
            assert "IRREVERSIBLE" in plan_rows.why(row)
