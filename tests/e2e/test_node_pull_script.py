"""chef/bin/pull against an S3 that checks its signatures: what it does, what it refuses, and what it leaves behind."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.policy import tar
from tests.s3 import S3, serve

CHEF = Path(__file__).resolve().parents[2] / "chef"
SHELL = shutil.which("dash") or "/bin/sh"
# The programs that pull calls, as a test tells them to be: they say what they did, and leave what the real ones would.
CONVERGE = r"""#!/bin/sh
here=$(cd "$(dirname "$0")/.." && pwd -P) state=$INFRA_PREFIX/var/lib/infra digest=${here##*/}
echo "converge $*" >>"$INFRA_PREFIX/did"
code=$(cat "$INFRA_PREFIX/exit" 2>/dev/null || echo 0)
[ $code != 75 ] || { echo 'converge: another' >&2; exit 75; }
case $code in 0) status=converged ;; 37) status=reboot ;; *) status=failed ;; esac
cat >"$state/report.json" <<END
{
  "format": 1,
  "status": "$status",
  "exit": $code,
  "digest": "$digest",
  "failed": {
    "resource": "apt_package[x]",
    "message": "no \"x\"\nat all"
  }
}
END
[ "$code" = 0 ] || echo 'converge: failed' >&2
[ "$status" = failed ] || ln -sfn "$digest" "$state/policy/current"
exit "$code"
"""
SMOKE = """#!/bin/sh
echo "smoke $*" >>"$INFRA_PREFIX/did"
[ -e "$INFRA_PREFIX/ill" ] || exit 0
printf '%s\\n' '{"result": "fail", "checks": [' '  {"name": "docker", "status": "FAIL", "what": "gone"}' ']}'
exit 1
"""
MANIFEST = """#!/bin/sh
echo "manifest $*" >>"$INFRA_PREFIX/did"
"""

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl here")


def archive(mark: str) -> bytes:
    about = {"layers": {"research": "b" * 64, "system": "a" * 64}, "profile": "gpu"}
    texts = {"bin/converge": CONVERGE, "bin/smoke": SMOKE, "bin/manifest": MANIFEST, "mark": mark}
    for name in ("aws", "pull", "pull.s3"):
        texts[f"bin/{name}"] = (CHEF / "bin" / name).read_text()
    texts["policy.json"] = json.dumps(about, indent=2, sort_keys=True) + "\n"
    return tar.pack({path: text.encode() for path, text in texts.items()})


@dataclass
class Machine:
    """A folder that stands for a machine's root, converged to a first policy."""

    root: Path
    s3: S3
    reboot: str = ""
    said: str = field(default="", init=False)

    def __post_init__(self) -> None:
        for folder in ("etc/infra", "var/lib/infra/policy", "run/infra"):
            (self.root / folder).mkdir(parents=True)
        self.write(
            "etc/infra/pull.env", f"AWS_ACCESS_KEY_ID={self.s3.key}\nexport AWS_SECRET_ACCESS_KEY='{self.s3.secret}'\n"
        )
        (self.root / "etc/infra/pull.env").chmod(0o600)
        self.configure()
        first = archive("first")
        digest = hashlib.sha256(first).hexdigest()
        home = self.root / "var/lib/infra/policy" / digest
        home.mkdir()
        subprocess.run(["tar", "-x", "-C", home], input=first, check=True)
        node = {"profile": "gpu", "digest": digest, "layers": {}, "converged": "2026", "origin": "image"}
        self.write("var/lib/infra/node.json", json.dumps(node))
        self.write("var/lib/infra/report.json", f'{{\n  "status": "converged",\n  "digest": "{digest}"\n}}\n')
        self.publish(first)

    def configure(self, **more: str) -> None:
        told = {
            "BUCKET": "lab",
            "REGION": "us-west-2",
            "PREFIX": "research/",
            "PROFILE": "gpu",
            "ENDPOINT": self.s3.url,
        }
        self.write("etc/infra/pull.conf", "".join(f"{key}='{value}'\n" for key, value in {**told, **more}.items()))

    def write(self, path: str, text: str) -> None:
        (self.root / path).write_text(text)

    def publish(self, raw: bytes, mark: str = "") -> str:
        digest = hashlib.sha256(raw).hexdigest()
        self.s3.objects[f"lab/research/policies/{digest}.tar"] = raw
        self.point(digest)
        return digest

    def point(self, digest: str) -> None:
        text = json.dumps({"digest": digest, "when": "2026-01-01T00:00:00Z", "who": 'a "digest": "b"'}, indent=2)
        self.s3.objects["lab/research/promoted/gpu.json"] = text.encode()

    def pull(self, *words: str, code: int = 0, **env: str) -> dict[str, Any]:
        """The report that S3 has afterwards ({} for none); all that it did and asked is of this run alone."""
        self.write("did", "")
        self.s3.asked.clear()
        script = next((self.root / "var/lib/infra/policy").glob("*/bin/pull"))
        done = subprocess.run(
            [SHELL, str(script), *words],
            env={"PATH": os.environ["PATH"], "INFRA_PREFIX": str(self.root), "INFRA_PULL_PATIENCE": "1", **env},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        self.said = done.stdout + done.stderr
        assert done.returncode == code, self.said
        assert not list((self.root / "var/lib/infra/policy").glob(".*")), "something is left"
        assert [path.name for path in (self.root / "run/infra").iterdir() if path.is_dir()] == []
        assert self.s3.secret not in self.said
        found = [raw for path, raw in self.s3.objects.items() if path.startswith("lab/research/reports/gpu/")]
        report: dict[str, Any] = json.loads(found[0]) if found else {}
        return report

    @property
    def did(self) -> list[str]:
        return (self.root / "did").read_text().splitlines()

    @property
    def node(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.root / "var/lib/infra/node.json").read_text())
        return found

    def policies(self) -> set[str]:
        return {path.name for path in (self.root / "var/lib/infra/policy").iterdir()} - {"current"}


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    with serve(S3()) as s3:
        yield Machine(tmp_path, s3)
        assert s3.wrong == []


