"""Reports of machines that pull: whose they are, who is silent, what a person reads, and what is promoted."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest

from infra.cli.main import run
from infra.cloud import aws_s3
from infra.cloud.aws_s3 import Stored
from infra.errors import InfraError, NodeFailed, Refused
from infra.image import promoted, shelf
from infra.node.inventory import cloud
from infra.node.model import Node
from infra.node.pull import publishing as pulling
from infra.node.pull import reports
from infra.node.pull.reports import Report, parse, rows
from infra.plan.model import NodeStep
from infra.policy import of
from infra.spec import ledger
from infra.spec.load import Loaded, load
from infra.ui import console as consoles
from infra.ui import reports_view
from tests.unit.test_json_docs import table

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
OLD, NEW = "a" * 64, "b" * 64
LAB = """\
version: 1
cluster: lab
aws: {regions: [us-west-2], account: "123456789012"}
converge: {pull: 30m}
profiles: {gpu: {run_list: ["recipe[base]"]}}
metal: {titan: {profile: gpu, hosts: ["titan-[01-02].lab"]}}
"""


def node(name: str, **more: Any) -> Node:
    return Node(name, "metal", "titan", "gpu", "ops", **more)


def report(name: str, minutes: float = 1, **more: Any) -> Report:
    when = f"{NOW - timedelta(minutes=minutes):%Y-%m-%dT%H:%M:%SZ}"
    return Report(name, "gpu", **{"status": "converged", "digest": NEW, "when": when, **more})


def test_whose_a_report_is() -> None:
    nodes = [
        node("titan-01", address="titan-01.lab"),
        node("titan-02"),
        node("gpu-1", instance="i-1"),
        node("titan-03"),
    ]
    left = [
        report("titan-01.lab"),
        report("x", host="titan-02.lab"),
        report("i-1"),
        report("titan-99"),
        report("gpu-1"),
    ]
    found = rows(nodes, left, {"gpu": NEW}, now=NOW)
    assert [(row.name, row.report.name if row.report else "") for row in found] == [
        ("titan-01", "titan-01.lab"),
        ("titan-02", "x"),
        ("gpu-1", "i-1"),
        ("titan-03", ""),
        ("titan-99", "titan-99"),
        ("gpu-1", "gpu-1"),
    ]
    assert [row.node is None for row in found[-2:]] == [True, True]
    assert len(rows(nodes, left, {}, others=False, now=NOW)) == 4
    newer = rows([nodes[0]], [report("titan-01", 60), report("titan-01.lab", 5)], {}, now=NOW)[0].report
    assert newer and newer.name == "titan-01.lab"


@pytest.mark.parametrize(
    ("said", "silent", "behind", "well"),
    [
        (report("a", 89), False, False, True),
        (report("a", 91), True, False, False),
        (report("a", 91, interval=60), False, False, True),
        (report("a", digest=OLD), False, True, False),
        (report("a", status="failed"), False, False, False),
        (report("a", when="yesterday"), True, False, False),
        (None, True, False, False),
    ],
)
def test_who_is_silent_and_who_is_well(said: Report | None, silent: bool, behind: bool, well: bool) -> None:
    row = rows([node("a")], [said] if said else [], {"gpu": NEW}, now=NOW)[0]
    assert (row.silent, row.behind, row.well) == (silent, behind, well)


def test_what_a_report_says_is_not_believed() -> None:
    """Any machine may write there: nothing of it moves a cursor, and a wrong type is as if it were not there."""
    body = json.dumps(
        {"status": "\x1b[2Jok", "exit": "1", "interval": 0, "reboot_pending": "yes", "name": "x", "more": 1}
    )
    found = parse("p/reports/gpu/titan-01.json", body.encode())
    assert found == Report("titan-01", "gpu", status="?[2Jok")
    assert parse("p/reports/gpu/a.json", b"[]") is None and parse("p/reports/gpu/a.json", b"{") is None


def test_what_a_person_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    from rich.console import Console

    said = io.StringIO()
    monkeypatch.setattr(reports_view, "console", lambda: Console(file=said, width=140))
    failed = report("b", status="failed", digest=OLD, resource="apt_package[x]", what="the converge failed")
    found = rows([node("a"), node("b"), node("c")], [report("a"), failed], {"gpu": NEW}, now=NOW)
    reports_view.show(found, ["a note"])
    text = said.getvalue()
    assert "note: a note" in text and "3 machines, 1 as promoted" in text
    assert "failed: the converge failed: at apt_package[x]" in text and f"promoted {NEW[:12]}" in text
    assert "Silent for three intervals or more: c" in text and "infra node list c" in text
    assert consoles is not None


class Bucket:
    """The ledger's bucket, in memory."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.kept: dict[str, bytes] = {}
        place = ledger.Place("lab-infra-1", "us-west-2", "", True)
        monkeypatch.setattr(shelf, "shelf", lambda session, cluster: place)
        monkeypatch.setattr(shelf, "ensure", lambda session, cluster: place)
        monkeypatch.setattr(aws_s3, "read", lambda s, r, b, key: self.read(key))
        monkeypatch.setattr(aws_s3, "write", lambda s, r, b, key, body, **more: self.kept.update({key: body}))
        monkeypatch.setattr(aws_s3, "size", lambda s, r, b, key: len(self.kept[key]) if key in self.kept else None)
        monkeypatch.setattr(
            aws_s3, "keys", lambda s, r, b, prefix: sorted(key for key in self.kept if key.startswith(prefix))
        )

    def read(self, key: str) -> Stored | None:
        return Stored(self.kept[key], "") if key in self.kept else None


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Bucket:
    return Bucket(monkeypatch)


