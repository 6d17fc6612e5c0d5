"""Who hears of the controller: log lines, metrics over HTTP, notices to a webhook; and pods explained."""

from __future__ import annotations

import http.server
import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from infra.autoscale.controller import Counts, Decision, LoopResult
from infra.autoscale.explanation import explain, find
from infra.autoscale.plan import plan
from infra.autoscale.snapshot import Gang, Place, Pod, Snapshot, Taint
from infra.autoscale.told import Notices, changes, line, notice, pending, reason_class, sentence
from infra.errors import UsageError
from infra.orchestration.autoscaling import Telling
from infra.proc import SECRETS
from infra.watch.metrics import Metrics, Serving
from infra.watch.webhook import Webhook
from tests.unit.clusters import ZONES, group, node, offer, pod, pods

PLACE = Place("us-west-2", "us-west-2a", "g5.12xlarge", "on-demand")
BUY = Decision(
    "buy", "us-west-2/lab-gpu", "for 2 pods: 2 like r/train-0 (8 nvidia.com/gpu)", 2, 11.344, 11.0, 0.031,
    "us-west-2/lab-gpu", PLACE, "", ("r/train-0", "r/train-1"), 4,
)  # fmt: skip
BLIND = Decision("blind", "eu-west-1", "it does not answer")
EVICT = Decision("evict", "r/web-1", "its machine is to go", node="n1")
WANT = Snapshot(
    (*pods("a", 3, 4000), *pods("big", 2, 99000), replace(pod("odd"), problem="its manifest is malformed: x")),
    (node("metal"),),
    (group("p", offer("small"), maximum=1),),
)


def loop(*decisions: Decision, snapshot: Snapshot = WANT, **more: Any) -> LoopResult:
    return LoopResult(
        1_000_000.0,
        True,
        False,
        decisions,
        Counts(waiting=6, placed=2, nodes=1, metal=1, spending=3.5),
        {"look": 0.2, "plan": 0.05, "total": 0.3},
        pause=15.0,
        plan=plan(snapshot),
        snapshot=snapshot,
        desired={"us-west-2/lab-gpu": 4},
        limits={"us-west-2/lab-gpu": (0, 9)},
        backoffs={str(PLACE): 1_000_600.0},
        **more,
    )


def test_a_log_line_has_all_its_fields_and_is_json() -> None:
    said = json.loads(json.dumps(line(BUY, loop(BUY))))
    assert said == {
        "time": "1970-01-12T13:46:40Z",
        "kind": "buy",
        "subject": "us-west-2/lab-gpu",
        "reason": "for 2 pods: 2 like r/train-0 (8 nvidia.com/gpu)",
        "count": 2,
        "dollars_per_hour": 11.344,
        "bound": 11.0,
        "gap": 0.031,
        "fleet": "us-west-2/lab-gpu",
        "region": "us-west-2",
        "zone": "us-west-2a",
        "type": "g5.12xlarge",
        "market": "on-demand",
        "node": "",
        "pods": ["r/train-0", "r/train-1"],
        "desired": 4,
        "until": None,
        "done": True,
        "dry_run": False,
    }
    assert set(line(BLIND, loop(BLIND))) == set(said)


def test_a_decision_is_a_sentence_and_only_some_change_anything() -> None:
    assert sentence(BUY) == (
        "buy us-west-2/lab-gpu: 2 × g5.12xlarge on-demand in us-west-2a, for 2 pods: 2 like r/train-0 "
        "(8 nvidia.com/gpu), $11.34/h more, at most 3.1% over the cheapest possible"
    )
    assert changes(loop(BLIND, BUY, Decision("refuse", "r/x", "too large"), EVICT)) == (BUY, EVICT)


def test_what_holds_on_is_told_when_it_begins_and_again_when_it_comes_back() -> None:
    notices = Notices()
    assert notices.of(loop(BLIND, EVICT)) == (BLIND,)
    assert notices.of(loop(BLIND, BUY)) == (BUY,)
    assert notices.of(loop()) == ()
    assert notices.of(loop(BLIND)) == (BLIND,)
    assert notices.of(replace(loop(BUY), dry_run=True)) == ()
    text = notice((BLIND, *[BUY] * 20), "lab")
    assert text.splitlines()[0] == "infra autoscaler of lab:"
    assert text.splitlines()[-1] == "and 6 more"


