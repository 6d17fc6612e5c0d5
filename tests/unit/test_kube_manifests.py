"""What is put into a cluster: valid by the published schemas, the same text every time, and fit for what the file says.

``INFRA_GOLDEN=write pytest tests/unit/test_kube_manifests.py`` writes the golden files anew.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import referencing
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from infra import assets
from infra.errors import SpecError
from infra.kube import health as nodes
from infra.kube.manifests import autoscaler, bundle, flannel, health, iam, storage
from infra.spec.load import load
from infra.spec.models import Cluster
from tests.conftest import LABS

GOLDEN = Path(__file__).parent / "golden" / "kube"
IDS = {("datasets", "us-west-2"): "fs-0123456789abcdef0", ("datasets", "us-east-2"): "fs-0fedcba9876543210"}
Raw = dict[str, Any]


def lab(name: str) -> Cluster:
    return load(LABS / f"{name}.yaml").cluster


def made(**parts: Any) -> Cluster:
    base = {"version": 1, "cluster": "c", "kubernetes": {"version": "1.36"}}
    return Cluster.model_validate({**base, **parts})


def one(found: list[Raw], kind: str, name: str) -> Raw:
    return next(item for item in found if item["kind"] == kind and item["metadata"]["name"] == name)


@cache
def _schema(version: str, name: str) -> Any:
    """A file of the schemas that kubernetes-validate ships: the published OpenAPI, strict: an unknown key is wrong."""
    top = resources.files(kubernetes_validate) / "kubernetes-json-schema" / f"v{version}.0-local-strict"
    return referencing.Resource.from_contents(json.loads((top / name).read_text()))


@cache
def _validator(version: str, kind: str, api: str) -> jsonschema.Draft202012Validator:
    """Its own ``validate`` reads all schemas anew for each object, which takes a fifth of a second."""
    group, _, number = api.rpartition("/")
    short = "-".join(filter(None, [kind.lower(), group.partition(".")[0], number]))
    schema = _schema(version, f"{short}.json")
    registry = schema @ (_schema(version, "_definitions.json") @ referencing.Registry())
    return jsonschema.Draft202012Validator(schema.contents, registry=registry)


def check(found: list[Raw], version: str) -> None:
    """Raise unless every object is one by the OpenAPI schemas of that version; unknown keys are wrong."""
    for item in found:
        _validator(version, item["kind"], item["apiVersion"]).validate(item)


@pytest.mark.parametrize("name", ["research-lab", "training-cluster"])
def test_the_labs_manifests(name: str) -> None:
    cluster = lab(name)
    found = bundle.objects(cluster, IDS)
    text = bundle.text(found)
    path = GOLDEN / f"{name}.yaml"
    if os.environ.get("INFRA_GOLDEN") == "write":
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    assert text == path.read_text()
    assert list(yaml.safe_load_all(text)) == found
    assert text == bundle.text(bundle.objects(lab(name), IDS)), "equal clusters give equal text"
    for version in ("1.34", "1.37"):
        check(found, version)
    kubernetes_validate.validate(found[-1], "1.36", strict=True)  # its own way agrees


def test_the_schemas_notice() -> None:
    found = bundle.objects(lab("research-lab"), IDS)
    daemons = one(found, "DaemonSet", "kube-flannel")
    for spoil in (
        lambda spec: spec["template"]["spec"]["containers"][0].update(imagee="x"),
        lambda spec: spec["template"]["spec"]["containers"][0].update(image=3),
        lambda spec: spec.pop("selector"),
    ):
        spoilt = json.loads(json.dumps(daemons))
        spoil(spoilt["spec"])
        with pytest.raises(jsonschema.ValidationError):
            check([spoilt], "1.36")


def test_the_network_fits_the_way_between_nodes() -> None:
    def backend(cluster: Cluster) -> Raw:
        data = one(flannel.objects(cluster), "ConfigMap", "kube-flannel-cfg")["data"]
        network = json.loads(data["net-conf.json"])
        assert cluster.kubernetes is not None
        assert network["Network"] == cluster.kubernetes.pod_cidr
        assert network["Backend"]["Type"] == "vxlan" and network["Backend"]["Port"] == 8472
        found: Raw = network["Backend"]
        return found

    metal = {"m": {"profile": "p", "hosts": ["a"]}}
    assert "MTU" not in backend(made(aws={"regions": ["us-west-2"]})), "the network card's own, 9001 in a VPC"
    assert "MTU" not in backend(made(metal=metal))
    assert backend(made(aws={"regions": ["us-west-2", "us-east-1"]}))["MTU"] == 1500
    assert backend(made(aws={"regions": ["us-west-2"]}, metal=metal))["MTU"] == 1400
    assert backend(made(kubernetes={"pod_cidr": "10.128.0.0/9"}))


def test_the_device_plugin_is_where_gpus_are() -> None:
    assert not [item for item in bundle.objects(made()) if "nvidia" in item["metadata"]["name"]]
    pod = one(bundle.objects(lab("research-lab")), "DaemonSet", "nvidia-device-plugin")["spec"]["template"]["spec"]
    assert pod["nodeSelector"] == {"nvidia.com/gpu.present": "true"}
    assert pod["tolerations"] == [{"operator": "Exists"}]
    assert pod["runtimeClassName"] == "nvidia"


def test_a_class_for_each_file_system() -> None:
    def classes(cluster: Cluster, ids: storage.FileSystems) -> dict[str, Raw]:
        found = storage.objects(cluster, ids)
        return {item["metadata"]["name"]: item for item in found if item["kind"] == "StorageClass"}

    cluster = lab("research-lab")
    assert set(classes(cluster, {})) == {"home"}
    assert storage.missing(cluster, {}) == [("datasets", "us-west-2")] and not storage.missing(cluster, IDS)
    found = classes(cluster, IDS)
    assert set(found) == {"home", "datasets"}, "none for S3"
    assert found["home"]["parameters"]["server"] == "nfs.research.internal"
    assert found["home"]["parameters"]["share"] == "/export/home"
    assert found["datasets"]["parameters"]["server"] == "fs-0123456789abcdef0.efs.us-west-2.amazonaws.com"
    assert {item["parameters"]["onDelete"] for item in found.values()} == {"retain"}

    item = {"efs": {}, "mount": "/d", "regions": ["cn-north-1", "us-east-1"]}
    two = made(aws={"regions": ["us-east-1", "cn-north-1"]}, storage={"d": item})
    ids = {("d", "cn-north-1"): "fs-1", ("d", "us-east-1"): "fs-2"}
    servers = {name: item["parameters"]["server"] for name, item in classes(two, ids).items()}
    assert servers == {"d": "fs-1.efs.cn-north-1.amazonaws.com.cn", "d-us-east-1": "fs-2.efs.us-east-1.amazonaws.com"}
    s3 = made(aws={"regions": ["us-east-1"]}, storage={"r": {"s3": {"bucket": "some-bucket"}, "mount": "/r"}})
    assert storage.objects(s3, {}) == []


def test_the_autoscaler_runs_where_there_is_something_to_scale() -> None:
    assert not autoscaler.objects(lab("training-cluster"), "")
    found = bundle.objects(lab("research-lab"))
    deployment = one(found, "Deployment", "infra-autoscaler")
    assert deployment["spec"]["replicas"] == 2, "three machines: one takes over at once"
    assert one(found, "PodDisruptionBudget", "infra-autoscaler")
    assert deployment["spec"]["template"]["spec"]["hostNetwork"], "the machine's role is one hop away"
    assert deployment["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 0, "maxUnavailable": 1}, "one port, one pod"
    again = load(Path("x.yaml"), text=one(found, "ConfigMap", "infra-autoscaler-cluster")["data"]["cluster.yaml"])
    whole = lab("research-lab")
    assert again.cluster == whole.model_copy(update={"access": again.cluster.access}), "all but the people"
    assert not again.cluster.access.users

    aws = {"regions": ["us-west-2"], "profile": "mine"}
    pool = {"profile": "p", "instance_types": ["m5.large"], "size": 1}
    single = made(
        aws=aws, profiles={"p": {}}, pools={"a": pool}, kubernetes={"autoscale": {"pools": ["a"]}, "image": "r/i:1"}
    )
    found = bundle.objects(single)
    deployment = one(found, "Deployment", "infra-autoscaler")
    assert deployment["spec"]["replicas"] == 1
    assert not [item for item in found if item["kind"] == "PodDisruptionBudget" and "infra" in item["metadata"]["name"]]
    assert deployment["spec"]["template"]["spec"]["containers"][0]["image"] == "r/i:1"
    assert "profile: mine" not in bundle.reduced(single), "that of somebody's ~/.aws"


def test_what_runs_there_may_do_little() -> None:
    """No wildcard anywhere; no secret is read, no pod made or deleted, but through an eviction."""
    rules: dict[str, list[Raw]] = {}
    for item in bundle.objects(lab("research-lab"), IDS):
        if item["kind"] in ("Role", "ClusterRole"):
            rules.setdefault(item["metadata"]["name"], []).extend(item["rules"])
    for rule in [rule for found in rules.values() for rule in found]:
        assert "*" not in [*rule["apiGroups"], *rule["resources"], *rule["verbs"]], rule
        assert "secrets" not in rule["resources"]

    def verbs(name: str, resource: str) -> set[str]:
        return {verb for rule in rules[name] if resource in rule["resources"] for verb in rule["verbs"]}

    assert verbs("infra-autoscaler", "pods") == {"list"}
    assert verbs("infra-autoscaler", "pods/eviction") == {"create"}
    assert verbs("infra-node-health", "nodes") == {"list", "patch"} and len(rules["infra-node-health"]) == 1
    named = [rule for rule in rules["infra-autoscaler"] if {"configmaps", "leases"} & set(rule["resources"])]
    assert all(rule.get("resourceNames") == ["infra-autoscaler"] or rule["verbs"] == ["create"] for rule in named)


def test_the_policy_in_aws_is_for_this_clusters_groups() -> None:
    document = iam.document(lab("research-lab"), "123456789012")
    looks, changes = document["Statement"]
    assert all(re.match(r"^(autoscaling|ec2):Describe\w+$", action) for action in looks["Action"])
    assert changes["Action"] == ["autoscaling:SetDesiredCapacity", "autoscaling:TerminateInstanceInAutoScalingGroup"]
    tag = "autoscaling:ResourceTag/k8s.io/cluster-autoscaler/research"
    assert changes["Condition"] == {"StringEquals": {tag: "owned"}}
    assert [arn.split(":")[3:5] for arn in changes["Resource"]] == [
        [region, "123456789012"] for region in ("us-west-2", "us-east-1", "eu-west-1")
    ]


def count(tmp_path: Path, bus: int, driven: int, declared: str = "", name: str = "n") -> tuple[int, str]:
    """What the script of the detector says of a machine with so many GPUs."""
    sys, proc = tmp_path / f"sys{bus}{driven}", tmp_path / f"proc{bus}{driven}"
    for place in range(bus + 1):
        device = sys / "bus/pci/devices" / f"0000:0{place}:00.0"
        device.mkdir(parents=True, exist_ok=True)
        (device / "vendor").write_text("0x10de\n")
        # The first is the sound of a card, which is no GPU.
        (device / "class").write_text("0x030200\n" if place else "0x040300\n")
    for place in range(driven):
        (proc / "driver/nvidia/gpus" / str(place)).mkdir(parents=True, exist_ok=True)
    (tmp_path / "declared").write_text(declared)
    env = {"SYS": str(sys), "PROC": str(proc), "DECLARED": str(tmp_path / "declared"), "NODE_NAME": name}
    done = subprocess.run(["sh", "-c", health.COUNT], env=env, capture_output=True, text=True, timeout=10, check=False)
    assert not done.stderr
    return done.returncode, done.stdout.strip()


def test_gpus_are_counted(tmp_path: Path) -> None:
    assert count(tmp_path, 0, 0) == (0, "0 GPUs")
    assert count(tmp_path, 4, 4) == (0, "4 GPUs")
    assert count(tmp_path, 4, 3) == (1, "the driver has 3 of 4 GPUs")
    assert count(tmp_path, 3, 3, "other 8\nn 4\n") == (1, "3 of 4 GPUs on the bus")
    assert count(tmp_path, 3, 3, "other 8\n") == (0, "3 GPUs")
    data = one(health.objects(lab("research-lab")), "ConfigMap", "node-problem-detector")["data"]
    assert "titan-03 4\n" in data["declared"] and "titan-03.research.internal 4\n" in data["declared"]


def test_the_kernels_words_for_a_gpu_that_must_be_reset() -> None:
    data = one(health.objects(made()), "ConfigMap", "node-problem-detector")["data"]
    rules = json.loads(data["xid.json"])["rules"]

    def said(line: str) -> list[str]:
        return [rule["reason"] for rule in rules if re.search(rf"{rule['pattern']}\Z", line)]

    assert said("NVRM: Xid (PCI:0000:2b:00): 79, pid=1234, name=python, GPU has fallen off the bus.") == ["FatalXid"]
    assert said("NVRM: Xid (PCI:0000:2b:00): 48, pid='<unknown>', An uncorrectable double bit error") == ["FatalXid"]
    assert said("NVRM: Xid (PCI:0000:2b:00): 119, pid=7, Timeout waiting for RPC from GSP") == ["GpuXid"]
    assert said("NVRM: Xid (PCI:0000:2b:00): 31, pid=7, MMU Fault") == [], "a mistake of a program"
    assert said("NVRM: Xid (PCI:0000:2b:00): 794, pid=7, x") == []
    types = {item["type"] for name in ("xid.json", "missing.json") for item in json.loads(data[name])["conditions"]}
    assert types == {nodes.GPU_FAULT, nodes.GPU_MISSING} <= set(nodes.CONDITIONS)


def test_the_role_in_terraform_has_the_same_rights() -> None:
    """What ``--iam`` prints is what the module of the control plane's role says."""
    text = (assets.root("terraform") / "modules" / "identity" / "policies.tf").read_text()
    looks, changes = iam.document(lab("research-lab"))["Statement"]
    for statement in (looks, changes):
        found = re.search(rf'sid\s+= "{statement["Sid"]}".*?actions\s+= \[(.*?)\]', text, re.DOTALL)
        assert found and sorted(re.findall(r'"([^"]+)"', found[1])) == sorted(statement["Action"])
    assert 'variable = "autoscaling:ResourceTag/k8s.io/cluster-autoscaler/${var.cluster}"' in text


