"""The tests' Kubernetes API server, judged by the official Python client."""

from __future__ import annotations

import datetime
import ipaddress
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import urllib3
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from kubernetes import client, config, watch
from kubernetes.client.exceptions import ApiException

from tests.e2e.kube_objects import budget, node, pod, replica_set
from tests.e2e.kubectl import Kubectl
from tests.kube import KubeServer


@pytest.fixture
def api(kube: KubeServer, tmp_path: Path) -> Iterator[client.CoreV1Api]:
    with config.new_client_from_config(str(kube.kubeconfig(tmp_path / "kubeconfig"))) as made:
        made.configuration.retries = False
        yield client.CoreV1Api(made)


def running(kube: KubeServer, name: str, app: str = "web") -> None:
    """A pod that runs and is healthy, on a node that need not be there."""
    status = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
    kube.put({**pod(name, app=app, nodeName="one"), "status": status})


def refused(code: int, call: Any, *args: Any, **kwargs: Any) -> ApiException:
    with pytest.raises(ApiException) as error:
        call(*args, **kwargs)
    assert error.value.status == code, error.value
    return error.value


def names(listed: Any) -> list[str]:
    return [item.metadata.name for item in listed.items]


def test_lists_are_chosen_and_paged(kube: KubeServer, api: client.CoreV1Api) -> None:
    for name in "abcde":
        kube.put(pod(name, app="odd" if name in "ace" else "even"))
    assert names(api.list_pod_for_all_namespaces(label_selector="app!=odd")) == ["b", "d"]
    assert names(api.list_namespaced_pod("default", field_selector="metadata.name=c,status.phase=Pending")) == ["c"]
    assert names(api.list_namespaced_pod("default", field_selector="spec.nodeName!=")) == []
    assert "field label not supported: spec.x" in refused(400, api.list_node, field_selector="spec.x=1").body

    first = api.list_namespaced_pod("default", limit=2)
    assert (names(first), first.metadata.remaining_item_count) == (["a", "b"], 3)
    api.delete_namespaced_pod("d", "default")
    kube.put(pod("bb"))
    second = api.list_namespaced_pod("default", limit=2, _continue=first.metadata._continue)
    assert names(second) == ["c", "d"], "the pages are of one moment"
    assert second.metadata.resource_version == first.metadata.resource_version
    kube.store.compact()
    gone = refused(410, api.list_namespaced_pod, "default", _continue=second.metadata._continue)
    assert '"reason":"Expired"' in gone.body
    # The watch cache knows no pages; and what is in the future cannot be listed.
    assert len(api.list_namespaced_pod("default", limit=2, resource_version="0").items) == 5
    refused(504, api.list_namespaced_pod, "default", resource_version="99999999")


def test_a_watch_goes_on_from_a_version_and_ends_in_410(kube: KubeServer, api: client.CoreV1Api) -> None:
    kube.put(pod("a"))
    listed = api.list_namespaced_pod("default")
    start = listed.metadata.resource_version
    kube.put(pod("b"))
    api.patch_namespaced_pod("a", "default", {"metadata": {"labels": {"app": "other"}}})
    api.delete_namespaced_pod("b", "default")

    def events(version: str, **more: Any) -> list[tuple[str, str]]:
        seen = watch.Watch().stream(
            api.list_namespaced_pod, "default", resource_version=version, timeout_seconds=1, **more
        )
        return [(event["type"], event["object"].metadata.name) for event in seen]

    all_of_it = [("ADDED", "b"), ("MODIFIED", "a"), ("DELETED", "b")]
    assert events(start) == all_of_it
    # What leaves the choice is deleted, for who watches the choice.
    assert events(start, label_selector="app=web") == [("ADDED", "b"), ("DELETED", "a"), ("DELETED", "b")]
    assert events("0") == [("ADDED", "a")]
    kube.store.compact()
    with pytest.raises(ApiException) as error:
        events(start)
    assert error.value.status == 410 and "too old resource version" in str(error.value.reason)