def test_a_new_policy_is_fetched_converged_tested_and_recorded(machine: Machine) -> None:
    first = machine.node["digest"]
    quiet = machine.pull()
    assert machine.did == [] and machine.s3.asked[0].split("/")[-1] == "gpu.json"
    assert (quiet["status"], quiet["digest"], quiet["wanted"], quiet["exit"]) == ("converged", first, first, 0)

    second = machine.publish(archive("second"))
    report = machine.pull()
    assert machine.did == ["converge --wait 0", "smoke --json", "manifest --save"]
    assert machine.node == {
        "converged": machine.node["converged"],
        "digest": second,
        "layers": {"research": "b" * 64, "system": "a" * 64},
        "origin": "image",
        "profile": "gpu",
    }
    assert (report["status"], report["digest"], report["profile"], report["interval"]) == (
        "converged",
        second,
        "gpu",
        30,
    )
    assert report["when"].endswith("Z") and len(report["boot_id"]) == 36 and report["reboot_pending"] is False
    assert machine.policies() == {first, second}

    # Nothing new costs one conditional request, and the report.
    assert machine.pull()["digest"] == second
    assert [line.split()[0] for line in machine.s3.asked] == ["GET", "PUT"] and machine.did == []

    # Back to the first: it is there already.
    machine.point(first)
    assert machine.pull()["digest"] == first == machine.node["digest"]
    assert not [line for line in machine.s3.asked if line.endswith(".tar")]


def test_somebody_elses_converge_is_mended(machine: Machine) -> None:
    machine.write("var/lib/infra/report.json", '{\n  "status": "failed",\n  "digest": "other"\n}\n')
    machine.pull()
    assert machine.did[0] == "converge --wait 0"


