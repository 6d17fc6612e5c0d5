"""What an apply made and nobody recorded: found, adopted or removed, and said; damaged files are mended.

One cluster is made once and goes from test to test: each leaves it as its cluster.yaml says.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from infra.local.endpoint import session_arguments
from tests.conftest import Infra
from tests.e2e.killing import Id, Server, state_ids

pytestmark = pytest.mark.engine

REGION = "us-west-2"
SPEC = """\
version: 1
cluster: lost
aws: {regions: [us-west-2], endpoint: local}
network: {zones: 1, nat: none, flow_logs: false}
profiles: {cpu: {}}
pools:
  one: {profile: cpu, instance_types: [m5.large], size: {max: 2}}
"""
TWO = SPEC + "  two: {profile: cpu, instance_types: [m5.large], size: {max: 2}}\n"
STORED = SPEC + "storage: {datasets: {efs: {}, mount: /data}}\n"


@dataclass
class Lab:
    """A cluster that exists, in the folder that manages it."""

    infra: Infra

    @property
    def work(self) -> Path:
        return self.infra.folder / ".infra" / "lost@local"

    @property
    def state(self) -> Path:
        return self.work / REGION / "terraform.tfstate"

    @property
    def known(self) -> set[Id]:
        return state_ids(self.work / REGION)

    @property
    def there(self) -> set[Id]:
        return Server.of(self.infra).asked_for()

    def client(self, service: str) -> Any:
        import boto3

        return boto3.client(service, **session_arguments(REGION, Server.of(self.infra).record.url))

    @property
    def last(self) -> dict[str, Any]:
        """The record of the last apply."""
        paths = sorted((self.work / "log").glob("*.json"))
        data: dict[str, Any] = json.loads(paths[-1].read_text())
        return data

    def forget(self, wanted: Callable[[dict[str, Any]], bool]) -> None:
        """As if a kill had come before Terraform recorded some resources."""
        data = json.loads(self.state.read_text())
        data["resources"] = [item for item in data["resources"] if not wanted(item)]
        self.state.write_text(json.dumps(data))
        self.doubt()

    def doubt(self) -> None:
        """As if the last apply had been killed."""
        last = self.last
        number = last["number"] + 1
        record = {
            **last,
            "number": number,
            "pid": 1,
            "status": "running",
            "ended": "",
            "started": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "regions": {REGION: {"status": "running"}},
        }
        (self.work / "log" / f"{number:04}.json").write_text(json.dumps(record))

    def settled(self) -> None:
        """Nothing is to be done, nothing is unknown, and the next plan does not look into AWS again."""
        again = self.infra("plan", code=0)
        assert "no changes" in again.out
        assert self.there <= self.known

    def back(self) -> None:
        """To the file that every test begins with."""
        self.infra.write(SPEC)
        self.infra("apply", "--yes", "--lose-data")
        self.settled()


def of(module: str) -> Callable[[dict[str, Any]], bool]:
    return lambda item: item.get("module", "") == module and item["mode"] == "managed"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, session_environment: dict[str, str]) -> Iterator[Lab]:
    base = tmp_path_factory.mktemp("adopt")
    (base / "lab").mkdir()
    infra = Infra(base / "lab", {**session_environment, "INFRA_LOCAL_DIR": str(base / "aws")})
    infra.write(SPEC)
    Server.of(infra)
    infra("apply", "--yes")
    yield Lab(infra)
    infra("local", "down", code=None, timeout=60)


def test_a_lost_state_is_not_a_reason_for_a_second_cluster(lab: Lab, tmp_path: Path) -> None:
    """Another folder without a state: refused, until somebody says to take the cluster over."""
    other = Lab(Infra(tmp_path, lab.infra.env))
    other.infra.write(SPEC)
    before = lab.there
    refused = other.infra("apply", "--yes", code=1)
    assert "a cluster 'lost' is in us-west-2 already, and no state here knows it" in refused.err
    assert "infra plan --adopt" in refused.err
    assert lab.there == before
    planned = other.infra("plan", "--adopt", "--json", code=2).json
    changes = {change["address"]: change for change in planned["regions"][0]["changes"]}
    vpc = changes["module.network.aws_vpc.this"]
    assert vpc["action"] == "import"
    assert vpc["reasons"][0].startswith("adopted: it exists as vpc-")
    assert {change["action"] for change in changes.values()} <= {"import", "update", "create"}
    other.infra("apply")
    other.settled()
    assert other.there == before
    lab.settled()


def test_a_state_that_is_cut_off_comes_back_and_what_is_newer_is_adopted(lab: Lab) -> None:
    lab.infra.write(TWO)
    lab.infra("apply", "--yes")
    older = json.loads(lab.state.read_text())
    older["resources"] = [item for item in older["resources"] if not of("module.pool_two")(item)]
    (lab.state.with_name("terraform.tfstate.good")).write_text(json.dumps(older))
    text = lab.state.read_text()
    lab.state.write_text(text[: len(text) // 2])
    planned = lab.infra("plan", code=2)
    assert "the state was damaged (kept as terraform.tfstate.broken); the last good one is back" in planned.out
    adopted = ['module.pool_two.aws_autoscaling_group.this["all"]', "module.pool_two.aws_launch_template.this"]
    lab.infra("apply")
    assert lab.last["regions"][REGION]["adopted"] == adopted
    lab.settled()


def test_an_empty_state_comes_back(lab: Lab) -> None:
    lab.state.write_text("")
    said = lab.infra("plan", code=0)
    assert "the state was empty; the last good one is back (terraform.tfstate.good" in said.out
    lab.settled()


def test_without_any_older_state_everything_is_adopted(lab: Lab) -> None:
    for path in lab.state.parent.glob("terraform.tfstate.*"):
        path.unlink()
    lab.state.write_text("{")
    planned = lab.infra("plan", code=2)
    assert "there is no older one: what it knew is looked for in AWS" in planned.out
    lab.infra("apply")
    lab.settled()


def test_what_nothing_stands_for_is_removed_and_said(lab: Lab) -> None:
    """The pool was made, not recorded, and is then taken out of the file."""
    lab.infra.write(TWO)
    lab.infra("apply", "--yes")
    before = lab.there
    lab.forget(of("module.pool_two"))
    lab.infra.write(SPEC)
    planned = lab.infra("plan", "--details", code=2)
    assert "left over: an unfinished apply made it and no state knows it" in planned.out
    assert "2 to delete" in planned.out
    applied = lab.infra("apply")
    assert "Auto Scaling group lost-two: destroyed" in applied.out
    gone = before - lab.there
    assert {type_ for type_, _ in gone} == {"aws_autoscaling_group", "aws_launch_template"}
    lab.settled()


def test_parts_of_the_file_say_nothing_about_the_others(lab: Lab) -> None:
    """With --only, what the plan does not make is not left over."""
    lab.infra.write(TWO)
    lab.infra("apply", "--yes")
    lab.forget(of("module.pool_two"))
    partial = lab.infra("plan", "--only", "pools.one", code=None)
    assert "left over" not in partial.out
    lab.infra("apply", "--yes", code=None)
    lab.infra("apply", "--yes")
    lab.settled()
    lab.back()


def test_what_may_hold_data_is_kept_until_it_is_wanted_again(lab: Lab) -> None:
    lab.infra.write(STORED)
    lab.infra("apply", "--yes")
    before = lab.there
    lab.forget(lambda item: item.get("module", "").startswith("module.storage_datasets") and item["mode"] == "managed")
    lab.infra.write(SPEC)
    planned = lab.infra("plan", code=None)
    assert "storage datasets: EFS file system fs-" in planned.out
    assert "is kept, because it holds or may hold data" in planned.out
    lab.infra("apply", "--yes")
    assert {item for item in before if item[0] == "aws_efs_file_system"} <= lab.there
    assert "is kept" in lab.infra("plan", code=0).out
    lab.infra.write(STORED)
    lab.infra("apply", "--yes")
    assert lab.there == before
    lab.settled()
    lab.back()


def test_of_two_with_the_same_address_the_unused_one_goes(lab: Lab) -> None:
    tags = [
        {"Key": "Name", "Value": "lost"},
        {"Key": "infra:cluster", "Value": "lost"},
        {"Key": "infra:address", "Value": "module.network.aws_vpc.this"},
    ]
    ec2 = lab.client("ec2")
    before = lab.there
    twin = ec2.create_vpc(CidrBlock="10.99.0.0/16", TagSpecifications=[{"ResourceType": "vpc", "Tags": tags}])["Vpc"]
    ec2.create_subnet(VpcId=twin["VpcId"], CidrBlock="10.99.1.0/24")
    assert lab.infra("plan", code=0)  # nothing is in doubt, so nobody looks
    lab.forget(lambda item: item["type"] == "aws_vpc")
    refused = lab.infra("apply", "--yes", code=1)
    assert "DependencyViolation" in refused.err or "depends on it" in refused.err or "in use" in refused.err
    ec2.delete_subnet(
        SubnetId=ec2.describe_subnets(Filters=[{"Name": "vpc-id", "Values": [twin["VpcId"]]}])["Subnets"][0]["SubnetId"]
    )
    applied = lab.infra("apply", "--yes")
    assert f"VPC {twin['VpcId']}" in applied.out
    assert lab.there == before
    lab.settled()


def test_what_belongs_to_another_cluster_is_left_alone_and_said(lab: Lab) -> None:
    s3 = lab.client("s3")
    s3.create_bucket(Bucket="lost-results", CreateBucketConfiguration={"LocationConstraint": REGION})
    tags = {"TagSet": [{"Key": "infra:cluster", "Value": "other"}]}
    s3.put_bucket_tagging(Bucket="lost-results", Tagging=tags)
    lab.infra.write(SPEC + "storage: {results: {s3: {bucket: lost-results}, mount: /results}}\n")
    lab.infra("apply", "--yes", code=1)
    planned = lab.infra("plan", code=2)
    assert "lost-results is there already and belongs to the cluster other" in planned.out
    s3.put_bucket_tagging(Bucket="lost-results", Tagging={"TagSet": []})
    assert "adopted: it exists as lost-results" in lab.infra("plan", "--adopt", code=2).out
    lab.infra("apply")
    lab.settled()
    lab.back()


def test_a_state_that_could_not_be_written_is_brought_home(lab: Lab) -> None:
    good = json.loads(lab.state.read_text())
    errored = lab.state.with_name("errored.tfstate")
    errored.write_text(json.dumps({**good, "serial": good["serial"] + 1}))
    lab.state.write_text(json.dumps({**good, "resources": good["resources"][:3]}))
    said = lab.infra("plan", code=0)
    assert "the state that an apply could not write (errored.tfstate) is where it belongs now" in said.out
    assert not errored.exists()
    lab.settled()


def test_an_initialisation_that_was_cut_off_is_done_again(lab: Lab) -> None:
    folder = lab.state.parent / ".terraform"
    (folder / "infra-ready").unlink()
    (folder / "modules" / "modules.json").write_text('{"Modules":[')
    lab.settled()
    (folder / "infra-ready").unlink()
    for link in (folder / "providers").rglob("linux_amd64"):
        link.unlink()
        link.mkdir()
    lab.settled()
