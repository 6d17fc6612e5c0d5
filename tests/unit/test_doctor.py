"""The doctor: one line a check, each with what to do; it needs neither a cluster.yaml nor a network."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from infra.cli.doctor import command, line
from infra.cloud import aws, aws_facts, locks, remote_state
from infra.cloud.aws_facts import RegionState, Room
from infra.cloud.checkup import account as doctor_account
from infra.cloud.checkup import check, doctor
from infra.cloud.checkup import machine as doctor_machine
from infra.cloud.checkup.check import Check
from infra.errors import AccessDenied, ExpiredCredentials, Unreachable
from infra.spec.load import load
from infra.spec.models import Aws, Cluster

SPEC = """\
version: 1
cluster: lab
aws: {regions: [us-west-2, eu-west-1], account: "123456789012"}
network: {zones: 2, nat: per-zone}
profiles: {cpu: {}}
pools:
  cpu: {profile: cpu, instance_types: [m5.large], regions: [us-west-2, eu-west-1], size: {max: 40}}
"""


def cluster(text: str = "") -> Cluster:
    import yaml

    return Cluster.model_validate({"version": 1, "cluster": "lab", **(yaml.safe_load(text) or {})})


def only(checks: list[Check], name: str, region: str = "") -> Check:
    (found,) = [check for check in checks if check.name == name and check.region == region]
    return found


def program(folder: Path, name: str, body: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


def test_tools_are_only_missed_where_they_are_needed(tmp_path: Path) -> None:
    env = {"PATH": str(tmp_path)}
    assert {check.status for check in doctor_machine.tools(None, env)} == {"skip"}
    text = "aws: {regions: [us-west-2]}\nprofiles: {cpu: {}}\nhosts: {a: {profile: cpu, instance_type: m5.large}}"
    found = {check.name: check for check in doctor_machine.tools(cluster(text + "\nkubernetes: {}"), env)}
    assert {name: check.status for name, check in found.items()} == {
        "git": "skip",
        "ssh": "warn",
        "packer": "warn",
        "kubectl": "warn",
    }
    assert found["packer"].fix == "install packer"


@pytest.mark.parametrize(
    ("body", "status", "what"),
    [
        ("echo 'Packer v1.6.6+dfsg1'", "ok", "packer 1.6.6"),
        ("echo OpenSSH_9.2p1 >&2", "ok", "packer 9.2p1"),
        ("exit 1", "warn", "does not say its version"),
        ("echo no number", "warn", "does not say its version"),
    ],
)
def test_versions_of_tools(tmp_path: Path, body: str, status: str, what: str) -> None:
    program(tmp_path, "packer", body)
    found = doctor_machine.tool("packer", "to bake images", {"PATH": str(tmp_path)})
    assert found.status == status
    assert what in found.what


def test_a_tool_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_machine, "TOOL_DEADLINE", 0.2)
    program(tmp_path, "kubectl", "exec /bin/sleep 30")
    found = doctor_machine.tool("kubectl", "", {"PATH": str(tmp_path)})
    assert found.status == "skip"
    assert "did not end" in found.what


def test_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = SimpleNamespace(free=0.0)
    monkeypatch.setattr(doctor_machine.shutil, "disk_usage", lambda _: free)
    file = tmp_path / "not" / "yet" / "cluster.yaml"
    online = cluster("aws: {regions: [us-west-2, us-east-1, eu-west-1]}")
    for gigabytes, config, env, status in (
        (50.0, online, {}, "ok"),
        (2.0, online, {}, "warn"),
        (2.0, online, {"TF_PLUGIN_CACHE_DIR": "x"}, "ok"),
        (2.0, cluster("aws: {regions: [us-west-2], endpoint: local}"), {}, "ok"),
        (2.0, None, {}, "ok"),
        (0.1, None, {}, "fail"),
    ):
        free.free = gigabytes * 10**9
        found = doctor_machine.disk(config, file, env)
        assert found.status == status, found
        assert bool(found.fix) == (status != "ok")


def test_settings_that_are_in_the_way(tmp_path: Path) -> None:
    config = tmp_path / "terraformrc"
    nowhere = doctor_machine.settings({"TF_CLI_CONFIG_FILE": str(config), "TF_CLI_ARGS_plan": "-x", "TF_LOG": "trace"})
    assert [check.status for check in nowhere] == ["warn", "warn", "warn"]
    assert "is not there" in nowhere[0].what
    assert "TF_CLI_ARGS_plan is set" in nowhere[1].what
    config.touch()
    assert [check.status for check in doctor_machine.settings({"TF_CLI_CONFIG_FILE": str(config)})] == ["ok"]


@pytest.mark.parametrize(
    ("spec", "env", "status", "words"),
    [
        ("{regions: [us-west-2]}", {}, "ok", "no AWS variable"),
        ("{regions: [us-west-2]}", {"AWS_ENDPOINT_URL_S3": "http://x"}, "warn", "AWS_ENDPOINT_URL_S3 is set"),
        ("{regions: [us-west-2], profile: lab}", {"AWS_PROFILE": "other"}, "warn", "the file is followed"),
        (
            "{regions: [us-west-2], profile: lab}",
            {"AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": "x"},
            "warn",
            "a profile as well",
        ),
        ("{regions: [us-west-2]}", {"AWS_ACCESS_KEY_ID": "AKIA"}, "fail", "only one of"),
        ("{regions: [us-west-2], endpoint: local}", {"AWS_PROFILE": "other"}, "ok", "uses no AWS setting"),
    ],
)
def test_aws_variables(spec: str, env: dict[str, str], status: str, words: str) -> None:
    (found,) = doctor_machine.aws_settings(cluster(f"aws: {spec}"), env)
    assert found.status == status
    assert words in found.what


def test_a_proxy_is_named_without_its_password() -> None:
    (found,) = doctor_machine.proxy({"HTTPS_PROXY": "http://ada:hunter22@proxy.lab:3128"})
    assert (found.status, found.what) == ("ok", "HTTPS_PROXY goes through proxy.lab")
    assert doctor_machine.proxy({"https_proxy": "http://"})[0].status == "fail"
    assert doctor_machine.proxy({"http_proxy": "proxy.lab:3128"})[0].what == "HTTP_PROXY goes through proxy.lab"
    assert doctor_machine.proxy({}) == []


def test_extras(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_machine, "EXTRAS", {"no_such_module": "moto"})
    assert doctor_machine.extras(None).status == "skip"
    found = doctor_machine.extras(cluster("aws: {regions: [us-west-2], endpoint: local}"))
    assert found.status == "fail"
    assert found.fix == "pip install 'infra[local]'"


@pytest.mark.parametrize(
    ("skew", "status"), [(None, None), (0.4, "ok"), (-59, "ok"), (61, "warn"), (-299, "warn"), (300, "fail")]
)
def test_clock(skew: float | None, status: str | None) -> None:
    found = doctor_account._clock(skew)
    assert [check.status for check in found] == ([status] if status else [])
    if status == "fail":
        assert "timedatectl" in found[0].fix


def test_expiry() -> None:
    now = datetime.now(UTC)
    assert doctor_account._expiry(None) == []
    assert doctor_account._expiry(now + timedelta(hours=8))[0].status == "ok"
    assert doctor_account._expiry(now + timedelta(minutes=10))[0].status == "warn"


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[dict[str, Any]]:
    """An account that is well, as the doctor would read it; a test changes what it wants."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cluster.yaml").write_text(SPEC)
    said: dict[str, Any] = {
        "regions": {name: RegionState(name, True, 0.0) for name in ("us-west-2", "eu-west-1")},
        "zones": ["a", "b", "c"],
        "instance_types": [],
        "offerings": lambda _session, region: {f"{region}a": ["m5.large"], f"{region}b": ["m5.large"]},
        "vcpu_quotas": {"on-demand:standard": 256, "on-demand:g": 0},
        "vcpus_used": {"on-demand:standard": 8},
        "rooms": {"vpcs": Room(5, 1), "addresses": Room(5, 0)},
        "key_pairs": frozenset(),
        "identity": aws.Identity("123456789012", "arn:aws:iam::123456789012:user/ada", 0.0),
    }

    def answer(name: str, *args: Any) -> Any:
        value = said[name]
        if isinstance(value, Exception):
            raise value
        return value(*args) if callable(value) else value

    for name in said:
        if name != "identity":
            monkeypatch.setattr(aws_facts, name, lambda *args, name=name: answer(name, *args))
    monkeypatch.setattr(aws.Session, "identity", lambda _: answer("identity"))
    monkeypatch.setattr(aws.Session, "expiry", lambda _: None)
    monkeypatch.setattr(locks, "s3_lock", lambda *_: None)
    yield said