def test_a_converge_that_fails_is_reported_and_tried_less_and_less_often(machine: Machine) -> None:
    first = machine.node["digest"]
    second = machine.publish(archive("second"))
    machine.write("exit", "1")
    report = machine.pull(code=1)
    assert (report["status"], report["exit"], report["digest"], report["wanted"]) == ("failed", 1, first, second)
    assert (report["resource"], report["message"]) == ("apt_package[x]", 'no "x"\nat all')
    assert machine.node["digest"] == first and machine.did == ["converge --wait 0"]
    assert machine.node["converged"] == ""  # nobody may take it for what it was

    failures = machine.root / "var/lib/infra/pull/failures"
    again = machine.pull(code=1)  # too early
    assert machine.did == [] and "failed here before" in machine.said
    assert (again["status"], again["resource"]) == ("failed", "apt_package[x]")
    machine.pull("--now", code=1)
    assert machine.did and failures.read_text().split()[1] == "2"
    digest, count, last = failures.read_text().split()
    failures.write_text(f"{digest} {count} {int(last) - 31 * 60}\n")
    machine.pull(code=1)
    assert machine.did == []  # twice: after two intervals
    failures.write_text(f"{digest} {count} {int(last) - 61 * 60}\n")
    machine.write("exit", "0")
    assert machine.pull()["status"] == "converged" and machine.did and not failures.exists()


def test_a_smoke_test_that_fails_is_no_convergence(machine: Machine) -> None:
    first = machine.node["digest"]
    machine.publish(archive("second"))
    machine.write("ill", "")
    report = machine.pull(code=1)
    assert report["what"] == "the smoke test failed: docker " and machine.node["digest"] == first
    (machine.root / "ill").unlink()
    assert machine.pull("--now")["digest"] == machine.node["digest"] != first


def test_a_reboot_is_asked_for_and_done_only_where_it_may_be(machine: Machine) -> None:
    first = machine.node["digest"]
    machine.publish(archive("second"))
    machine.write("exit", "37")
    report = machine.pull(code=37)
    assert (report["status"], report["reboot_allowed"], report["digest"]) == ("reboot", False, first)
    assert machine.did == ["converge --wait 0"]
    machine.pull(code=37)
    assert machine.did == []  # nothing to do but to wait

    machine.configure(REBOOT="1")
    reboot = machine.root / "reboot"
    reboot.write_text(f"#!/bin/sh\necho reboot >>{machine.root}/did\n")
    reboot.chmod(0o755)
    machine.pull(code=37, INFRA_REBOOT=str(reboot))
    assert machine.did == ["reboot"]
    machine.pull(code=37, INFRA_REBOOT=str(reboot))
    assert machine.did == [] and "rebooted for this policy already" in machine.said  # never round and round


def test_an_archive_that_is_not_what_its_name_says(machine: Machine) -> None:
    first = machine.node["digest"]
    second = machine.publish(archive("second"))
    machine.s3.objects[f"lab/research/policies/{second}.tar"] = archive("third")
    report = machine.pull(code=74)
    assert machine.did == [] and machine.policies() == {first} and "nothing of it was unpacked" in report["what"]

    machine.s3.torn.add(".tar")
    machine.pull(code=69)
    assert "connection was lost" in machine.said and machine.policies() == {first}

    machine.s3.torn.clear()
    machine.s3.objects[f"lab/research/policies/{second}.tar"] = archive("second")
    assert machine.pull()["digest"] == second


FAULTS = [
    (404, "NoSuchKey", 66, "publish it: infra policy publish gpu"),
    (404, "NoSuchBucket", 78, "there is no bucket lab in us-west-2"),
    (403, "AccessDenied", 77, "S3 says no (AccessDenied)"),
    (403, "InvalidAccessKeyId", 77, "pull.env"),
    (403, "RequestTimeTooSkewed", 77, "the clock of this machine is wrong"),
    (301, "PermanentRedirect", 78, "the bucket is not in us-west-2"),
    (503, "SlowDown", 69, "S3 answered 503 SlowDown"),
]


@pytest.mark.parametrize(("status", "error", "code", "says"), FAULTS, ids=[fault[1] for fault in FAULTS])
def test_what_s3_refuses(machine: Machine, status: int, error: str, code: int, says: str) -> None:
    before = machine.node
    machine.s3.fault["promoted/"] = (status, error)
    machine.pull(code=code)
    assert says in machine.said and "fix:" in machine.said and machine.node == before and machine.did == []


