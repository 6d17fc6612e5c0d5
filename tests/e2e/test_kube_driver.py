"""The driver of an API server: what it asks, what it makes of refusals, and how long it waits."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.errors import KubeConflict, KubeGone, KubeRefused, KubeUnreachable, UsageError
from infra.kube.access import access
from infra.kube.api import Api, Limits, connect
from tests.e2e.kube_objects import budget, node, pod
from tests.e2e.test_kube_client import certificate, running
from tests.kube import KubeServer
from tests.kube.messages import Answer, Request

QUICK = Limits(connect=0.5, silence=0.5, deadline=4.0, pause=0.01)
NODES, PODS = "/api/v1/nodes", "/api/v1/pods"


@pytest.fixture
def slept() -> list[float]:
    return []


@pytest.fixture
def api(kube: KubeServer, tmp_path: Path, slept: list[float]) -> Iterator[Api]:
    def sleep(seconds: float) -> None:
        slept.append(seconds)

    made = Api(access(kube.kubeconfig(tmp_path / "kubeconfig")), QUICK, sleep)
    yield made
    made.close()


def names(items: list[Any]) -> list[str]:
    return [item["metadata"]["name"] for item in items]


def test_objects_come_and_go_as_raw_json(kube: KubeServer, api: Api) -> None:
    made = api.create(NODES, node("one"))
    assert names(api.list(NODES)) == ["one"]
    last = kube.seen[-1]
    assert (last.path, dict(last.query)) == (NODES, {"resourceVersion": "0"})
    assert last.agent.startswith("infra/")
    with pytest.raises(KubeConflict):
        api.create(NODES, node("one"))

    path = f"{NODES}/one"
    api.patch(path, {"metadata": {"annotations": {"infra/idle-since": "7"}}})
    with pytest.raises(KubeConflict) as late:
        api.replace(path, made)
    assert "the object has been modified" in late.value.text()
    with pytest.raises(KubeConflict):
        api.patch(path, {"metadata": {"resourceVersion": made["metadata"]["resourceVersion"], "labels": {"a": "b"}}})
    api.patch(path, [{"op": "add", "path": "/spec/unschedulable", "value": True}], "json")
    taint = {"key": "infra/leaving", "effect": "NoSchedule"}
    found = api.patch(path, {"spec": {"taints": [taint]}}, "strategic")
    assert found["spec"]["taints"] == [taint] and found["spec"]["unschedulable"] is True
    found["spec"]["unschedulable"] = False
    assert not api.replace(path, found)["spec"].get("unschedulable")

    api.delete(path)
    api.delete(path)
    assert api.get(path) is None
    assert api.list("/apis/nothing.example/v1/things") == []
    with pytest.raises(KubeGone):
        api.patch(path, {"metadata": {"labels": {"a": "b"}}})
    with pytest.raises(KubeRefused) as refused:
        api.create(NODES, node("Not_A_Name"))
    assert "422" in refused.value.text()


def test_many_patches_are_made_at_once_and_each_says_what_came_of_it(kube: KubeServer, api: Api) -> None:
    made = [api.create("/api/v1/namespaces/default/pods", pod(f"p{number}")) for number in range(20)]
    api.patch("/api/v1/namespaces/default/pods/p7", {"metadata": {"labels": {"a": "b"}}})

    def body(raw: dict[str, Any]) -> dict[str, Any]:
        same = {name: raw["metadata"][name] for name in ("uid", "resourceVersion")}
        return {"metadata": same, "status": {"nominatedNodeName": "ip-10-0-0-1"}}

    paths = [f"/api/v1/namespaces/default/pods/{raw['metadata']['name']}/status" for raw in made]
    gone = ("/api/v1/namespaces/default/pods/nobody/status", body(made[0]))
    found = api.patch_all([*((path, body(raw)) for path, raw in zip(paths, made, strict=True)), gone])
    wrong = {number: type(error) for number, error in enumerate(found) if error is not None}
    assert wrong == {7: KubeConflict, 20: KubeGone}
    told = {raw["metadata"]["name"] for raw in api.list(PODS) if raw["status"].get("nominatedNodeName")}
    assert told == {f"p{number}" for number in range(20) if number != 7}


def test_an_eviction_says_why_not(kube: KubeServer, api: Api, slept: list[float]) -> None:
    kube.put(budget("web", minAvailable=1))
    for name in "ab":
        running(kube, name)
    # 429 without a budget is a server that is too busy: it is asked again when it says.
    kube.fault(method="POST", path="eviction", code=429, retry_after=1)
    assert api.evict("default", "a") == ""
    assert slept == [1.0]
    assert api.evict("default", "b") == "The disruption budget web needs 1 healthy pods and has 1 currently"
    assert slept == [1.0], "a budget is not waited for"
    kube.put({**budget("more", minAvailable=0), "spec": budget("web", minAvailable=0)["spec"]})
    assert "more than one PodDisruptionBudget" in api.evict("default", "b")
    assert api.evict("default", "nobody") == ""


def test_a_server_in_trouble_is_asked_again(kube: KubeServer, api: Api, slept: list[float]) -> None:
    kube.put(node("one"))
    kube.fault(method="GET", path=NODES, code=500)
    kube.fault(method="GET", path=NODES, code=503, retry_after=1)
    kube.fault(method="GET", path=NODES, cut="before")
    assert names(api.list(NODES)) == ["one"]
    assert len(slept) == 3 and slept[1] == 1.0
    kube.fault(method="GET", path=NODES, code=503, times=None)
    with pytest.raises(KubeUnreachable) as down:
        api.list(NODES)
    assert "503" in down.value.text()
    assert [seen.code for seen in kube.seen[-4:]] == [503] * 4, "attempts end"


def test_a_wait_longer_than_the_deadline_is_not_begun(kube: KubeServer, api: Api, slept: list[float]) -> None:
    kube.fault(path=NODES, code=429, retry_after=30, times=None)
    with pytest.raises(KubeUnreachable) as busy:
        api.get(f"{NODES}/one")
    assert "too busy" in busy.value.text() and slept == []


def test_a_write_is_sent_once_unless_twice_is_as_good(kube: KubeServer, api: Api) -> None:
    def sent(method: str) -> int:
        return sum(seen.method == method for seen in kube.seen)

    kube.fault(method="POST", cut="after", times=None)
    with pytest.raises(KubeUnreachable) as lost:
        api.create(NODES, node("one"))
    assert "nobody knows whether" in lost.value.text()
    assert sent("POST") == 1 and api.get(f"{NODES}/one")

    kube.fault(method="PATCH", cut="after")
    api.patch(f"{NODES}/one", {"spec": {"unschedulable": True}})
    assert sent("PATCH") == 2
    kube.fault(method="PATCH", code=500)
    with pytest.raises(KubeRefused):
        api.patch(f"{NODES}/one", [{"op": "remove", "path": "/spec/unschedulable"}], "json")
    kube.fault(method="DELETE", cut="after")
    api.delete(f"{NODES}/one")
    assert sent("DELETE") == 2
    # Who is told to come back was not served: that is no second time.
    kube.faults.clear()
    kube.fault(method="POST", code=429, retry_after=1)
    assert api.create(NODES, node("two"))["metadata"]["name"] == "two"


def test_a_server_that_is_away_or_hangs_is_given_up(kube: KubeServer, api: Api) -> None:
    kube.put(node("one"))
    assert api.get(f"{NODES}/one")
    with kube.away(), pytest.raises(KubeUnreachable) as away:
        api.list(NODES)
    assert "does not answer" in away.value.text()
    assert names(api.list(NODES)) == ["one"], "the connections of before are not its end"
    kube.fault(path=NODES, slow=2.0, times=None)
    began = time.monotonic()
    with pytest.raises(KubeUnreachable) as hangs:
        api.list(NODES)
    assert "hangs" in hangs.value.text()
    assert time.monotonic() - began < 4.5


def test_an_answer_that_drips_ends_at_the_deadline(tmp_path: Path) -> None:
    """Each silence is short; only the whole is too long."""
    import http.server

    class Drip(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            for _ in range(15):
                try:
                    self.wfile.write(b" ")
                    time.sleep(0.05)
                except OSError:
                    return

        def log_message(self, format: str, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Drip) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        config = tmp_path / "kubeconfig"
        cluster = {"name": "x", "cluster": {"server": f"http://127.0.0.1:{server.server_address[1]}"}}
        context = {"name": "x", "context": {"cluster": "x", "user": "x"}}
        text = {"clusters": [cluster], "contexts": [context], "users": [{"name": "x", "user": {}}]}
        config.write_text(json.dumps({**text, "current-context": "x"}))
        drip = connect(config, limits=Limits(silence=0.5, deadline=0.4, attempts=1))
        with pytest.raises(KubeUnreachable):
            drip.list(NODES)
        drip.close()
        server.shutdown()


def test_pages_are_followed_and_one_that_expired_starts_anew(
    kube: KubeServer, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that gives pages though nobody asked for them, as an aggregated one may."""
    for name in "abcde":
        kube.put(pod(name))
    asked: list[dict[str, str]] = []
    plain = kube.api.handle

    def paging(request: Request) -> Answer:
        if request.method != "GET":
            return plain(request)
        query = {**request.query, "limit": "2"}
        asked.append(dict(request.query))
        if query.get("resourceVersion") == "0":
            del query["resourceVersion"]
        if len(asked) == 2:
            kube.put(pod("f"))
            kube.store.compact()
        return plain(Request(request.method, request.path, query, request.headers, request.body))

    monkeypatch.setattr(kube.api, "handle", paging)
    assert names(api.list(PODS)) == list("abcdef")
    assert asked[0] == asked[2] == {"resourceVersion": "0"}
    assert all("resourceVersion" not in query for query in (asked[1], asked[3]))