def test_reasons_of_real_plans_fall_into_their_classes() -> None:
    gpu = Taint("nvidia.com/gpu", "", "NoSchedule")
    small = group("p", offer("small"), maximum=2)
    cases: list[tuple[str, Pod, Snapshot]] = [
        ("maximum", pod("a"), Snapshot(groups=(replace(small, maximum=0),))),
        ("too-large", pod("a", 90000), Snapshot(groups=(small,))),
        ("selector", pod("a", selector=(("pool", "other"),)), Snapshot(groups=(small,))),
        ("selector", pod("a"), Snapshot(groups=(replace(small, taints=(gpu,)),))),
        ("capacity", pod("a"), Snapshot(groups=(small,), starved=frozenset({small.offers[0].place}))),
        ("gang", pod("a", gang=Gang("default/a", 3, "zone")), Snapshot(groups=(small,))),
        ("gate", replace(pod("a"), problem="held by the scheduling gate x"), Snapshot(groups=(small,))),
        ("malformed", replace(pod("a"), problem="its manifest is malformed: x"), Snapshot(groups=(small,))),
        ("other", replace(pod("a"), problem="what nobody has thought of"), Snapshot(groups=(small,))),
    ]
    for wanted, one, scene in cases:
        found = plan(replace(scene, pods=(one,)))
        assert reason_class(found.waiting[0].reason) == wanted, found.waiting[0].reason
    assert pending(loop()) == {"placed": 2, "maximum": 1, "too-large": 2, "malformed": 1}


def scraped(metrics: Metrics) -> dict[str, float]:
    serving = Serving(metrics, 0, "127.0.0.1")
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{serving.port}/metrics", timeout=10) as answer:
            text = answer.read().decode()
    finally:
        serving.close()
    return {name: float(value) for name, value in (row.rsplit(" ", 1) for row in text.splitlines() if row[:1] != "#")}


def test_metrics_tell_what_the_loop_saw_and_did() -> None:
    metrics = Metrics()
    failed = Decision("could-not", "us-west-2/lab-gpu", "throttled", done=False)
    metrics.take(loop(BUY, EVICT, BLIND, failed, Decision("back-off", str(PLACE), "no capacity", until=1e6)))
    metrics.take(loop(replace(BUY, done=False)))
    found = scraped(metrics)
    fleet = '{fleet="us-west-2/lab-gpu"}'
    wanted = {
        'pending_pods{reason="too-large"}': 2,
        'pending_pods{reason="placed"}': 2,
        f"fleet_desired{fleet}": 4,
        f"fleet_in_service{fleet}": 0,
        f"fleet_maximum{fleet}": 9,
        "dollars_per_hour": 3.5,
        "plan_dollars_per_hour": 0.2,
        "plan_bound_dollars_per_hour": 0.2,
        "plan_gap_ratio": 0,
        f"launches_total{fleet}": 2,
        "evictions_total": 1,
        'failures_total{kind="could-not"}': 1,
        'failures_total{kind="back-off"}': 1,
        'loops_total{result="ok"}': 2,
        'loop_seconds_count{phase="plan"}': 2,
        f'backoff_until_timestamp_seconds{{place="{PLACE}"}}': 1_000_600,
        "leading": 1,
    }
    assert {name: found[f"infra_autoscaler_{name}"] for name in wanted} == pytest.approx(wanted, abs=1e-6)
    assert 'infra_autoscaler_blind_regions{region="eu-west-1"}' not in found, "it answers again"


def test_a_loop_that_saw_nothing_leaves_what_was_seen() -> None:
    metrics = Metrics()
    metrics.take(loop())
    metrics.take(LoopResult(1_000_015.0, True, False, error="the API server hangs"))
    found = scraped(metrics)
    assert found['infra_autoscaler_pending_pods{reason="too-large"}'] == 2
    assert found['infra_autoscaler_loops_total{result="error"}'] == 1


