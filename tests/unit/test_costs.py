"""What a state costs, now and at its largest."""

from __future__ import annotations

from typing import Any

from infra.cloud.pricing import costs, prices


def group(key: str, kind: str, module: str = "module.pool_gpu") -> dict[str, Any]:
    override = [{"instance_type": kind}]
    policy = [{"launch_template": [{"override": override}], "instances_distribution": []}]
    values = {"name": key, "min_size": 0, "max_size": 4, "desired_capacity": 1, "mixed_instances_policy": policy}
    instance = {"index_key": key, "attributes": values}
    return {
        "mode": "managed",
        "type": "aws_autoscaling_group",
        "name": "this",
        "module": module,
        "instances": [instance],
    }


def test_groups_of_one_pool_share_its_maximum() -> None:
    dear, cheap = (prices.instance_cost(name, "us-west-2").known for name in ("p3.16xlarge", "p3.8xlarge"))
    pool = [group("big", "p3.16xlarge"), group("small", "p3.8xlarge")]
    found = costs.of_raw_state({"resources": pool}, "us-west-2")
    assert (found.sum.known, found.full.known) == (dear + cheap, 4 * dear)
    other = group("other", "p3.8xlarge", "module.pool_other")
    assert costs.of_raw_state({"resources": [*pool, other]}, "us-west-2").full.known == 4 * dear + 4 * cheap
