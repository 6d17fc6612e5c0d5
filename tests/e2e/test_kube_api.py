"""The tests' Kubernetes API server, judged by a program that is not ours: the real kubectl."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable

from tests.e2e.kube_objects import budget, node, pod, replica_set
from tests.e2e.kubectl import Kubectl
from tests.kube import KubeServer
from tests.kube.worker import Worker


def until(true: Callable[[], object], seconds: float = 15) -> None:
    """Wait for something to become true."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.02)


def test_nodes_are_shown_in_every_form(kube: KubeServer, kubectl: Kubectl) -> None:
    kube.put(node("one", **{"node-role.kubernetes.io/worker": ""}))
    kube.put(node("two", ready=False, zone="b"))

    lines = [line.split() for line in kubectl("get", "nodes").out.splitlines()]
    assert lines[0] == ["NAME", "STATUS", "ROLES", "AGE", "VERSION"]
    assert lines[1][:3] == ["one", "Ready", "worker"]
    assert lines[2][:3] == ["two", "NotReady", "<none>"]
    assert "10.0.0.7" in kubectl("get", "no", "-o", "wide").out
    found = kubectl("get", "nodes", "-o", "json").json
    assert [item["kind"] for item in found["items"]] == ["Node", "Node"]
    assert "osImage: Debian 12" in kubectl("get", "node", "one", "-o", "yaml").out
    assert kubectl("get", "nodes", "-l", "zone in (a, b)", "-o", "name").out == "node/two\n"
    assert kubectl("get", "nodes", "--chunk-size=1", "-o", "name").out == "node/one\nnode/two\n"
    assert 'nodes "three" not found' in kubectl("get", "node", "three", code=1).err
    assert "Server Version: v1.37" in kubectl("version").out


def told(watching: subprocess.Popen[str], last: str) -> list[list[str]]:
    """The rows that a watch prints, to the one with that event; it is ended when that does not come."""
    assert watching.stdout
    late = threading.Timer(30, watching.kill)
    late.start()
    rows: list[list[str]] = []
    for line in watching.stdout:
        rows.append(line.split()[:3])
        if line.startswith(last):
            break
    late.cancel()
    return rows[1:]


def test_a_watch_shows_nodes_as_they_come_and_go(kube: KubeServer, kubectl: Kubectl) -> None:
    kube.put(node("one"))
    watching = kubectl.start("get", "nodes", "--watch", "--output-watch-events")
    until(lambda: any(seen.query.get("watch") for seen in kube.seen))
    kube.put(node("two"))
    kubectl("cordon", "one")
    kubectl("delete", "node", "two")
    rows = told(watching, "DELETED")
    kube.cut_watches()
    watching.communicate(timeout=20)
    assert rows[0] == ["ADDED", "one", "Ready"]
    assert ["ADDED", "two", "Ready"] in rows
    assert ["MODIFIED", "one", "Ready,SchedulingDisabled"] in rows
    assert rows[-1][:2] == ["DELETED", "two"]


def test_a_node_is_cordoned_and_uncordoned(kube: KubeServer, kubectl: Kubectl) -> None:
    kube.put(node("one"))
    assert kubectl("cordon", "one").out == "node/one cordoned\n"
    assert kubectl("cordon", "one").out == "node/one already cordoned\n"
    assert "SchedulingDisabled" in kubectl("get", "nodes").out
    assert kubectl("get", "nodes", "--field-selector", "spec.unschedulable=true", "-o", "name").out == "node/one\n"
    assert kubectl("uncordon", "one").out == "node/one uncordoned\n"
    assert "SchedulingDisabled" not in kubectl("get", "nodes").out
    assert kubectl("get", "nodes", "--field-selector", "spec.unschedulable=true", "-o", "name").out == ""


def test_taints_are_one_list(kube: KubeServer, kubectl: Kubectl) -> None:
    kube.put(node("one"))
    kubectl("taint", "node", "one", "gpu=a100:NoSchedule")
    kubectl("taint", "node", "one", "spot:NoExecute")
    assert "already has gpu taint" in kubectl("taint", "node", "one", "gpu=b:NoSchedule", code=1).err
    kubectl("taint", "node", "one", "gpu=b:NoSchedule", "--overwrite")
    taints = kubectl("get", "node", "one", "-o", "json").json["spec"]["taints"]
    assert {(taint["key"], taint.get("value")) for taint in taints} == {("gpu", "b"), ("spot", None)}
    kubectl("taint", "node", "one", "gpu-", "spot-")
    assert "taints" not in kubectl("get", "node", "one", "-o", "json").json["spec"]
    kubectl("patch", "node", "one", "-p", '{"spec":{"taints":[{"key":"a","effect":"NoSchedule"}]}}')
    kubectl("patch", "node", "one", "-p", '{"spec":{"taints":[{"key":"b","effect":"NoSchedule"}]}}')
    taints = kubectl("get", "node", "one", "-o", "json").json["spec"]["taints"]
    assert [taint["key"] for taint in taints] == ["b"], "a patch replaces the whole list"
    wrong = '{"spec":{"taints":[{"key":"b","effect":"Never"}]}}'
    assert "Unsupported value" in kubectl("patch", "node", "one", "-p", wrong, code=1).err


