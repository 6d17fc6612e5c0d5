"""The modules and roots we emit are what the AWS provider accepts: 6.62 by its bindings, 3.39 by its own schema."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from infra.cloud.project import links, modules, root
from infra.cloud.project.provider import ProviderLine, online
from infra.spec.load import load
from tests import provider_schema as check

LABS = sorted((Path(__file__).parents[1] / "labs").glob("*.yaml"))
LINES = {
    "online": online(),
    "online, another endpoint": online("http://127.0.0.1:1"),
    "embedded": ProviderLine(3, "= 3.39.0", "http://127.0.0.1:1"),
}


@pytest.fixture(scope="module", params=[6, 3])
def major(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture(scope="module")
def ours() -> dict[int, dict[str, check.Module]]:
    return {major: check.parse(modules.rendered(major)) for major in (6, 3)}


def test_the_excerpts_are_of_the_providers_we_support() -> None:
    assert check.schema(6)["source"]["provider"] == "6.62.0"
    assert check.schema(3)["source"]["provider"] == "3.39.0"


def test_modules(major: int, ours: dict[int, dict[str, check.Module]]) -> None:
    assert {"network", "identity", "pool", "host", "control_plane"} <= set(ours[major])
    assert check.problems(ours[major], check.schema(major)) == []


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("lab", LABS, ids=lambda path: path.stem)
def test_roots(lab: Path, line: str, ours: dict[int, dict[str, check.Module]]) -> None:
    cluster, chosen = load(lab).cluster, LINES[line]
    for region in cluster.aws.regions if cluster.aws else []:
        built = root.build(cluster, region, chosen)
        assert check.root_problems(built, ours[chosen.major], check.schema(chosen.major)) == []
    if joined := links.linked(cluster):
        between = links.build(cluster, {name: {"vpc": "vpc-1", "public": "rtb-1"} for name in joined}, chosen)
        assert check.root_problems(between, ours[chosen.major], check.schema(chosen.major)) == []


# ---- the checker itself


def found(text: str, major: int = 6, **others: str) -> list[str]:
    sources = {"m/main.tf": text} | {f"{name}/main.tf": source for name, source in others.items()}
    return check.problems(check.parse(sources), check.schema(major))


GROUP = """
resource "aws_autoscaling_group" "this" {
  min_size = 0
  max_size = 1
  %s
}
"""

SPEC = 'launch_template_specification {\n launch_template_id = "lt"\n }'


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('resource "aws_vpcc" "x" {}', "m: aws_vpcc.x: the provider's excerpt has no such type"),
        ('resource "aws_subnet" "x" {}', "m: aws_subnet.x: vpc_id is required"),
        ('data "aws_ssm_parameter" "x" {}', "m: data.aws_ssm_parameter.x: name is required"),
        ('resource "aws_vpc" "x" { cidr = "10.0.0.0/16" }', "m: aws_vpc.x: cidr is no argument"),
        ('resource "aws_vpc" "x" { owner_id = "1" }', "m: aws_vpc.x: owner_id can only be read"),
        ('resource "aws_eip" "x" { vpc = true }', "m: aws_eip.x: vpc is no argument"),
        ('resource "aws_vpc" "x" { timeout {} }', "m: aws_vpc.x: timeout is no block"),
        ('resource "aws_vpc" "x" { tags {} }', "m: aws_vpc.x: tags is no block, but an argument"),
        ('resource "aws_vpc" "x" { tags = "x" }', "m: aws_vpc.x: tags is a map(string)"),
        ('resource "aws_vpc" "x" { cidr_block = ["10.0.0.0/16"] }', "m: aws_vpc.x: cidr_block is a string"),
        (
            'resource "aws_s3_bucket" "x" { acl = "private" }',
            "m: aws_s3_bucket.x: acl is deprecated: use the resource of its own",
        ),
        (
            'resource "aws_s3_bucket" "x" {\n versioning {\n enabled = true\n }\n }',
            "m: aws_s3_bucket.x: versioning is deprecated: use the resource of its own",
        ),
        (
            GROUP % "launch_template {\n versions = 1\n }",
            "m: aws_autoscaling_group.this.launch_template: versions is no argument",
        ),
        (GROUP % "launch_template = null", "m: aws_autoscaling_group.this: launch_template is a block"),
        (
            GROUP % "launch_template {}\n launch_template {}",
            "m: aws_autoscaling_group.this: there can be only one block launch_template",
        ),
        (
            GROUP % 'dynamic "tag" {\n for_each = {}\n content {\n key = 1\n value = 2\n }\n }',
            "m: aws_autoscaling_group.this.tag: propagate_at_launch is required",
        ),
        (
            GROUP % 'dynamic "tags" {\n for_each = {}\n content {}\n }',
            "m: aws_autoscaling_group.this: tags is no block",
        ),
        (
            GROUP % "mixed_instances_policy {\n launch_template {\n override {\n types = []\n }\n %s\n }\n }" % SPEC,
            "m: aws_autoscaling_group.this.mixed_instances_policy.launch_template.override: types is no argument",
        ),
        (
            GROUP % "mixed_instances_policy {\n launch_template {}\n }",
            "m: aws_autoscaling_group.this.mixed_instances_policy.launch_template:"
            " launch_template_specification is required",
        ),
        (
            'resource "aws_security_group" "x" {\n ingress {\n from_ports = 1\n }\n }',
            "m: aws_security_group.x.ingress: from_ports is no argument",
        ),
        ('output "x" { value = aws_vpc.gone.id }', "m: aws_vpc.gone is not declared"),
        (
            'resource "aws_vpc" "x" {}\noutput "x" { value = aws_vpc.x.ip }',
            "m: aws_vpc.x.ip: there is no such attribute",
        ),
        (
            'data "aws_region" "x" {}\noutput "x" { value = data.aws_region.x.name }',
            "m: data.aws_region.x.name is deprecated: use region",
        ),
        ('output "x" { value = "a ${var.gone}" }', "m: var.gone is not declared"),
        ('output "x" { value = local.gone }', "m: local.gone is not declared"),
    ],
)
def test_a_planted_mistake_is_found(text: str, problem: str) -> None:
    assert found(text) == [problem]


CHILD = 'variable "needed" { type = string }\nvariable "free" { default = 1 }\noutput "told" { value = var.needed }'


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('module "c" { source = "../gone" }', "m: module.c: there is no module ../gone"),
        ('module "c" { source = "../child" }', "m: module.c: needed is required"),
        (
            'module "c" {\n source = "../child"\n needed = 1\n neeeded = 1\n }',
            "m: module.c: neeeded is no variable of the module child",
        ),
        (
            'module "c" {\n source = "../child"\n needed = 1\n }\noutput "x" { value = module.c.tell }',
            "m: module.c.tell: the module child has no such output",
        ),
    ],
)
def test_a_wrong_call_is_found(text: str, problem: str) -> None:
    assert found(text, child=CHILD) == [problem]


def test_what_is_right_is_not_complained_about() -> None:
    text = """
    variable "on" {
      description = "see var.gone and module.gone.it"
    }
    locals { names = ["a"] }
    # aws_vpc.gone.id in a comment
    resource "aws_vpc" "x" {
      for_each   = toset(local.names)
      cidr_block = var.on ? "10.0.0.0/16" : null
      tags       = { "infra:address" = "module.n.aws_vpc.gone.x" }
      lifecycle { ignore_changes = [tags] }
    }
    resource "aws_security_group" "x" {
      vpc_id = aws_vpc.x["a"].id
      ingress { from_port = 1 }
      egress = []
    }
    module "c" {
      source = "../child"
      needed = 1
    }
    output "x" { value = [aws_vpc.x["a"].arn, module.c.told] }
    """
    assert found(text, child=CHILD) == []


def test_the_embedded_provider_has_its_own_schema() -> None:
    text = 'resource "aws_vpc_security_group_egress_rule" "x" {\n security_group_id = "sg"\n ip_protocol = "-1"\n }'
    assert found(text) == []
    assert found(text, major=3) == ["m: aws_vpc_security_group_egress_rule.x: the provider's excerpt has no such type"]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"provider": {"aws": {"regions": []}}}, "provider.aws: regions is no argument"),
        ({"provider": {"aws": {"endpoints": [{"ec3": "x"}]}}}, "provider.aws.endpoints: ec3 is no argument"),
        ({"provider": {"aws": {"s3_force_path_style": True}}}, "provider.aws: s3_force_path_style is no argument"),
        ({"data": {"aws_ami": {"x": {"owner": ["a"]}}}}, "data.aws_ami.x: owner is no argument"),
        ({"data": {"aws_ami": {"x": {"filter": {"name": "a"}}}}}, "data.aws_ami.x.filter: values is required"),
        ({"module": {"c": {"source": "./modules/child"}}}, "module.c: needed is required"),
        ({"output": {"x": {"value": "${module.gone.it}"}}}, "module.gone.it: there is no such call"),
    ],
)
def test_a_mistake_planted_in_a_root_is_found(change: dict[str, Any], problem: str) -> None:
    good: dict[str, Any] = {
        "provider": {"aws": {"region": "us-west-2", "endpoints": [{"ec2": "http://x"}]}},
        "data": {"aws_ami": {"x": {"owners": ["a"], "filter": {"name": "n", "values": ["v"]}}}},
        "module": {"c": {"source": "./modules/child", "needed": "${data.aws_ami.x.id}"}},
        "output": {"x": {"value": "${module.c.told}"}},
    }
    children = check.parse({"child/main.tf": CHILD})
    assert check.root_problems(good, children, check.schema(6)) == []
    assert problem in check.root_problems(good | change, children, check.schema(6))