@pytest.fixture
def lab(tmp_path: Path) -> Loaded:
    (tmp_path / "cluster.yaml").write_text(LAB)
    return load(tmp_path / "cluster.yaml")


SESSION: Any = None


def test_the_archive_goes_first_and_the_pointer_moves_once(bucket: Bucket, lab: Loaded) -> None:
    cluster, made = lab.cluster, of(lab, "gpu")
    move = promoted.publish(SESSION, cluster, made, "ada", "2026-01-01T00:00:00Z")
    assert list(bucket.kept) == [f"policies/{made.digest}.tar", "promoted/gpu.json"] and move.moved and not move.before
    said = bucket.kept["promoted/gpu.json"]
    assert json.loads(said) == {"digest": made.digest, "who": "ada", "when": "2026-01-01T00:00:00Z"}
    # The same again: the object stays, so that machines that ask for it only when it is new need not.
    again = promoted.publish(SESSION, cluster, made, "joan", "2026-02-02T00:00:00Z")
    assert not again.moved and bucket.kept["promoted/gpu.json"] == said

    with pytest.raises(Refused, match="is not in the ledger's bucket"):
        promoted.point(SESSION, cluster, "gpu", OLD, "ada", "")
    bucket.kept[f"policies/{OLD}.tar"] = b""
    assert promoted.resolve(SESSION, cluster, OLD[:6]) == OLD
    assert promoted.follow(SESSION, cluster, [("gpu", OLD)], "ada", "")[0].before == again.after
    with pytest.raises(Refused, match="no archives"):
        promoted.resolve(SESSION, cluster, "ffff")
    bucket.kept["promoted/gpu.json"] = b"{"
    assert promoted.read(SESSION, cluster, "gpu") is None


def test_nothing_follows_where_no_machine_pulls(bucket: Bucket, tmp_path: Path) -> None:
    (tmp_path / "cluster.yaml").write_text(LAB.replace("converge: {pull: 30m}\n", ""))
    cluster = load(tmp_path / "cluster.yaml").cluster
    assert promoted.follow(SESSION, cluster, [("gpu", OLD)], "ada", "") == [] and bucket.kept == {}
    assert "pull" not in of(load(tmp_path / "cluster.yaml"), "gpu").attributes["infra"]


def test_what_is_pushed_and_not_promoted_is_said(bucket: Bucket, lab: Loaded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulling, "look_site", lambda loaded: type("Site", (), {"session": None}))
    assert pulling.reverting(lab, [("gpu", NEW)]) == []
    promoted.publish(SESSION, lab.cluster, of(lab, "gpu"), "ada", "")
    assert pulling.reverting(lab, [("gpu", of(lab, "gpu").digest)]) == []
    (said,) = pulling.reverting(lab, [("gpu", NEW), ("gpu", NEW)])
    assert "within 30 min they go back from bbbbbbbbbbbb" in said and "infra policy publish gpu" in said