def test_labels_and_every_kind_of_patch(kube: KubeServer, kubectl: Kubectl) -> None:
    kube.put(node("one", old="1"))
    kubectl("label", "node", "one", "tier=gold", "old-")
    kubectl("annotate", "node", "one", "note=seen")
    kubectl("patch", "node", "one", "--type", "json", "-p", '[{"op":"add","path":"/metadata/labels/a~1b","value":"c"}]')
    kubectl("patch", "node", "one", "--type", "merge", "-p", '{"metadata":{"labels":{"tier":null}}}')
    meta = kubectl("get", "node", "one", "-o", "json").json["metadata"]
    assert (meta["labels"], meta["annotations"]) == ({"a/b": "c"}, {"note": "seen"})
    ready = '{"status":{"conditions":[{"type":"DiskPressure","status":"False"}]}}'
    kubectl("patch", "node", "one", "--subresource", "status", "-p", ready)
    conditions = kubectl("get", "node", "one", "-o", "json").json["status"]["conditions"]
    assert {item["type"] for item in conditions} == {"Ready", "DiskPressure"}, "conditions are merged by their type"
    test = '[{"op":"test","path":"/metadata/labels/a~1b","value":"d"}]'
    assert "test failed" in kubectl("patch", "node", "one", "--type", "json", "-p", test, code=1).err


def test_apply_create_and_delete(kubectl: Kubectl) -> None:
    assert kubectl("apply", "-f", "-", stdin=pod("one")).out == "pod/one created\n"
    assert kubectl("apply", "-f", "-", stdin=pod("one")).out == "pod/one unchanged\n"
    assert kubectl("apply", "-f", "-", stdin=pod("one", app="api")).out == "pod/one configured\n"
    assert "already exists" in kubectl("create", "-f", "-", stdin=pod("one"), code=1).err
    wrong = kubectl("apply", "-f", "-", stdin=pod("two", nodeNmae="x"), code=1).err
    assert 'unknown field "spec.nodeNmae"' in wrong
    assert (
        "Forbidden: pod updates may not change fields"
        in kubectl("apply", "-f", "-", stdin=pod("one", hostNetwork=True), code=1).err
    )
    assert "Insufficient" not in kubectl("describe", "pod", "one").out
    assert "deleted" in kubectl("delete", "pod", "one").out
    assert "No resources found" in kubectl("get", "pods").err
    made = kubectl("create", "-f", "-", "-o", "json", stdin={**pod(""), "metadata": {"generateName": "job-"}}).json
    assert made["metadata"]["name"].startswith("job-") and len(made["metadata"]["name"]) == len("job-") + 5
    assert 'namespaces "away" not found' in kubectl("apply", "-n", "away", "-f", "-", stdin=pod("x"), code=1).err


def test_what_kubectl_makes_of_its_arguments(kubectl: Kubectl) -> None:
    """Its typed clients speak protobuf."""
    kubectl("create", "namespace", "lab")
    kubectl("create", "-n", "lab", "configmap", "settings", "--from-literal=a=1")
    kubectl("create", "-n", "lab", "secret", "generic", "key", "--from-literal=a=secret")
    kubectl("create", "-n", "lab", "pdb", "web", "--selector=app=web,tier in (a,b)", "--min-available=50%")
    kubectl("create", "priorityclass", "high", "--value=-7", "--preemption-policy=Never")
    kubectl("run", "-n", "lab", "one", "--image=busybox")
    assert kubectl("get", "-n", "lab", "cm", "settings", "-o", "jsonpath={.data}").out == '{"a":"1"}'
    assert kubectl("get", "-n", "lab", "secret", "key", "-o", "jsonpath={.data.a}").out == "c2VjcmV0"
    spec = kubectl("get", "-n", "lab", "pdb", "web", "-o", "json").json["spec"]
    assert spec["minAvailable"] == "50%" and spec["selector"]["matchLabels"] == {"app": "web"}
    assert spec["selector"]["matchExpressions"] == [{"key": "tier", "operator": "In", "values": ["a", "b"]}]
    assert kubectl("get", "pc", "high", "-o", "jsonpath={.value} {.preemptionPolicy}").out == "-7 Never"
    kubectl("delete", "namespace", "lab")
    assert not kubectl("get", "cm,pods", "-n", "lab", "-o", "name").out