def test_without_kubernetes() -> None:
    with pytest.raises(SpecError) as error:
        bundle.objects(lab("two-boxes"))
    assert "no kubernetes: section" in error.value.text()


NAMES = st.from_regex(r"[a-z]([a-z0-9-]{0,6}[a-z0-9])?", fullmatch=True)
REGIONS = ["us-west-2", "us-east-1", "eu-west-1"]


@st.composite
def clusters(draw: st.DrawFn) -> tuple[Cluster, dict[tuple[str, str], str]]:
    regions = draw(st.lists(st.sampled_from(REGIONS), unique=True, max_size=3))
    profiles = {"cpu": {}, "gpu": {"nvidia": {}}}
    profile = st.sampled_from(sorted(profiles))
    pool = st.fixed_dictionaries({"profile": profile, "instance_types": st.just(["m5.large"]), "size": st.just(2)})
    pools = draw(st.dictionaries(NAMES, pool, max_size=3)) if regions else {}
    gpus = st.none() | st.fixed_dictionaries({"model": st.just("a100"), "count": st.integers(1, 8)})
    hosts = st.lists(NAMES, unique=True, min_size=1, max_size=3)
    metal = draw(st.dictionaries(NAMES, st.fixed_dictionaries({"profile": profile, "hosts": hosts, "gpus": gpus})))
    kinds = [{"nfs": {"host": "files", "export": "/e"}}]
    if regions:
        kinds += [{"efs": {}, "regions": regions}, {"s3": {"bucket": "some-bucket"}}]
    stores = draw(st.dictionaries(NAMES, st.sampled_from(kinds), max_size=3))
    kubernetes = {
        "version": f"1.{draw(st.integers(34, 37))}",
        "control_plane": {"count": draw(st.sampled_from([1, 3]))},
        "autoscale": {"pools": [name for name in sorted(pools) if draw(st.booleans())]},
        "image": draw(st.none() | st.just("registry/infra:1")),
    }
    cluster = Cluster.model_validate(
        {
            "version": 1,
            "cluster": draw(NAMES),
            "aws": {"regions": regions} if regions else None,
            "profiles": profiles,
            "pools": pools,
            "metal": metal,
            "storage": {name: {**item, "mount": f"/{name}"} for name, item in stores.items()},
            "kubernetes": kubernetes,
        }
    )
    there = [one for one in storage.missing(cluster, {}) if draw(st.booleans())]
    return cluster, {one: f"fs-{place:08x}" for place, one in enumerate(there)}


