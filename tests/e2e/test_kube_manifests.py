"""What is put into a cluster, judged by the real kubectl on the tests' API server."""

from __future__ import annotations

from infra.kube.manifests import bundle
from infra.spec.load import load
from tests.conftest import LABS
from tests.e2e.kubectl import Kubectl

IDS = {("datasets", "us-west-2"): "fs-0123456789abcdef0"}


def versions(kubectl: Kubectl) -> str:
    kinds = "ns,cm,sa,ds,deploy,pdb,sc,csidrivers,runtimeclasses,clusterroles,clusterrolebindings,roles,rolebindings"
    columns = "custom-columns=A:.metadata.namespace,B:.metadata.name,C:.metadata.resourceVersion"
    return kubectl("get", kinds, "-A", "-o", columns).out


def test_kubectl_takes_them_and_a_second_time_changes_nothing(kubectl: Kubectl) -> None:
    found = bundle.objects(load(LABS / "research-lab.yaml").cluster, IDS)
    text = bundle.text(found)
    first = kubectl("apply", "-f", "-", stdin=text).out.splitlines()
    assert len(first) == len(found) and all(line.endswith(" created") for line in first), first
    before = versions(kubectl)
    second = kubectl("apply", "-f", "-", stdin=text).out.splitlines()
    told = [line for line in second if not line.endswith(" unchanged")]
    # kubectl always sends the selector of a budget anew: it is to be replaced as a whole.
    assert all(line.startswith("poddisruptionbudget") for line in told), told
    assert versions(kubectl) == before
    assert kubectl("diff", "-f", "-", stdin=text).out == ""
    daemons = kubectl("get", "daemonsets", "-A", "-o", "name").out.split()
    assert daemons == [
        f"daemonset.apps/{name}"
        for name in ("kube-flannel", "csi-nfs-node", "node-problem-detector", "nvidia-device-plugin")
    ]
    assert kubectl("get", "storageclasses", "-o", "name").out.split() == [
        "storageclass.storage.k8s.io/datasets",
        "storageclass.storage.k8s.io/home",
    ]
