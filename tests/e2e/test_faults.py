"""What goes wrong outside: each a clear error with a fix, exit code 1, no traceback, in bounded time; and it goes on
from there when the cause is gone."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from infra.cloud import engine as engines
from infra.cloud.terraform import Terraform
from infra.errors import ExpiredCredentials, NoCredentials
from infra.local import mirror
from tests.conftest import SLICE, Infra
from tests.e2e import embedded
from tests.e2e.faulty_aws import Call, Refusal, serve

pytestmark = pytest.mark.engine

root_only = pytest.mark.skipif(os.getuid() != 0 or sys.platform != "linux", reason="needs root on Linux")
ONLINE = SLICE.replace(", endpoint: local", "")


def service(name: str) -> Callable[[Call], bool]:
    return lambda call: call.service == name


def action(name: str) -> Callable[[Call], bool]:
    return lambda call: call.action == name


REFUSALS = {
    "expired": Refusal("ExpiredToken", "The security token included in the request is expired", 403),
    "invalid-credentials": Refusal("AuthFailure", "AWS was not able to validate the provided access credentials", 401),
    "access-denied": Refusal("UnauthorizedOperation", "You are not authorized to perform this operation.", 403),
    "region-disabled": Refusal("OptInRequired", "You are not subscribed to this service.", 401),
    "throttled": Refusal("RequestLimitExceeded", "Request limit exceeded.", 503),
}


def test_aws_refuses_while_planning(infra: Infra) -> None:
    infra.write(SLICE)
    for rule, refusal in REFUSALS.items():
        only_ec2 = Refusal(refusal.code, refusal.message, refusal.status, when=service("ec2"))
        with embedded.refusing(infra.env, [only_ec2]):
            started = time.monotonic()
            error = infra("plan", "--json", code=1, timeout=120).json["error"]
            assert time.monotonic() - started < 90
            if rule == "expired":
                shown = infra("plan", code=1).err
        assert [problem["rule"] for problem in error["problems"]] == [rule], "the same refusal is said once"
        assert error["problems"][0]["fix"]
        assert error["problems"][0]["where"].startswith("us-west-2: ")
    assert "the AWS credentials have expired" in shown
    assert "fix: get new ones: aws sso login" in shown
    assert not (infra.folder / ".infra" / "demo@local" / "plan.json").exists()
    assert infra("plan", code=2).code == 2


def test_throttling_that_ends_is_not_an_error(infra: Infra) -> None:
    infra.write(SLICE)
    some = [Refusal("RequestLimitExceeded", "Request limit exceeded.", 503, times=2, when=service("ec2"))]
    with embedded.refusing(infra.env, some) as faulty:
        infra("plan", code=2, timeout=120)
        assert faulty.refused[0] == 2


def test_aws_refuses_while_applying_and_the_rerun_goes_on(infra: Infra) -> None:
    infra.write(SLICE)
    words = "You are not authorized to perform this operation. Encoded authorization failure message: AbCd-123"
    denied = [Refusal("UnauthorizedOperation", words, 403, when=action("CreateLaunchTemplate"))]
    with embedded.refusing(infra.env, denied):
        refused = infra("apply", "--yes", code=1)
    assert "AWS does not allow" in refused.err
    assert "module.pool_cpu.aws_launch_template" in refused.err
    assert "decode-authorization-message --encoded-message AbCd-123" in refused.err
    infra("apply", "--yes")
    assert "no changes" in infra("plan", code=0).out


def test_a_quota_that_is_used_up(infra: Infra) -> None:
    infra.write(SLICE)
    used_up = [Refusal("VpcLimitExceeded", "The maximum number of VPCs has been reached.", when=action("CreateVpc"))]
    with embedded.refusing(infra.env, used_up):
        refused = infra("apply", "--yes", code=1)
    assert "quota of VPCs is used up" in refused.err
    assert "--quota-code L-F678F1CE" in refused.err


def test_aws_that_does_not_answer_is_given_up(infra: Infra) -> None:
    infra.write(SLICE)
    infra("plan", code=2)
    code = "import infra.cloud.terraform as t; t.PLAN_DEADLINE = 8; from infra.cli.main import main; main(['plan'])"
    with embedded.refusing(infra.env, [Refusal("", hang=300, when=service("ec2"))]):
        started = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=infra.folder,
            env=infra.env,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    assert done.returncode == 1
    assert time.monotonic() - started < 60
    assert "did not end within 8 s" in done.stderr
    assert "Traceback" not in done.stderr
    infra("plan", code=2)


def test_no_network_online(infra: Infra) -> None:
    """Nothing answers: the provider cannot be fetched, and the error says how to go on without."""
    infra.write(ONLINE)
    env = {"HTTPS_PROXY": "http://127.0.0.1:1", "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret-x"}
    refused = infra("plan", code=1, timeout=180, **env)
    assert "cannot be downloaded" in refused.err
    assert "endpoint: local" in refused.err


@root_only
def test_no_network_embedded(infra: Infra) -> None:
    """The embedded AWS needs no network at all: only loopback."""
    infra.write(SLICE)
    loopback = (
        "import fcntl, os, socket, struct, sys; s = socket.socket(); "
        "fcntl.ioctl(s, 0x8914, struct.pack('16sh22x', b'lo', 1)); s.close(); os.execv(sys.executable, sys.argv[1:])"
    )
    run = [sys.executable, "-c", loopback, sys.executable, "-m", "infra", "plan"]
    done = subprocess.run(
        ["unshare", "--net", *run],
        cwd=infra.folder,
        env=infra.env,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    # The server outlives the namespace's first process and can only be asked to end from inside: do it by its record.
    record = json.loads((Path(infra.env["INFRA_LOCAL_DIR"]) / "server.json").read_text(encoding="utf-8"))
    os.kill(record["pid"], 15)
    if "Operation not permitted" in done.stderr:
        pytest.skip("no network namespaces here")
    assert done.returncode == 2, done.stderr


def test_no_credentials_before_anything_is_made(infra: Infra) -> None:
    infra.write(ONLINE + "state: {s3: {bucket: lab-state, region: us-west-2}}\n")
    refused = infra("plan", code=1, AWS_EC2_METADATA_DISABLED="true")
    assert "no AWS credentials were found" in refused.err
    assert "--endpoint local" in refused.err


@pytest.fixture
def bare(tmp_path: Path, infra: Infra) -> Iterator[Terraform]:
    """The real engine and provider on a project of two lines, without any credentials in sight."""
    folder = tmp_path / "us-west-2"
    folder.mkdir()
    if not mirror.covered():
        pytest.skip("no embedded provider here")
    url = embedded.start(infra.env)
    code = "from infra.local import mirror; print(mirror.cli_config())"
    said = subprocess.run([sys.executable, "-c", code], env=infra.env, capture_output=True, text=True, check=True)
    env = {**infra.env, "TF_CLI_CONFIG_FILE": said.stdout.strip(), "AWS_EC2_METADATA_DISABLED": "true"}
    provider = {"region": "us-west-2", "skip_metadata_api_check": True, "max_retries": 1}
    project = {
        "terraform": {"required_providers": {"aws": {"source": "hashicorp/aws", "version": mirror.EMBEDDED}}},
        "provider": {"aws": {**provider, "endpoints": {"sts": url, "ec2": url}}},
        "resource": {"aws_vpc": {"main": {"cidr_block": "10.0.0.0/16"}}},
    }
    (folder / "main.tf.json").write_text(json.dumps(project))
    terraform = Terraform(engines.choose(), folder, env)
    terraform.init()
    yield terraform


def test_terraform_without_credentials(bare: Terraform) -> None:
    with pytest.raises(NoCredentials) as caught:
        bare.plan(Path("plan.tfplan"))
    assert "aws configure" in caught.value.text()


def test_terraform_with_expired_credentials(bare: Terraform) -> None:
    words = "The security token included in the request is expired"
    with serve([Refusal("ExpiredToken", words, 403)]) as faulty:
        path = bare.folder / "main.tf.json"
        project = json.loads(path.read_text())
        project["provider"]["aws"]["endpoints"] = {"sts": faulty.url, "ec2": faulty.url}
        path.write_text(json.dumps(project))
        bare.env = {**bare.env, "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret-for-test"}
        with pytest.raises(ExpiredCredentials) as caught:
            bare.plan(Path("plan.tfplan"))
    assert "have expired" in caught.value.text()


@pytest.fixture
def small_disk(infra: Infra) -> Iterator[Path]:
    """The lab's folder on a file system of one megabyte."""
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(infra.folder)], capture_output=True, check=False
    )
    if done.returncode:
        pytest.skip("no mount here")
    try:
        yield infra.folder
    finally:
        subprocess.run(["umount", "-l", str(infra.folder)], check=True)