def test_tokens_and_certificates(tmp_path: Path) -> None:
    with KubeServer(certificate(tmp_path / "server.pem"), token="let-me-in") as kube:
        config = kube.kubeconfig(tmp_path / "kubeconfig")
        api = connect(config, "test", QUICK)
        assert api.list(NODES) == []
        api.close()
        text = json.loads(config.read_text())
        text["users"][0]["user"]["token"] = "old"
        config.write_text(json.dumps(text))
        stranger = connect(config, limits=QUICK)
        with pytest.raises(KubeRefused) as refused:
            stranger.list(NODES)
        assert "401" in refused.value.text()
        stranger.close()
        other = certificate(tmp_path / "other.pem")
        with KubeServer(other, token="let-me-in") as impostor:
            text["clusters"][0]["cluster"]["server"] = impostor.url
            config.write_text(json.dumps(text))
            fooled = connect(config, limits=QUICK)
            with pytest.raises(KubeUnreachable) as strange:
                fooled.list(NODES)
            assert "is not the one" in strange.value.text()
            assert not impostor.seen
            fooled.close()


def test_where_the_cluster_is_named(kube: KubeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(UsageError) as none:
        connect()
    assert "--kubeconfig" in none.value.text()
    with pytest.raises(UsageError) as gone:
        connect(tmp_path / "gone")
    assert "no such kubeconfig" in gone.value.text()
    config = kube.kubeconfig(tmp_path / "kubeconfig")
    with pytest.raises(UsageError):
        connect(config, "elsewhere")
    (tmp_path / "broken").write_text("{")
    with pytest.raises(UsageError):
        connect(tmp_path / "broken")
    monkeypatch.setenv("KUBECONFIG", str(config))
    api = connect(limits=QUICK)
    assert api.list(NODES) == []
    api.close()
