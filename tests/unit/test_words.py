"""Terraform addresses in the words of cluster.yaml, and the way back for --only."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.cloud.project.terms import identifier
from infra.plan import words


@pytest.mark.parametrize(
    ("address", "title"),
    [
        ("module.network.aws_vpc.this", "network: VPC"),
        ('module.network.aws_subnet.private["us-west-2a"]', "network: subnet private us-west-2a"),
        ("module.pool_gpu.aws_launch_template.this", "pool gpu: launch template"),
        ('module.pool_gpu_big.aws_autoscaling_group.this["all"]', "pool gpu-big: Auto Scaling group"),
        (
            'module.pool_gpu.aws_autoscaling_group.this["p3.8xlarge.us-west-2a"]',
            "pool gpu: Auto Scaling group p3.8xlarge.us-west-2a",
        ),
        ('module.host_dev.aws_instance.this["dev-1"]', "host dev: instance dev-1"),
        ("module.storage_home.aws_efs_file_system.this", "storage home: EFS file system"),
        ("module.control_plane.aws_lb.api", "control plane: load balancer api"),
        ("module.security.module.nodes.aws_security_group.this", "security: security group nodes"),
        ('module.x["a.b"].aws_eip.this[0]', "x: public address 0"),
        ("aws_sns_topic.alarms", "cluster: sns topic alarms"),
        ("aws_vpc.main", "cluster: VPC"),
    ],
)
def test_titles(address: str, title: str) -> None:
    assert words.title(address) == title


@given(st.text(max_size=40))
def test_any_address_has_a_title(address: str) -> None:
    assert isinstance(words.title(address), str)


NAMES = st.from_regex(r"[a-z]([a-z0-9-]{0,10}[a-z0-9])?", fullmatch=True)


@given(NAMES, st.sampled_from([("pools", "pool"), ("hosts", "host"), ("storage", "storage")]))
def test_a_part_is_a_module_and_back(name: str, group: tuple[str, str]) -> None:
    module = words.module(f"{group[0]}.{name}")
    assert module == f"{group[1]}_{identifier(name)}"
    assert words.part(f"module.{module}.aws_vpc.this") == f"{group[1]} {name}"


@pytest.mark.parametrize(
    ("part", "module"), [("network", "network"), ("identity", "identity"), ("control-plane", "control_plane")]
)
def test_parts_that_stand_alone(part: str, module: str) -> None:
    assert words.module(part) == module