def test_no_network_and_no_names(machine: Machine) -> None:
    machine.configure(ENDPOINT="http://127.0.0.1:9")
    machine.pull(code=69)
    assert "no connection" in machine.said
    machine.configure(ENDPOINT="http://nowhere.invalid")
    machine.pull(code=69)
    assert "cannot be resolved" in machine.said


def test_a_pointer_that_is_damaged(machine: Machine) -> None:
    machine.point("../../../etc")
    assert "damaged" in machine.pull(code=74)["what"]


def test_a_report_that_cannot_be_left_is_said_and_the_machine_is_as_promoted(machine: Machine) -> None:
    machine.s3.fault["reports/"] = (403, "AccessDenied")
    machine.pull()
    assert "the report could not be left in S3: 403 AccessDenied" in machine.said


def test_credentials(machine: Machine) -> None:
    env = machine.root / "etc/infra/pull.env"
    env.chmod(0o644)
    machine.pull(code=78)
    assert "can be read by others" in machine.said
    env.unlink()
    machine.pull(code=77, INFRA_IMDS=machine.s3.url)
    assert "this instance has no role" in machine.said
    machine.pull(code=77, INFRA_IMDS="http://127.0.0.1:9")
    assert "neither AWS keys" in machine.said

    machine.s3.token = "a/token+of=" * 30
    report = machine.pull(INFRA_IMDS=machine.s3.url)
    assert report["node"] == report["instance"] == "i-0123456789abcdef0"
    assert machine.s3.token not in machine.said


def test_one_at_a_time(machine: Machine) -> None:
    lock = machine.root / "run/infra/pull.lock"
    with subprocess.Popen(
        ["flock", str(lock), "sh", "-c", "echo; read x"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as held:
        assert held.stdin and held.stdout
        held.stdout.readline()
        machine.pull(code=75)
        held.stdin.close()
    machine.publish(archive("second"))
    machine.write("exit", "75")
    assert machine.pull(code=75)["status"] == "busy"
    job = machine.root / "var/lib/infra/job"
    job.mkdir()
    (job / "job").write_text(f"id 1\nboot {Path('/proc/sys/kernel/random/boot_id').read_text()}")
    (job / "pid").write_text(f"{os.getpid()} 1\n")
    machine.write("exit", "0")
    assert machine.pull(code=75)["status"] == "busy" and machine.did == []  # an operator's, at its smoke test
    (job / "rc").write_text("record 0\n")
    assert machine.pull()["status"] == "converged"


def test_not_before_the_machine_was_brought_up_and_not_without_being_told(machine: Machine) -> None:
    (machine.root / "var/lib/infra/node.json").unlink()
    assert machine.pull() == {} and machine.s3.asked == []
    (machine.root / "etc/infra/pull.conf").unlink()
    machine.pull(code=78)
    machine.pull("--nwo", code=64)


def test_the_names_of_reports(machine: Machine) -> None:
    with (machine.root / "etc/infra/pull.env").open("a") as env:
        env.write("INFRA_NODE=titan 01/../x\n")
    assert machine.pull()["node"] == "titan_01_.._x"


@settings(max_examples=12)
@given(
    secret=st.text("abcXYZ019/+=", min_size=1, max_size=90), path=st.from_regex(r"[a-z0-9./_-]{1,30}", fullmatch=True)
)
def test_the_signature_is_that_of_botocore(secret: str, path: str) -> None:
    """Of any secret, also one longer than a block of the hash."""
    from botocore.auth import S3SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    signer = S3SigV4Auth(Credentials("AKID", secret), "s3", "eu-west-1")
    request = AWSRequest("GET", "http://localhost/")
    request.context["timestamp"] = "20260102T030405Z"
    wanted = signer.signature(signer.string_to_sign(request, path), request)
    script = f'. {CHEF}/bin/aws; signature 20260102T030405Z 20260102 s3 "$1"'
    env = {"PATH": os.environ["PATH"], "REGION": "eu-west-1", "secret_key": secret}
    done = subprocess.run(
        [SHELL, "-c", script, "sh", path], env=env, capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stdout.strip() == wanted