def test_a_watch_is_given_bookmarks_and_can_begin_with_the_list(kube: KubeServer, api: client.CoreV1Api) -> None:
    kube.put(pod("a"))
    kube.api.watching.bookmark_every = 0.2
    url = f"{kube.url}/api/v1/pods?watch=1&allowWatchBookmarks=true&timeoutSeconds=1"
    with urllib3.PoolManager() as http:
        answer = http.request("GET", f"{url}&sendInitialEvents=true&resourceVersionMatch=NotOlderThan")
        kinds = [json.loads(line) for line in answer.data.splitlines()]
    assert [event["type"] for event in kinds[:2]] == ["ADDED", "BOOKMARK"]
    assert kinds[1]["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
    assert kinds[-1]["object"]["metadata"]["resourceVersion"] == str(kube.store.version)
    assert len(kinds) > 3


def test_who_is_late_gets_409(kube: KubeServer, api: client.CoreV1Api) -> None:
    kube.put(node("one"))
    mine, theirs = api.read_node("one"), api.read_node("one")
    theirs.metadata.labels = {"by": "them"}
    api.replace_node("one", theirs)
    mine.spec.unschedulable = True
    assert "the object has been modified" in refused(409, api.replace_node, "one", mine).body
    stale = {"metadata": {"resourceVersion": mine.metadata.resource_version}, "spec": {"unschedulable": True}}
    refused(409, api.patch_node, "one", stale)
    before = api.read_node("one").metadata.resource_version
    api.patch_node("one", {"metadata": {"labels": {"by": "them"}}})
    assert api.read_node("one").metadata.resource_version == before, "no change, no version"
    refused(409, api.create_node, {"metadata": {"name": "one"}})
    api.patch_node_status("one", {"spec": {"unschedulable": True}, "status": {"phase": "x"}})
    assert not api.read_node("one").spec.unschedulable, "the status is all that this path changes"


def test_an_eviction_needs_its_budget(kube: KubeServer, api: client.CoreV1Api) -> None:
    kube.put(budget("web", minAvailable=1))
    for name in ("a", "b"):
        running(kube, name)
    policy = client.PolicyV1Api(api.api_client)
    assert policy.read_namespaced_pod_disruption_budget("web", "default").status.disruptions_allowed == 1

    def evict(name: str, **options: Any) -> client.V1Eviction:
        meta = client.V1ObjectMeta(name=name, namespace="default")
        return client.V1Eviction(metadata=meta, delete_options=client.V1DeleteOptions(**options) if options else None)

    api.create_namespaced_pod_eviction("a", "default", evict("a", dry_run=["All"]))
    other = client.V1Preconditions(uid="another")
    refused(409, api.create_namespaced_pod_eviction, "a", "default", evict("a", preconditions=other))
    api.create_namespaced_pod_eviction("a", "default", evict("a"))
    assert api.read_namespaced_pod("a", "default").metadata.deletion_timestamp
    error = refused(429, api.create_namespaced_pod_eviction, "b", "default", evict("b"))
    assert "The disruption budget web needs 1 healthy pods and has 1 currently" in error.body
    # A budget that the server has not looked at yet: come back in ten seconds.
    kube.budgets.asleep = True
    patch = {"spec": {"maxUnavailable": "10%", "minAvailable": None}}
    policy.patch_namespaced_pod_disruption_budget("web", "default", patch)
    error = refused(429, api.create_namespaced_pod_eviction, "b", "default", evict("b"))
    assert error.headers["Retry-After"] == "10"
    kube.budgets.asleep = False
    kube.put({**budget("both", maxUnavailable="50%"), "spec": budget("web", maxUnavailable="50%")["spec"]})
    refused(500, api.create_namespaced_pod_eviction, "b", "default", evict("b"))
    refused(404, api.create_namespaced_pod_eviction, "z", "default", evict("z"))


def test_a_budget_counts_what_controllers_want(kube: KubeServer, api: client.CoreV1Api) -> None:
    policy = client.PolicyV1Api(api.api_client)

    def owned(name: str, kind: str, uid: str) -> None:
        owner = {"apiVersion": "x/v1", "kind": kind, "name": "web", "uid": uid, "controller": True}
        body = pod(name, nodeName="one")
        body["metadata"]["ownerReferences"] = [owner]
        kube.put({**body, "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}})

    def allowed() -> int:
        found = policy.read_namespaced_pod_disruption_budget("web", "default").status
        return int(found.disruptions_allowed)

    kube.put(budget("web", maxUnavailable="50%"))
    uid = kube.put(replica_set("web", 4))["metadata"]["uid"]
    for name in ("a", "b", "c"):
        owned(name, "ReplicaSet", uid)
    assert allowed() == 1, "3 of the 4 that should be there are well; 2 must be"
    kube.put({**pod("loose", nodeName="one"), "status": {"phase": "Running"}})
    assert allowed() == 1, "a pod of nobody does not count"
    owned("d", "Job", "another")
    assert allowed() == 0, "nobody knows how many pods a Job should have"


def test_a_pod_is_bound_once_and_deleted_with_grace(kube: KubeServer, api: client.CoreV1Api) -> None:
    kube.put(pod("a", schedulingGates=[{"name": "wait"}]))
    binding = {"metadata": {"name": "a"}, "target": {"kind": "Node", "name": "one"}}
    bind = api.create_namespaced_pod_binding
    refused(409, bind, "a", "default", binding, _preload_content=False)
    api.patch_namespaced_pod("a", "default", {"spec": {"schedulingGates": None}})
    bind("a", "default", binding, _preload_content=False)
    refused(409, bind, "a", "default", binding, _preload_content=False)
    listed = api.list_pod_for_all_namespaces(field_selector="spec.nodeName=one")
    assert names(listed) == ["a"] and listed.items[0].status.conditions[-1].type == "PodScheduled"
    api.patch_namespaced_pod("a", "default", {"metadata": {"finalizers": ["test/hold"]}})
    assert api.delete_namespaced_pod("a", "default").metadata.deletion_grace_period_seconds == 1
    api.delete_namespaced_pod("a", "default", grace_period_seconds=0)
    assert names(api.list_namespaced_pod("default")) == ["a"], "a finalizer holds it"
    api.patch_namespaced_pod("a", "default", [{"op": "remove", "path": "/metadata/finalizers"}])
    refused(404, api.read_namespaced_pod, "a", "default")


def test_malformed_objects_are_refused(kube: KubeServer, api: client.CoreV1Api) -> None:
    assert "quantities must match" in refused(400, api.create_namespaced_pod, "default", pod("a", cpu="lots")).body
    assert (
        "spec.containers: Required value"
        in refused(422, api.create_namespaced_pod, "default", pod("a", containers=[])).body
    )
    assert (
        "no PriorityClass" in refused(403, api.create_namespaced_pod, "default", pod("a", priorityClassName="x")).body
    )
    kube.put({"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": "x"}, "value": 7})
    assert api.create_namespaced_pod("default", pod("a", priorityClassName="x")).spec.priority == 7
    refused(400, api.create_namespaced_pod, "default", {**pod("b"), "kind": "Job"})
    refused(422, api.create_namespaced_pod, "default", pod("Not_A_Name"))
    for body in (b"[]", b"{", b'{"metadata": []}', b'{"spec": "x", "metadata": {"name": "a"}}'):
        with urllib3.PoolManager() as http:
            assert http.request("POST", f"{kube.url}/api/v1/namespaces/default/pods", body=body).status == 400


def test_one_of_two_holds_a_lease(api: client.CoreV1Api) -> None:
    leases = client.CoordinationV1Api(api.api_client)
    when = datetime.datetime.now(datetime.UTC)
    lease = client.V1Lease(
        metadata=client.V1ObjectMeta(name="leader"),
        spec=client.V1LeaseSpec(holder_identity="one", lease_duration_seconds=15, renew_time=when),
    )
    made = leases.create_namespaced_lease("kube-system", lease)
    refused(409, leases.create_namespaced_lease, "kube-system", lease)
    other = leases.read_namespaced_lease("leader", "kube-system")
    made.spec.lease_transitions = 1
    leases.replace_namespaced_lease("leader", "kube-system", made)
    other.spec.holder_identity = "two"
    refused(409, leases.replace_namespaced_lease, "leader", "kube-system", other)
    other.metadata.resource_version = None
    refused(422, leases.replace_namespaced_lease, "leader", "kube-system", other)
    held = leases.read_namespaced_lease("leader", "kube-system")
    assert held.spec.holder_identity == "one" and held.spec.renew_time == when


def test_events_are_found_by_their_object(api: client.CoreV1Api) -> None:
    for name in ("one", "two"):
        event = {
            "metadata": {"generateName": f"{name}."},
            "involvedObject": {"kind": "Node", "name": name},
            "reason": "Cordoned",
            "type": "Normal",
            "source": {"component": "autoscaler"},
        }
        api.create_namespaced_event("default", event)
    chosen = "involvedObject.kind=Node,involvedObject.name=two,source=autoscaler,type!=Warning"
    found = api.list_event_for_all_namespaces(field_selector=chosen).items
    assert [(item.involved_object.name, item.reason) for item in found] == [("two", "Cordoned")]


def test_custom_resources_are_plain_objects(api: client.CoreV1Api) -> None:
    custom = client.CustomObjectsApi(api.api_client)
    volcano = ("scheduling.volcano.sh", "v1beta1", "default", "podgroups")
    body = {
        "apiVersion": "scheduling.volcano.sh/v1beta1",
        "kind": "PodGroup",
        "metadata": {"name": "train"},
        "spec": {"minMember": 8},
        "status": {"phase": "Running"},
    }
    made = custom.create_namespaced_custom_object(*volcano, body)
    assert made["spec"] == {"minMember": 8} and "status" not in made
    custom.patch_namespaced_custom_object_status(*volcano, "train", {"status": {"phase": "Inqueue"}})
    listed = custom.list_namespaced_custom_object(*volcano)["items"]
    assert [(item["kind"], item["status"]) for item in listed] == [("PodGroup", {"phase": "Inqueue"})]
    native = {"apiVersion": "scheduling.k8s.io/v1beta1", "kind": "PodGroup", "metadata": {"name": "train"}, "spec": {}}
    custom.create_namespaced_custom_object("scheduling.k8s.io", "v1beta1", "default", "podgroups", native)
    older = custom.get_namespaced_custom_object("scheduling.k8s.io", "v1alpha3", "default", "podgroups", "train")
    assert older["apiVersion"] == "scheduling.k8s.io/v1alpha3"


def test_tls_and_a_token(tmp_path: Path) -> None:
    with KubeServer(certificate(tmp_path / "server.pem"), token="let-me-in") as kube:
        kube.put(node("one"))
        kubectl = Kubectl.of(kube, tmp_path)
        assert kubectl("get", "nodes", "-o", "name").out == "node/one\n"
        with config.new_client_from_config(str(kubectl.config)) as made:
            assert names(client.CoreV1Api(made).list_node()) == ["one"]
        assert "You must be logged in" in kubectl("get", "nodes", "--token", "wrong", code=1).err
        assert "certificate" in kubectl("get", "nodes", "--certificate-authority", "/dev/null", code=1).err


def certificate(path: Path) -> Path:
    """A certificate for 127.0.0.1 that signs itself, with its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    start = datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=1)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .add_extension(x509.BasicConstraints(True, None), True)
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    path.write_bytes(pem + made.public_bytes(serialization.Encoding.PEM))
    return path