def test_server_side_apply_knows_who_owns_a_field(kubectl: Kubectl) -> None:
    def settings(**data: str) -> dict[str, object]:
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": data}

    def by(manager: str, *more: str) -> tuple[str, ...]:
        return ("apply", "--server-side", "--field-manager", manager, "-f", "-", *more)

    kubectl(*by("one"), stdin=settings(a="1", b="1"))
    kubectl(*by("two"), stdin=settings(c="2"))
    refused = kubectl(*by("two"), stdin=settings(a="2", c="2"), code=1).err
    assert 'conflict with "one"' in refused and ".data.a" in refused
    kubectl(*by("two", "--force-conflicts"), stdin=settings(a="2", c="2"))
    kubectl(*by("one"), stdin=settings(b="1"))
    assert kubectl("get", "cm", "settings", "-o", "json").json["data"] == {"a": "2", "b": "1", "c": "2"}
    kubectl(*by("two"), stdin=settings(c="2"))
    assert kubectl("get", "cm", "settings", "-o", "json").json["data"] == {"b": "1", "c": "2"}


def test_pods_run_and_end_where_they_fit(kube: KubeServer, kubectl: Kubectl) -> None:
    with Worker(kube) as worker:
        worker.join("one", {"cpu": "1"})
        kubectl("create", "-f", "-", stdin=pod("small", seconds=0.2))
        kubectl("create", "-f", "-", stdin=pod("large", cpu="2"))
        kubectl("wait", "pod/small", "--for", "jsonpath={.status.phase}=Succeeded", "--timeout=15s")
        kubectl("wait", "pod/large", "--for", "condition=PodScheduled=false", "--timeout=15s")
        assert "0/1 nodes are available: 1 Insufficient cpu." in kubectl("get", "pod", "large", "-o", "yaml").out
        worker.join("two", {"cpu": "2"})
        kubectl("wait", "pod/large", "--for", "condition=Ready", "--timeout=15s")
        rows = {row.split()[0]: row.split() for row in kubectl("get", "pods", "-o", "wide").out.splitlines()}
        assert rows["small"][2] == "Completed" and rows["large"][1:3] == ["1/1", "Running"]
        assert rows["large"][6] == "two"
        worker.set_ready("two", False)
        assert kubectl("get", "node", "two").out.split()[6] == "NotReady"
        worker.leave("two")
        kubectl("wait", "pod/large", "--for", "delete", "--timeout=15s")


def test_a_nominated_pod_keeps_its_room_on_a_node_that_is_to_come(kube: KubeServer, kubectl: Kubectl) -> None:
    """As Kubernetes does it from 1.35 on, and as the binding clears the nomination."""
    with Worker(kube) as worker:
        kubectl("create", "-f", "-", stdin=pod("ours", cpu="2"))
        patch = '{"status": {"nominatedNodeName": "two"}}'
        kubectl("patch", "pod", "ours", "--subresource=status", "--type=merge", "-p", patch)
        assert kubectl("get", "pod", "ours", "-o", "wide").out.split()[-2] == "two"
        kubectl("create", "-f", "-", stdin=pod("another", cpu="1"))
        worker.join("two", {"cpu": "2"})
        kubectl("wait", "pod/ours", "--for", "condition=Ready", "--timeout=15s")
        kubectl("wait", "pod/another", "--for", "condition=PodScheduled=false", "--timeout=15s")
        found = kubectl("get", "pod", "ours", "-o", "json").json
        assert found["spec"]["nodeName"] == "two" and "nominatedNodeName" not in found["status"]
        # Who is more important takes no notice of it.
        kubectl("create", "-f", "-", stdin=pod("meek", cpu="1"))
        kubectl("patch", "pod", "meek", "--subresource=status", "--type=merge", "-p", patch.replace("two", "six"))
        kubectl("create", "priorityclass", "high", "--value=100")
        kubectl("create", "-f", "-", stdin=pod("lordly", cpu="1", priorityClassName="high"))
        kubectl("delete", "pod", "another", "--wait=false")
        worker.join("six", {"cpu": "1"})
        kubectl("wait", "pod/lordly", "--for", "condition=Ready", "--timeout=15s")
        assert not kubectl("get", "pod", "meek", "-o", "json").json["spec"].get("nodeName")