def examined() -> list[Check]:
    return doctor_account.examine(load(Path("cluster.yaml")))


def test_a_healthy_account(account: dict[str, Any]) -> None:
    found = examined()
    assert doctor.healthy(found)
    assert {check.status for check in found} == {"ok"}
    assert only(found, "credentials").what == "arn:aws:iam::123456789012:user/ada"
    assert only(found, "account").status == "ok"
    assert only(found, "addresses", "eu-west-1").what == "addresses: 0 of 5 used, 2 wanted"
    assert "on-demand:standard 8 of 256" in only(found, "quotas", "us-west-2").what


def test_bad_credentials_stop_the_rest(account: dict[str, Any]) -> None:
    account["identity"] = ExpiredCredentials("the AWS credentials have expired", fix="aws sso login")
    found = examined()
    assert [(check.name, check.status) for check in found] == [("credentials", "fail"), ("cloud", "skip")]
    assert found[0].fix == "aws sso login"


def test_the_wrong_account_and_a_wrong_clock(account: dict[str, Any]) -> None:
    account["identity"] = aws.Identity("999999999999", "arn:aws:iam::999999999999:user/ada", -400.0)
    found = examined()
    assert only(found, "account").status == "fail"
    assert only(found, "clock").status == "fail"


def test_regions_that_are_not_there_or_not_enabled(account: dict[str, Any]) -> None:
    account["regions"] = {"us-west-2": RegionState("us-west-2", False)}
    found = examined()
    assert "enable-region --region-name us-west-2" in only(found, "region", "us-west-2").fix
    assert "no region eu-west-1" in only(found, "region", "eu-west-1").what