def test_health_is_lost_when_loops_stop() -> None:
    now = [0.0]
    metrics = Metrics(lambda: now[0])
    assert metrics.health()[0]
    now[0] = 61
    assert not metrics.health()[0]
    metrics.take(loop())
    assert metrics.health()[0]
    serving = Serving(metrics, 0, "127.0.0.1")
    url = f"http://127.0.0.1:{serving.port}"
    try:
        with urllib.request.urlopen(f"{url}/healthz", timeout=10) as answer:
            assert answer.read() == b"the last loop ended 0 s ago: well\n"
        now[0] = 200
        for path, code in (("/healthz", 503), ("/other", 404)):
            with pytest.raises(urllib.error.HTTPError) as error:
                urllib.request.urlopen(f"{url}{path}", timeout=10)
            assert error.value.code == code
            error.value.close()
        with pytest.raises(UsageError, match="cannot be listened on"):
            Serving(metrics, serving.port, "127.0.0.1")
    finally:
        serving.close()


class Ear(http.server.BaseHTTPRequestHandler):
    """Hears posts; answers what the server's ``code`` says."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.heard.append(body)  # type: ignore[attr-defined]
        self.send_response(self.server.code)  # type: ignore[attr-defined]
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def ear() -> Iterator[Any]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Ear) as server:
        server.heard, server.code = [], 200  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_webhook_hears_of_each_thing_once_and_never_stops_the_loop(ear: Any) -> None:
    url = f"http://127.0.0.1:{ear.server_port}/services/secret-part"
    said: list[str] = []
    with Telling("lab", said.append, webhook=url) as telling:
        telling.tell(loop(BLIND, BUY))
        telling.tell(loop(BLIND))
    (body,) = ear.heard
    assert body["text"].startswith("infra autoscaler of lab:\nblind eu-west-1")
    assert [one["kind"] for one in body["decisions"]] == ["blind", "buy"]
    assert [json.loads(text)["kind"] for text in said] == ["blind", "buy", "blind"]
    assert "secret-part" not in SECRETS.redact(f"posting to {url} failed")


def test_a_webhook_that_fails_is_counted_and_nothing_else(ear: Any) -> None:
    ear.code = 500
    hook = Webhook(f"http://127.0.0.1:{ear.server_port}/")
    hook.send("a")
    hook.close()
    assert (hook.sent, hook.failures) == (0, 1)
    nobody = Webhook("http://127.0.0.1:1/")
    began = time.monotonic()
    for number in range(300):
        nobody.send(str(number))
    assert time.monotonic() - began < 1
    nobody.close()
    assert nobody.failures == 300
    for wrong in ("", "ftp://x/y", "hooks.slack.com"):
        with pytest.raises(UsageError, match="no URL"):
            Webhook(wrong)


def test_slack_gets_nothing_but_text() -> None:
    hook = Webhook("https://hooks.slack.com/services/x")
    sent: list[bytes] = []
    hook._post = sent.append  # type: ignore[assignment,method-assign]  # Slack itself cannot be had in a test
    hook.send("a", [{"kind": "buy"}])
    hook.close()
    assert [json.loads(raw) for raw in sent] == [{"text": "a"}]


def test_a_pod_is_explained_by_what_the_plan_made_of_it() -> None:
    running = replace(pod("old"), node="metal")
    flying = group("q", offer("small", ZONES[1], flying=1), maximum=1)
    scene = replace(WANT, pods=(*WANT.pods, running), groups=(*WANT.groups, flying))
    found = plan(scene)
    texts = {one.key: explain(scene, found, one).text() for one in scene.pods}
    assert texts["default/old"].startswith("default/old runs on metal")
    assert texts["default/big-0"] == (
        "default/big-0 waits\n"
        "  asks for: 99 cores, 1 GiB memory\n"
        "  why: it asks for 99 cores, 1 GiB; 2 machines: cpu taken; 2 offers: cpu too small"
    )
    states = {explain(scene, found, one).state for one in scene.pods}
    assert states == {"running", "has a place", "is bought for", "waits"}
    bought = next(one for one in scene.pods if explain(scene, found, one).state == "is bought for")
    assert "bought are 1 × small at $0.200/h, for 1 pod" in texts[bought.key]


def test_a_pod_is_found_by_its_name_where_only_one_has_it() -> None:
    some = [pod("a"), replace(pod("a"), namespace="other"), pod("train-0")]
    assert find(some, "train-0") is some[2]
    assert find(some, "other/a") is some[1]
    with pytest.raises(UsageError, match="2 pods called a"):
        find(some, "a")
    with pytest.raises(UsageError) as error:
        find(some, "trian-0")
    assert error.value.problems[0].fix == "did you mean train-0?"