def test_a_drain_waits_for_the_budget(kube: KubeServer, kubectl: Kubectl) -> None:
    with Worker(kube) as worker:
        worker.join("old")
        kubectl("apply", "-f", "-", stdin=replica_set("web", 2))
        kubectl("apply", "-f", "-", stdin=budget("web", minAvailable=2))
        until(lambda: "2" in kubectl("get", "pdb", "web", "-o", "jsonpath={.status.currentHealthy}").out)
        assert kubectl("get", "pdb", "web", "-o", "jsonpath={.status.disruptionsAllowed}").out == "0"
        refused = kubectl("drain", "old", "--timeout=1s", code=1)
        assert "Cannot evict pod as it would violate the pod's disruption budget." in refused.all
        assert kubectl("get", "pods", "-o", "name").out.count("pod/") == 2

        worker.join("new")
        kubectl("scale", "rs/web", "--replicas=3")
        kubectl("uncordon", "old")
        until(lambda: kubectl("get", "pdb", "web", "-o", "jsonpath={.status.disruptionsAllowed}").out == "1")
        drained = kubectl("drain", "old", "--timeout=30s", timeout=40)
        assert "node/old drained" in drained.out
        pods = kubectl("get", "pods", "--field-selector", "spec.nodeName=new", "-o", "json").json["items"]
        assert len(pods) == 3
        spec = kubectl("get", "node", "old", "-o", "json").json["spec"]
        assert [taint["key"] for taint in spec["taints"]] == ["node.kubernetes.io/unschedulable"]


def test_every_controller_has_its_pods(kube: KubeServer, kubectl: Kubectl) -> None:
    def of(kind: str, api: str, name: str, **spec: object) -> dict[str, object]:
        template = {"metadata": {"labels": {"app": name}}, "spec": pod("", seconds=0)["spec"]}
        return {"apiVersion": api, "kind": kind, "metadata": {"name": name}, "spec": {"template": template, **spec}}

    def selected(name: str) -> dict[str, object]:
        return {"selector": {"matchLabels": {"app": name}}}

    with Worker(kube) as worker:
        for name in ("one", "two"):
            worker.join(name)
        kubectl("apply", "-f", "-", stdin=of("DaemonSet", "apps/v1", "agent", **selected("agent")))
        kubectl("apply", "-f", "-", stdin=of("Deployment", "apps/v1", "web", replicas=2, **selected("web")))
        job = of("Job", "batch/v1", "sum", completions=3, parallelism=2)
        job["spec"]["template"]["metadata"]["annotations"] = {"test/seconds": "0.1"}  # type: ignore[index]
        job["spec"]["template"]["spec"]["restartPolicy"] = "Never"  # type: ignore[index]
        kubectl("apply", "-f", "-", stdin=job)
        kubectl("rollout", "status", "deployment/web", "--timeout=15s")
        kubectl("wait", "job/sum", "--for", "condition=complete", "--timeout=15s")
        agents = ("get", "pods", "-l", "app=agent", "-o", "jsonpath={.items[*].spec.nodeName}")
        until(lambda: set(kubectl(*agents).out.split()) == {"one", "two"})
        assert "cannot delete DaemonSet-managed Pods" in kubectl("drain", "one", code=1).err
        kubectl("delete", "deployment", "web")
        until(lambda: not kubectl("get", "pods,rs", "-l", "app=web", "-o", "name").out)


def test_a_gang_is_bound_whole(kube: KubeServer, kubectl: Kubectl) -> None:
    group = {
        "apiVersion": "scheduling.k8s.io/v1beta1",
        "kind": "PodGroup",
        "metadata": {"name": "train"},
        "spec": {"schedulingPolicy": {"gang": {"minCount": 2}}},
    }
    with Worker(kube) as worker:
        worker.join("one", {"nvidia.com/gpu": "8"})
        kubectl("apply", "-f", "-", stdin=group)
        for name in ("a", "b"):
            member = pod(name, schedulingGroup={"podGroupName": "train"})
            member["spec"]["containers"][0]["resources"] = {"limits": {"nvidia.com/gpu": "8"}}
            kubectl("apply", "-f", "-", stdin=member)
        kubectl("wait", "pod/a", "pod/b", "--for", "condition=PodScheduled=false", "--timeout=15s")
        worker.join("two", {"nvidia.com/gpu": "8"})
        kubectl("wait", "pod/a", "pod/b", "--for", "condition=Ready", "--timeout=15s")