def test_too_few_zones(account: dict[str, Any]) -> None:
    account["zones"] = ["a"]
    assert only(examined(), "region", "us-west-2").fix == "write network.zones: 1"


def test_what_may_not_be_read_is_a_warning(account: dict[str, Any]) -> None:
    account["vcpu_quotas"] = AccessDenied("AWS does not allow servicequotas:ListServiceQuotas", fix="ask")
    account["zones"] = AccessDenied("AWS does not allow ec2:DescribeAvailabilityZones", fix="ask")
    found = examined()
    assert only(found, "quotas", "us-west-2").status == "warn"
    assert only(found, "region", "us-west-2").status == "warn"
    assert doctor.healthy(found)


def test_a_region_out_of_reach_fails(account: dict[str, Any]) -> None:
    account["zones"] = Unreachable("AWS cannot be reached", fix="check the network")
    account["rooms"] = Unreachable("AWS cannot be reached", fix="check the network")
    found = examined()
    assert only(found, "region", "eu-west-1").status == "fail"
    assert only(found, "rooms", "eu-west-1").status == "warn"


def test_quotas_against_what_the_file_wants(account: dict[str, Any]) -> None:
    account["vcpu_quotas"] = {"on-demand:standard": 16}
    found = [check for check in examined() if check.name == "quota-enough"]
    assert len(found) == 2
    assert "L-1216C47A" in found[0].fix
    assert "up to 80 vCPUs" in found[0].what


