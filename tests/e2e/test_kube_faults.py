"""The faults that the tests' Kubernetes API server can be asked for, as clients meet them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
import urllib3

from tests.e2e.kube_objects import node
from tests.e2e.kubectl import Kubectl
from tests.kube import KubeServer


@pytest.fixture
def kube(kube: KubeServer) -> KubeServer:
    kube.put(node("one"))
    return kube


@pytest.fixture
def http() -> Iterator[urllib3.PoolManager]:
    with urllib3.PoolManager(retries=False, timeout=10) as made:
        yield made


def test_too_many_requests_are_told_when_to_come_back(kube: KubeServer, kubectl: Kubectl) -> None:
    fault = kube.fault(method="GET", path="/nodes$", code=429, retry_after=1, times=2)
    start = time.monotonic()
    assert kubectl("get", "nodes", "-o", "name").out == "node/one\n", "kubectl comes back by itself"
    assert fault.met == 2 and time.monotonic() - start > 1.9
    assert [seen.code for seen in kube.seen if seen.path == "/api/v1/nodes"] == [429, 429, 200]


def test_an_error_and_a_slow_answer(kube: KubeServer, kubectl: Kubectl) -> None:
    kube.fault(method="PATCH", path="/nodes/one", code=500)
    assert "the server is asked to fail" in kubectl("label", "node", "one", "a=b", code=1).err
    kubectl("label", "node", "one", "a=b")
    kube.fault(path="/nodes", slow=3)
    # "deadline exceeded" or "Client.Timeout exceeded", as it happens.
    assert "exceeded" in kubectl("get", "nodes", "--request-timeout=1s", code=1).err


def test_a_connection_is_cut_before_or_after_the_work(kube: KubeServer, http: urllib3.PoolManager) -> None:
    url = f"{kube.url}/api/v1/nodes"
    for name, cut in (("two", "before"), ("three", "after")):
        kube.fault(method="POST", path="/nodes", cut=cut)
        with pytest.raises(urllib3.exceptions.ProtocolError):
            http.request("POST", url, json={"metadata": {"name": name}})
    listed = http.request("GET", url).json()
    assert [item["metadata"]["name"] for item in listed["items"]] == ["one", "three"]
    kube.fault(method="POST", path="/nodes", skip=1, code=503)
    assert http.request("POST", url, json={"metadata": {"name": "four"}}).status == 201
    assert http.request("POST", url, json={"metadata": {"name": "five"}}).status == 503


def test_a_watch_is_cut_in_the_middle_of_a_line(kube: KubeServer, http: urllib3.PoolManager) -> None:
    kube.put(node("two"))
    kube.fault(watch_events=1)
    url = f"{kube.url}/api/v1/nodes?watch=1&timeoutSeconds=5"
    got = b""
    with pytest.raises(urllib3.exceptions.HTTPError):
        for piece in http.request("GET", url, preload_content=False).stream():
            got += piece
    lines = got.split(b"\n")
    assert json.loads(lines[0])["object"]["metadata"]["name"] == "one"
    with pytest.raises(ValueError):
        json.loads(lines[1])


def test_the_server_is_away_for_a_while(kube: KubeServer, kubectl: Kubectl, http: urllib3.PoolManager) -> None:
    version = http.request("GET", f"{kube.url}/api/v1/nodes").json()["metadata"]["resourceVersion"]
    watching: Any = http.request(
        "GET", f"{kube.url}/api/v1/nodes?watch=1&resourceVersion={version}", preload_content=False
    )
    with kube.away():
        assert "refused" in kubectl("get", "nodes", code=1).err
        with pytest.raises(urllib3.exceptions.ProtocolError):
            watching.read()
        kube.put(node("two"))
    assert kubectl("get", "nodes", "-o", "name").out == "node/one\nnode/two\n"
    url = f"{kube.url}/api/v1/nodes?watch=1&resourceVersion={version}&timeoutSeconds=1"
    assert json.loads(http.request("GET", url).data)["object"]["metadata"]["name"] == "two"
