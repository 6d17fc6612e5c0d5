"""Nodes beside machines; ill nodes and their taint; differences; tokens; and what a person reads of it."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from infra.errors import KubeConflict, KubeError
from infra.kube import health, members, putting, tokens
from infra.kube.upgrading import plan
from infra.ui import kube_view
from tests.e2e.kube_objects import node as raw_node
from tests.unit.render import render

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
Raw = dict[str, Any]


@dataclass(frozen=True)
class Machine:
    name: str
    kind: str = "metal"
    group: str = "titan"
    instance: str = ""
    address: str = ""


def node(name: str, provider: str = "", version: str = "v1.36.2", gpus: int = 0, **more: Any) -> Raw:
    found = raw_node(name, **more)
    found["metadata"]["creationTimestamp"] = "2026-11-22T09:00:00Z"
    found["spec"] = {"providerID": provider} if provider else {}
    found["status"]["nodeInfo"]["kubeletVersion"] = version
    found["status"]["allocatable"] = {"cpu": "4", **({"nvidia.com/gpu": str(gpus)} if gpus else {})}
    return found


def cluster() -> list[members.Member]:
    plane = node("ip-10-40-0-9", "aws:///us-west-2a/i-9")
    plane["metadata"]["labels"]["node-role.kubernetes.io/control-plane"] = ""
    ill = node("titan-01.lab", gpus=4, ready=False)
    ill["spec"] = {"unschedulable": True, "taints": [{"key": "infra/ill", "value": "GpuFault", "effect": "NoSchedule"}]}
    nodes = [ill, node("ip-10-40-1-7", "aws:///us-west-2a/i-7", gpus=8), node("laptop"), plane]
    machines = [
        Machine("titan-01", address="titan-01.lab"),
        Machine("titan-02", address="10.0.0.2"),
        Machine("gpu-7", "pool", "gpu", "i-7"),
        Machine("control-plane-1", "control-plane", "control-plane", "i-9"),
        Machine("dev-1", "host", "dev", "i-5"),
    ]
    return members.members(nodes, machines, NOW)


def test_who_is_who_and_who_is_missing() -> None:
    rows = cluster()
    assert [(row.node, row.machine, row.origin, row.ready) for row in rows] == [
        ("ip-10-40-0-9", "control-plane-1", "cloud", "yes"),
        ("ip-10-40-1-7", "gpu-7", "cloud", "yes"),
        ("titan-01.lab", "titan-01", "metal", "no"),
        ("laptop", "", "stranger", "yes"),
        ("", "titan-02", "metal", ""),
    ]
    ill = rows[2]
    assert (ill.gpus, ill.taints, ill.cordoned, ill.age) == (4, ("infra/ill=GpuFault:NoSchedule",), True, 3 * 3600)


def test_what_a_person_reads(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    text = render(kube_view.nodes, cluster(), ["a note"], monkeypatch=monkeypatch, capsys=capsys)
    assert "titan-01.lab" in text and "no, cordoned" in text and "infra/ill=GpuFault:NoSchedule" in text
    assert "4 nodes, 3 ready, 12 GPUs" in text and "Not joined: titan-02" in text and "3 h" in text
    found = plan([row for row in cluster() if row.machine != "titan-01"], "v1.36.2", "1.37")
    text = render(kube_view.upgrade, found, [], monkeypatch=monkeypatch, capsys=capsys)
    assert "1. control-plane-1: control plane, has 1.36.2; drained, the cluster with it" in text
    assert "by a new image: ip-10-40-1-7" in text and "by hand (not in the file): laptop" in text


def conditions(*said: tuple[str, str], taints: list[Raw] | None = None) -> Raw:
    found = [{"type": name, "status": status, "message": f"of {name}"} for name, status in said]
    return {"metadata": {"name": "n"}, "spec": {"taints": taints or []}, "status": {"conditions": found}}


def ill(value: str) -> list[Raw]:
    return [{"key": "infra/ill", "value": value, "effect": "NoSchedule"}]


def test_conditions_become_a_taint_and_go_with_it() -> None:
    found = health.due(conditions(("Ready", "True"), ("GpuFault", "True")))
    assert found == health.Change("n", "GpuFault", "of GpuFault")
    assert health.due(conditions(("GpuFault", "True"), taints=ill("GpuFault"))) is None
    assert health.due(conditions(("GpuFault", "False"), taints=ill("GpuFault"))) == health.Change("n", "")
    assert health.due(conditions(("GpuFault", "False"), ("GpuMissing", "True"), taints=ill("GpuFault"))) is not None
    for silent in (conditions(taints=ill("GpuFault")), conditions(("GpuFault", "Unknown"), taints=ill("GpuFault"))):
        assert health.due(silent) is None, "nobody says that it is well"
    assert health.due(conditions(("MemoryPressure", "True"))) is None, "those are the API server's own"
    others = [{"key": "spot", "effect": "NoExecute"}]
    raw = conditions(("GpuFault", "True"), taints=others)
    assert health.taints(raw, health.Change("n", "GpuFault")) == [*others, *ill("GpuFault")]
    assert health.taints({**raw, "spec": {"taints": [*others, *ill("x")]}}, health.Change("n", "")) == others


STATUS = st.sampled_from(["True", "False", "Unknown"])


@given(st.dictionaries(st.sampled_from(health.CONDITIONS), STATUS), st.sampled_from(["", *health.CONDITIONS]))
def test_one_round_is_enough(said: dict[str, str], had: str) -> None:
    """After what is due was done, nothing more is; and a node that says it is ill always has the taint."""
    raw = conditions(*said.items(), taints=ill(had) if had else [])
    change = health.due(raw)
    after = {**raw, "spec": {"taints": health.taints(raw, change)}} if change else raw
    assert health.due(after) is None
    if "True" in said.values():
        assert any(taint["key"] == "infra/ill" for taint in after["spec"]["taints"])


def test_a_node_that_moved_waits_for_the_next_round() -> None:
    class Busy:
        def list(self, path: str) -> list[Raw]:
            return [conditions(("GpuFault", "True"))]

        def patch(self, path: str, body: Raw, kind: str = "merge") -> Raw:
            raise KubeConflict("it moved")

    assert health.sweep(Busy()) == []  # type: ignore[arg-type]


def test_differences_say_where() -> None:
    before = {"a": {"b": [1, {"c": 2}]}, "d": "x" * 100}
    after = {"a": {"b": [1, {"c": 3}]}, "e": True}
    lines = putting.differences(before, after)
    assert lines[0] == "a.b[1].c: 2 → 3" and lines[1].startswith("d: xxx") and lines[1].endswith("… → nothing")
    assert lines[2] == "e: nothing → True"
    assert putting.differences([1], [1, 2], "x") == ["x: [1] → [1, 2]"]


def authority() -> bytes:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kubernetes")])
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = made.serial_number(1).not_valid_before(NOW).not_valid_after(NOW + timedelta(days=9))
    return made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def info(pem: bytes, server: str = "https://api.internal:6443") -> Raw:
    cluster = {"server": server, "certificate-authority-data": base64.b64encode(pem).decode()}
    return {"data": {"kubeconfig": yaml.safe_dump({"clusters": [{"name": "", "cluster": cluster}]})}}


def test_a_fresh_token() -> None:
    pem = authority()
    found, secret = tokens.fresh(info(pem), timedelta(minutes=15), NOW)
    assert found.endpoint == "api.internal:6443" and found.ca == tokens.authority(pem)
    data = secret["stringData"]
    assert f"{data['token-id']}.{data['token-secret']}" == found.token
    assert data["expiration"] == "2026-11-22T12:15:00Z"
    assert secret["metadata"]["name"] == f"bootstrap-token-{data['token-id']}"
    assert found.command == (
        f"kubeadm join api.internal:6443 --token {found.token} --discovery-token-ca-cert-hash {found.ca}"
    )
    assert tokens.fresh(info(pem), timedelta(minutes=15), NOW)[0].token != found.token
    for wrong in (None, {}, {"data": {"kubeconfig": "{"}}, info(b"no certificate")):
        with pytest.raises(KubeError, match="how to join"):
            tokens.fresh(wrong, timedelta(minutes=5), NOW)


def test_a_published_token() -> None:
    text = '{"endpoint": "a:1", "ca": "sha256:x", "token": "a.b", "expires": "2026-11-22T13:00:00Z", "by": "i-1"}'
    found = tokens.published(text, NOW)
    assert found is not None and found.data()["expires"] == "2026-11-22T13:00:00Z"
    assert tokens.published(text, NOW + timedelta(minutes=55)) is None, "too late to begin a join"
    for damaged in ("", "[]", "{}", text.replace("2026", "x")):
        assert tokens.published(damaged, NOW) is None
