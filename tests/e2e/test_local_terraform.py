"""The embedded Terraform and its provider on the embedded AWS: signals, prompts, state in S3, and a whole life."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from infra.local import control, endpoint, engine, inventory, mirror
from tests.conftest import clean_environment

pytestmark = pytest.mark.engine

REGION = "us-west-2"
SLOW = """
resource "terraform_data" "slow" {
  provisioner "local-exec" { command = "touch started; sleep 2" }
}
resource "terraform_data" "next" {
  input = terraform_data.slow.id
}
"""
BACKEND = """
terraform {
  backend "s3" {
    bucket                      = "state"
    key                         = "a/us-west-2.tfstate"
    region                      = "us-west-2"
    encrypt                     = true
    use_lockfile                = true
    use_path_style              = true
    skip_credentials_validation = true
    skip_metadata_api_check     = true
    skip_requesting_account_id  = true
  }
}
"""
CLUSTER = (Path(__file__).parent / "local_cluster.tf").read_text(encoding="utf-8")


@dataclass
class Terraform:
    """The embedded engine in one folder."""

    folder: Path
    env: dict[str, str]

    def __call__(self, *args: str, code: int = 0, stdin: str = "") -> str:
        done = subprocess.run(
            [*engine.terraform_command(), *args],
            cwd=self.folder,
            env=self.env,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def start(self, *args: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*engine.terraform_command(), *args],
            cwd=self.folder,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def write(self, text: str) -> None:
        (self.folder / "main.tf").write_text(text, encoding="utf-8")

    def wait_for(self, name: str) -> None:
        limit = time.monotonic() + 60
        while not (self.folder / name).exists():
            assert time.monotonic() < limit
            time.sleep(0.05)


@pytest.fixture
def plain(tmp_path: Path) -> Terraform:
    """Terraform without any AWS."""
    return Terraform(tmp_path, clean_environment(engine.engine_environment(None)))


@pytest.fixture
def terraform(
    tmp_path: Path, session_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Terraform]:
    """Terraform that sees only an embedded AWS of its own."""
    monkeypatch.setenv("INFRA_LOCAL_DIR", str(tmp_path / "aws"))
    monkeypatch.setenv("XDG_CACHE_HOME", session_environment["XDG_CACHE_HOME"])
    if not mirror.covered():
        pytest.skip("the embedded provider does not run on this platform")
    url = control.up().url
    env = endpoint.environment(REGION, url, clean_environment())
    env |= engine.engine_environment(mirror.cli_config()) | {"TF_VAR_url": url}
    folder = tmp_path / "project"
    folder.mkdir()
    yield Terraform(folder, env)
    control.down()


def test_is_the_version_that_it_says_and_takes_no_module_from_the_folder(plain: Terraform) -> None:
    (plain.folder / "ctypes.py").write_text("raise SystemExit('taken from the working folder')")
    assert f"Terraform v{engine.VERSION}" in plain("version")


def test_exit_codes_and_prompts(plain: Terraform) -> None:
    plain.write('resource "terraform_data" "a" {}')
    plain("init", "-no-color")
    plain("plan", "-detailed-exitcode", code=2)
    assert "cancelled" in plain("apply", "-no-color", code=1, stdin="no\n")
    assert "Apply complete" in plain("apply", "-no-color", stdin="yes\n")
    plain("plan", "-detailed-exitcode", code=0)
    plain("output", "nothing", "-bogus", code=1)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_lets_it_stop_and_keep_its_state(plain: Terraform, number: signal.Signals) -> None:
    plain.write(SLOW)
    plain("init")
    with plain.start("apply", "-auto-approve", "-no-color") as running:
        plain.wait_for("started")
        os.kill(running.pid, number)
        out, _ = running.communicate(timeout=30)
    assert running.returncode == 1
    assert "Interrupt received" in out
    assert "terraform_data.slow" in plain("state", "list")
    assert not (plain.folder / ".terraform.tfstate.lock.info").exists()


def test_a_kill_leaves_the_lock_with_its_owner(plain: Terraform) -> None:
    plain.write(SLOW)
    plain("init")
    with plain.start("apply", "-auto-approve") as running:
        plain.wait_for("started")
        os.killpg(running.pid, signal.SIGKILL)
    assert running.returncode == -signal.SIGKILL
    lock = json.loads((plain.folder / ".terraform.tfstate.lock.info").read_text())
    assert lock["Operation"] == "OperationTypeApply"


def test_state_in_s3_is_locked(terraform: Terraform) -> None:
    import boto3

    s3 = boto3.client("s3", **endpoint.session_arguments(REGION, terraform.env["AWS_ENDPOINT_URL"]))  # type: ignore[call-overload]
    s3.create_bucket(Bucket="state", CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.put_bucket_versioning(Bucket="state", VersioningConfiguration={"Status": "Enabled"})
    terraform.write(BACKEND + SLOW)
    terraform("init")
    with terraform.start("apply", "-auto-approve", "-no-color") as first:
        terraform.wait_for("started")
        refused = terraform("apply", "-auto-approve", "-no-color", code=1)
        out, _ = first.communicate(timeout=30)
    assert "Error acquiring the state lock" in refused
    assert "PreconditionFailed" in refused
    assert first.returncode == 0, out
    assert [o["Key"] for o in s3.list_objects_v2(Bucket="state")["Contents"]] == ["a/us-west-2.tfstate"]
    terraform("plan", "-detailed-exitcode", code=0)
    s3.close()


def test_a_clusters_life(terraform: Terraform) -> None:
    terraform.write(CLUSTER)
    terraform("init")
    link = terraform.folder / ".terraform/providers/registry.terraform.io/hashicorp/aws/3.39.0/linux_amd64"
    assert link.is_symlink()  # nobody copies 177 MB
    terraform("apply", "-auto-approve", "-no-color")
    assert "No changes" in terraform("plan", "-detailed-exitcode", "-no-color")
    before = {r.id for r in inventory.resources() if r.type == "aws_instance"}
    assert len(before) == 2

    terraform("state", "rm", "aws_placement_group.pool")
    terraform("import", "-no-color", "aws_placement_group.pool", "t-pool")

    terraform("apply", "-auto-approve", "-no-color", "-var", "boot=two")
    after = {r.id for r in inventory.resources() if r.type == "aws_instance"}
    assert len(after) == 2
    assert not after & before  # the instance refresh has replaced them
    assert "No changes" in terraform("plan", "-detailed-exitcode", "-no-color", "-var", "boot=two")

    state = json.loads((terraform.folder / "terraform.tfstate").read_text())
    known = {resource["type"] for resource in state["resources"]}
    assert {r.type for r in inventory.resources() if not r.owner} <= known
    terraform("destroy", "-auto-approve", "-no-color")
    assert inventory.resources() == []


def test_an_action_that_is_not_emulated_fails_at_once(terraform: Terraform) -> None:
    head = CLUSTER[: CLUSTER.index("# ---")]
    terraform.write(
        head
        + """
resource "aws_ec2_capacity_reservation" "none" {
  instance_type     = "m5.large"
  instance_platform = "Linux/UNIX"
  availability_zone = "us-west-2a"
  instance_count    = 1
}
"""
    )
    terraform("init")
    began = time.monotonic()
    said = terraform("apply", "-auto-approve", "-no-color", code=1)
    assert "does not emulate ec2:CreateCapacityReservation" in said
    assert time.monotonic() - began < 30