@root_only
@pytest.mark.parametrize("free", [0, 8, 100])
def test_a_full_disk_while_planning(infra: Infra, small_disk: Path, free: int) -> None:
    """With ``free`` KB left a plan is made or it is not: nothing is half written, and it goes on afterwards."""
    infra.write(SLICE)
    filler = fill(small_disk, free)
    done = infra("plan", code=None)
    assert done.code in (1, 2)
    if done.code == 1:
        assert any(words in done.err for words in ("disk is full", "No space left on device")), done.err
        assert "free some" in done.err
    whole(small_disk)
    filler.unlink()
    infra("plan", code=2)


@root_only
def test_a_full_disk_while_applying(infra: Infra, small_disk: Path) -> None:
    infra.write(SLICE)
    infra("plan", code=2)
    filler = fill(small_disk, 0)
    done = infra("apply", code=1)
    assert any(words in done.err for words in ("disk is full", "No space left on device")), done.err
    whole(small_disk)
    filler.unlink()
    infra("apply", "--yes")
    assert "no changes" in infra("plan", code=0).out


def test_files_that_may_not_grow(infra: Infra) -> None:
    """Any user can try this one: a limit on the size of files instead of a full disk."""
    infra.write(SLICE)
    embedded.start(infra.env)
    done = subprocess.run(
        [sys.executable, "-m", "infra", "plan"],
        cwd=infra.folder,
        env=infra.env,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)),
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "File too large" in done.stderr
    whole(infra.folder)
    infra("plan", code=2)


def fill(folder: Path, free: int) -> Path:
    """Fill the file system but for ``free`` KB."""
    path = folder / "filler"
    room = shutil.disk_usage(folder).free - free * 1024
    with path.open("wb") as out:
        out.write(b"x" * max(room, 0))
    return path


def whole(folder: Path) -> None:
    """Every JSON file of ours is whole, and no temporary file was left."""
    for path in (folder / ".infra").rglob("*"):
        if ".terraform" in path.parts or not path.is_file():
            continue
        if path.suffix == ".json" and path.name != "lock.json":
            json.loads(path.read_text(encoding="utf-8"))
        assert not path.name.startswith((".main.tf.json.", ".plan.json.")), path