def test_an_apply_promotes_after_the_first_machine_that_is_well(bucket: Bucket, lab: Loaded) -> None:
    class Site:
        loaded, cluster, session = lab, lab.cluster, None
        notes: ClassVar[list[str]] = []

    site: Any = Site()
    well: list[str] = []

    def bring(step: NodeStep) -> dict[str, object]:
        if step.node == "titan-01":
            raise NodeFailed("it failed")
        assert ("promoted/gpu.json" in bucket.kept) is bool(well)
        well.append(step.node)
        return {"updated": 1}

    def step(name: str) -> NodeStep:
        return NodeStep(name, "converge", "gpu", of(lab, "gpu").digest, "metal.titan")

    one = pulling.publishing(site, bring)
    with pytest.raises(NodeFailed):
        one(step("titan-01"))
    assert bucket.kept == {} and one(step("titan-02")) == {"updated": 1}
    one(step("titan-03"))
    assert site.notes == [f"machines of gpu that pull go to {of(lab, 'gpu').short}"]


def test_the_json_of_both_commands(
    bucket: Bucket, lab: Loaded, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Session:
        def guard(self) -> None:
            return None

    from infra.cloud import site

    monkeypatch.chdir(lab.path.parent)
    monkeypatch.setattr(cloud, "instances", lambda *words, **more: [])
    monkeypatch.setattr(cloud, "look_site", lambda loaded: type("Site", (), {"session": Session()}))
    monkeypatch.setattr(site, "look_site", lambda loaded: type("Site", (), {"session": Session()}))

    def said(*words: str) -> Any:
        assert run([*words, "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    table(said("policy", "publish", "gpu"), "infra policy publish")
    bucket.kept["reports/gpu/titan-02.json"] = json.dumps(
        {"status": "converged", "when": "2026-01-01T00:00:00Z"}
    ).encode()
    bucket.kept["reports/gpu/gone.json"] = b"{}"
    found = said("node", "reports", "group:titan")
    table(found, "infra node reports")
    assert [(row["name"], row["status"]) for row in found["nodes"]] == [("titan-01", ""), ("titan-02", "converged")]
    assert [row["name"] for row in said("node", "reports")["nodes"]] == ["titan-01", "titan-02", "gone"]
    assert run(["policy", "publish", "gup"]) == 1 and "did you mean: gpu" in capsys.readouterr().err


def test_reports_of_many_profiles_are_read_side_by_side(bucket: Bucket, lab: Loaded) -> None:
    for name in ("b", "a"):
        bucket.kept[f"reports/gpu/{name}.json"] = b'{"status": "busy"}'
    bucket.kept["reports/gpu/torn.json"] = b"{"
    assert [item.name for item in reports.read(SESSION, lab.cluster, ["gpu", "cpu"])] == ["a", "b"]


def test_where_machines_pull_from() -> None:
    with pytest.raises(InfraError, match="where machines find the promoted policy is not known"):
        check("aws: {regions: [us-west-2]}")
    assert check("aws: {regions: [us-west-2], endpoint: local}")["bucket"] == "lab-infra-123456789012"
    assert check('aws: {regions: [eu-west-1], account: "210987654321"}') == {
        "bucket": "lab-infra-210987654321",
        "region": "eu-west-1",
        "prefix": "",
        "interval": 120,
        "reboot": True,
    }
    state = "aws: {regions: [us-west-2]}\nstate: {s3: {bucket: lab-state, region: us-east-1, prefix: a/b/}}"
    assert check(state)["prefix"] == "a/b/lab/images/"


def check(aws: str) -> Any:
    """The attribute of a file with this text, when every rule is kept."""
    import tempfile

    from infra.spec.load import read

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cluster.yaml"
        tail = 'profiles: {gpu: {run_list: ["recipe[base]"]}}\nmetal: {titan: {profile: gpu, hosts: [a]}}\n'
        path.write_text(f"version: 1\ncluster: lab\nconverge: {{pull: 2h, reboot: true}}\n{aws}\n{tail}")
        return of(read(path)[0], "gpu").attributes["infra"]["pull"]