def test_too_little_room_for_the_network(account: dict[str, Any]) -> None:
    account["rooms"] = {"vpcs": Room(5, 5), "addresses": Room(5, 4)}
    found = examined()
    assert only(found, "vpcs", "us-west-2").status == "warn"
    assert "--quota-code L-0263D0A3 --desired-value 6" in only(found, "addresses", "us-west-2").fix


def test_the_state_bucket(account: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    text = f"{SPEC}state: {{s3: {{bucket: lab-state, region: us-west-2}}}}\n"
    Path("cluster.yaml").write_text(text)
    monkeypatch.setattr(remote_state, "lacks", lambda *_: ["versioning"])
    for there, status, words in (
        (None, "ok", "infra plan makes it"),
        (SimpleNamespace(region="eu-west-1"), "fail", "is in eu-west-1"),
        (SimpleNamespace(region="us-west-2"), "warn", "lacks versioning"),
    ):
        monkeypatch.setattr(doctor_account.aws_s3, "find", lambda *_, there=there: there)
        found = only(examined(), "state")
        assert found.status == status
        assert words in found.what


def test_a_check_that_hangs_is_given_up() -> None:
    started = time.monotonic()
    (found,) = check.guarded("slow", lambda: time.sleep(5) or [], deadline=0.2)
    assert time.monotonic() - started < 2
    assert found.status == "fail"
    assert "took too long" in found.what


def test_files_that_are_missing_or_wrong(tmp_path: Path) -> None:
    file = tmp_path / "cluster.yaml"
    assert doctor.read(file, None)[1][0].status == "skip"
    file.write_text("version: 1\nclustr: lab\n")
    loaded, (found,) = doctor.read(file, None)
    assert loaded is None
    assert found.status == "fail"
    assert "cluster.yaml:" in found.what
    file.write_text(SPEC)
    assert doctor.read(file, None)[1][0].what.endswith("cluster lab, 2 regions, 1 pool")


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    runner = CliRunner()
    done = runner.invoke(command, [], standalone_mode=False)
    assert done.return_value == 0
    assert "Next: infra init" in done.output
    assert done.output.splitlines()[0].startswith("ok    python")
    as_json = runner.invoke(command, ["--json"], standalone_mode=False)
    import json

    data = json.loads(as_json.output)
    assert data["healthy"] is True
    assert set(data["checks"][0]) == {"name", "region", "status", "what", "why", "fix"}
    Path("cluster.yaml").write_text("version: 2\n")
    assert runner.invoke(command, [], standalone_mode=False).return_value == 1


def test_a_line_says_why_and_what_to_do() -> None:
    text = line(Check("quotas", "fail", "too small", "ask for more", "because", "us-west-2"))
    assert text.splitlines()[0].endswith("us-west-2: too small")
    assert "why: because" in text
    assert "fix: ask for more" in text
    assert "fix" not in line(Check("python", "ok", "fine", "nothing"))


def test_the_rules_get_live_data() -> None:
    types = aws_facts.types_wanted(cluster("aws: {regions: [us-west-2]}\nkubernetes: {}"))
    assert types == {"us-west-2": {"m5.large"}}
    session = aws.session(Aws(regions=["us-west-2"], endpoint="http://127.0.0.1:9"))
    assert session.limits == aws.PATIENT


def test_the_documentation_lists_every_check(account: dict[str, Any]) -> None:
    text = (Path(__file__).parents[2] / "docs" / "doctor.md").read_text(encoding="utf-8")
    env = {"TF_LOG": "1", "TF_CLI_ARGS": "x", "TF_CLI_CONFIG_FILE": "/nowhere", "HTTPS_PROXY": "http://x"}
    machine = doctor_machine.examine(load(Path("cluster.yaml")).cluster, Path("cluster.yaml"), {"PATH": "", **env})
    names = {check.name for check in [*machine, *examined()]} | {"expiry", "state", "lock", "file"}
    assert len(names) > 18
    for name in names:
        assert f"`{name}`" in text, name