@given(clusters())
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_cluster(given: tuple[Cluster, dict[tuple[str, str], str]]) -> None:
    """Valid objects, each once, that name what is there."""
    cluster, ids = given
    assert cluster.kubernetes is not None
    found = bundle.objects(cluster, ids)
    check(found, cluster.kubernetes.version)
    titles = [bundle.title(item) for item in found]
    assert len(set(titles)) == len(titles)
    assert len({bundle.path(item) for item in found}) == len(found)
    there = {(item["kind"], item["metadata"].get("namespace"), item["metadata"]["name"]) for item in found}
    for item in found:
        namespace = item["metadata"].get("namespace")
        assert namespace in (None, "kube-system", "kube-flannel")
        pod = item.get("spec", {}).get("template", {}).get("spec")
        if pod:
            if account := pod.get("serviceAccountName"):
                assert ("ServiceAccount", namespace, account) in there
            volumes = {volume["name"]: volume for volume in pod["volumes"]}
            for volume in volumes.values():
                assert "configMap" not in volume or ("ConfigMap", namespace, volume["configMap"]["name"]) in there
            containers = [*pod["containers"], *pod.get("initContainers", ())]
            used = {use["name"] for container in containers for use in container["volumeMounts"]}
            assert used == set(volumes)
            assert all(re.search(r":v?\d", container["image"]) for container in containers), "pinned"
            if selector := pod.get("runtimeClassName"):
                assert ("RuntimeClass", None, selector) in there
        if item["kind"].endswith("Binding") and not item["roleRef"]["name"].startswith("system:"):
            kind = item["roleRef"]["kind"]
            assert (kind, namespace if kind == "Role" else None, item["roleRef"]["name"]) in there
    assert any("autoscale" in title for title in titles) == any(map(cluster.autoscaled, cluster.pools))
