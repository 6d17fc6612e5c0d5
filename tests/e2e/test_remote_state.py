"""State in S3: the bucket is made, the lock that a killed run leaves is shown, released, and work goes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from infra.cloud import aws, aws_s3, locks, remote_state
from infra.cloud.aws import Session
from infra.cloud.work import Work
from infra.errors import Refused, StateLocked
from infra.spec.load import load
from infra.spec.models import Aws, Cluster
from tests.conftest import SLICE, Infra
from tests.e2e import embedded
from tests.e2e.faulty_aws import Call, Refusal, serve, wait_until

pytestmark = pytest.mark.engine

REGION = "us-west-2"
SPEC = SLICE + "state: {s3: {bucket: lab-state, prefix: prod, region: us-west-2}}\n"


def opened(infra: Infra, spec: str = SPEC) -> tuple[Session, Cluster, Work]:
    """The embedded AWS is up, and cluster.yaml is there."""
    path = infra.write(spec)
    url = embedded.start(infra.env)
    cluster = load(path).cluster
    assert cluster.aws is not None
    return aws.session(cluster.aws, url), cluster, Work.of(cluster, path)


def test_the_bucket_is_made_protected_and_said_once(infra: Infra) -> None:
    session, cluster, _ = opened(infra)
    said: list[str] = []
    assert remote_state.ensure_bucket(session, cluster, said.append)
    assert not remote_state.ensure_bucket(session, cluster, said.append)
    assert said == ["made the state bucket s3://lab-state in us-west-2: private, encrypted, versioned"]
    client = session.client("s3", REGION)
    assert client.get_bucket_versioning(Bucket="lab-state")["Status"] == "Enabled"
    assert all(client.get_public_access_block(Bucket="lab-state")["PublicAccessBlockConfiguration"].values())
    rules = client.get_bucket_encryption(Bucket="lab-state")["ServerSideEncryptionConfiguration"]["Rules"]
    assert rules[0]["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"
    # The embedded AWS speaks plain http: a bucket that refuses that would be locked for us too.
    with pytest.raises(ClientError, match="NoSuchBucketPolicy"):
        client.get_bucket_policy(Bucket="lab-state")
    tags = {item["Key"]: item["Value"] for item in client.get_bucket_tagging(Bucket="lab-state")["TagSet"]}
    assert tags["infra:managed-by"] == "infra"
    assert session.client("s3", REGION).get_bucket_location(Bucket="lab-state")["LocationConstraint"] == REGION


def test_the_bucket_refuses_what_is_not_encrypted_on_the_way() -> None:
    policy = aws_s3.tls_only("lab-state", "us-gov-west-1")
    (statement,) = policy["Statement"]  # type: ignore[misc]
    assert statement["Effect"] == "Deny"
    assert statement["Resource"] == ["arn:aws-us-gov:s3:::lab-state", "arn:aws-us-gov:s3:::lab-state/*"]
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert aws_s3.has_tls(aws.session(Aws(regions=[REGION])))
    assert not aws_s3.has_tls(aws.session(Aws(regions=[REGION], endpoint="http://127.0.0.1:9")))


def test_a_bucket_that_a_killed_run_left_half_made_is_finished(infra: Infra) -> None:
    session, cluster, _ = opened(infra)
    where = {"LocationConstraint": REGION}
    session.client("s3", REGION).create_bucket(Bucket="lab-state", CreateBucketConfiguration=where)
    said: list[str] = []
    assert not remote_state.ensure_bucket(session, cluster, said.append)
    assert "finished the empty state bucket" in said[0]
    assert cluster.state.s3 is not None
    assert remote_state.lacks(session, cluster.state.s3) == []


def test_a_bucket_in_use_is_left_as_it_is_and_spoken_of(infra: Infra) -> None:
    session, cluster, _ = opened(infra)
    where = {"LocationConstraint": REGION}
    session.client("s3", REGION).create_bucket(Bucket="lab-state", CreateBucketConfiguration=where)
    aws_s3.write(session, REGION, "lab-state", "other", b"{}")
    said: list[str] = []
    assert not remote_state.ensure_bucket(session, cluster, said.append)
    assert "lacks versioning" in said[0]
    assert "Status" not in session.client("s3", REGION).get_bucket_versioning(Bucket="lab-state")


def test_a_bucket_elsewhere_or_of_somebody_else_is_refused(infra: Infra) -> None:
    session, cluster, _ = opened(infra)
    where = {"LocationConstraint": "eu-west-1"}
    session.client("s3", "eu-west-1").create_bucket(Bucket="lab-state", CreateBucketConfiguration=where)
    with pytest.raises(Refused, match="is in eu-west-1, not in us-west-2") as caught:
        remote_state.ensure_bucket(session, cluster)
    assert "region: eu-west-1" in caught.value.text()
    assert cluster.aws is not None
    for said_to_head, said_to_put in (("404", "BucketAlreadyExists"), ("403", "")):
        refusals = [
            Refusal("", status=int(said_to_head), when=lambda call: call.method == "HEAD"),
            Refusal(said_to_put, "The requested bucket name is not available.", 409, when=_makes_bucket),
        ]
        with serve(refusals, session.endpoint) as faulty, pytest.raises(Refused, match="not this account's") as caught:
            remote_state.ensure_bucket(aws.session(cluster.aws, faulty.url), cluster)
        assert "choose another name in cluster.yaml, such as lab-state-" in caught.value.text()


def _makes_bucket(call: Call) -> bool:
    return call.method == "PUT"


def test_objects_are_written_once_and_removed_only_as_they_were_seen(infra: Infra) -> None:
    session, cluster, _ = opened(infra)
    assert aws_s3.read(session, REGION, "lab-state", "log/1.json") is None
    assert aws_s3.keys(session, REGION, "lab-state", "log/") == []
    remote_state.ensure_bucket(session, cluster)
    first = aws_s3.write(session, REGION, "lab-state", "log/1.json", b"{}", new=True)
    with pytest.raises(Refused, match="wrote it first"):
        aws_s3.write(session, REGION, "lab-state", "log/1.json", b"[]", new=True)
    stored = aws_s3.read(session, REGION, "lab-state", "log/1.json")
    assert stored is not None
    assert (stored.body, stored.etag) == (b"{}", first)
    assert aws_s3.keys(session, REGION, "lab-state", "log/") == ["log/1.json"]
    second = aws_s3.write(session, REGION, "lab-state", "log/1.json", b"[]")
    assert not aws_s3.remove(session, REGION, "lab-state", "log/1.json", first)
    assert aws_s3.remove(session, REGION, "lab-state", "log/1.json", second)
    assert not aws_s3.remove(session, REGION, "lab-state", "log/1.json", second)


def test_a_killed_run_leaves_a_lock_that_is_shown_and_released(infra: Infra) -> None:
    session, cluster, work = opened(infra)
    remote_state.ensure_bucket(session, cluster)
    said = infra.folder / "said.txt"
    with said.open("wb") as out:
        run = subprocess.Popen(
            [sys.executable, "-m", "infra", "apply", "--yes"],
            cwd=infra.folder,
            env=infra.env,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
        )
    worker = 0
    try:
        lock = _held_by_apply(session, cluster, run, said)
        worker = lock.pid
        assert lock.alive
        assert lock.operation == "terraform apply"
        refused = infra("unlock", "--yes", code=1)
        assert "is at work: process" in refused.err
        assert any(item["owner_alive"] for item in infra("unlock", "--json").json["locks"])
    finally:
        for pid in filter(None, (run.pid, worker)):
            os.kill(pid, signal.SIGKILL)
        run.wait(timeout=10)
    assert wait_until(lambda: locks.run_lock(work) is not None and not locks.run_lock(work).blocks, 10)  # type: ignore[union-attr]

    before = {item["kind"]: item for item in infra("unlock", "--json").json["locks"]}
    assert before["s3"]["owner_alive"] is False
    assert before["s3"]["blocks"] is True
    assert 0 <= before["s3"]["age_seconds"] < 120
    assert before["run"]["blocks"] is False

    planned = infra("plan", code=1)
    assert "the state is locked by" in planned.err
    assert "infra unlock" in planned.err

    shown = infra("unlock", code=1)
    assert "us-west-2: terraform apply by" in shown.out
    assert "its owner is dead" in shown.out
    assert "nobody is there to say yes" in shown.err

    assert "Released" in infra("unlock", "--yes").out
    assert infra("unlock").out.strip() == "Nothing is locked."
    assert infra("plan", code=None).code in (0, 2)


def test_a_lock_that_changed_hands_is_not_released(infra: Infra) -> None:
    session, cluster, _ = opened(infra)
    remote_state.ensure_bucket(session, cluster)
    key = locks.lock_key(cluster, REGION)
    first = {"ID": "1", "Who": "ada@elsewhere", "Operation": "OperationTypeApply", "Created": "2026-01-02T03:04:05.1Z"}
    aws_s3.write(session, REGION, "lab-state", key, json.dumps(first).encode())
    lock = locks.s3_lock(session, cluster, REGION)
    assert lock is not None
    assert lock.alive is None
    assert lock.created is not None
    assert lock.created.isoformat() == "2026-01-02T03:04:05.100000+00:00"
    aws_s3.write(session, REGION, "lab-state", key, json.dumps({**first, "ID": "2"}).encode())
    with pytest.raises(StateLocked, match="another lock by now"):
        locks.release(lock, cluster, session)
    assert aws_s3.read(session, REGION, "lab-state", key) is not None
    second = locks.s3_lock(session, cluster, REGION)
    assert second is not None
    locks.release(second, cluster, session)
    assert locks.s3_lock(session, cluster, REGION) is None
    locks.release(second, cluster, session)


def test_a_damaged_lock_is_shown_and_released(infra: Infra) -> None:
    session, cluster, _ = opened(infra)
    remote_state.ensure_bucket(session, cluster)
    for body in (b"", b"{", b"[]", b'{"Created": "soon"}'):
        aws_s3.write(session, REGION, "lab-state", locks.lock_key(cluster, REGION), body)
        lock = locks.s3_lock(session, cluster, REGION)
        assert lock is not None
        assert lock.alive is None
        age = lock.age()
        assert age is not None, "without a word in it, the object's own time counts"
        assert age < 120
        locks.release(lock, cluster, session)
        assert locks.s3_lock(session, cluster, REGION) is None


def test_locks_of_a_local_state(infra: Infra) -> None:
    _, cluster, work = opened(infra, SLICE)
    folder = work.region(REGION)
    folder.mkdir(parents=True)
    info = folder / ".terraform.tfstate.lock.info"
    info.write_text('{"ID":"x","Who":"ada@laptop","Operation":"OperationTypeApply","Created":"2026-01-02T03:04:05Z"}')
    state = folder / "terraform.tfstate"
    state.write_text("{}")
    dead = locks.state_lock(folder, REGION)
    assert dead is not None
    assert (dead.alive, dead.blocks, dead.pid) == (False, False, 0)
    holder = _hold(state)
    try:
        living = locks.state_lock(folder, REGION)
        assert living is not None
        assert (living.alive, living.blocks, living.pid) == (True, True, holder.pid)
        with pytest.raises(Refused, match=f"process {holder.pid} lives"):
            locks.release(living, cluster, None, force=True)
        assert f"process {holder.pid}" in infra("unlock", "--yes", code=1).err
    finally:
        holder.kill()
        holder.wait(timeout=10)
        assert holder.stdout is not None
        holder.stdout.close()
    assert "stops nobody" in infra("unlock", "--yes").out
    assert not info.exists()
    assert infra("unlock").out.strip() == "Nothing is locked."


def _hold(path: Path) -> subprocess.Popen[bytes]:
    """A process that holds a POSIX write lock on the file, as Terraform does."""
    code = (
        "import fcntl, sys, time; f = open(sys.argv[1], 'r+'); fcntl.lockf(f, fcntl.LOCK_EX); "
        "print('held', flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE)
    assert holder.stdout is not None
    assert holder.stdout.readline().strip() == b"held"
    return holder


def _held_by_apply(session: Session, cluster: Cluster, run: subprocess.Popen[bytes], said: Path) -> locks.Lock:
    end = time.monotonic() + 90
    while time.monotonic() < end and run.poll() is None:
        lock = locks.s3_lock(session, cluster, REGION)
        if lock is not None and lock.operation == "terraform apply" and lock.pid:
            return lock
        time.sleep(0.02)
    raise AssertionError(f"apply never held the lock (exit code {run.poll()}):\n{said.read_text()}")
