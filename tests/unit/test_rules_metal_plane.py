"""A control plane on physical machines: what of it may not be written, beside the rules' own examples."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.policy import of
from infra.spec.load import load
from infra.spec.rules import check

LAB = """\
version: 1
cluster: lab
profiles: {{gpu: {{run_list: ["role[gpu-node]"]}}, cpu: {{}}}}
metal:
  rack: {{profile: gpu, cidr: 192.0.2.0/24, hosts: [{{name: t-01.lab, address: 192.0.2.1}}, \
{{name: t-02.lab, address: 192.0.2.2}}, {{name: t-03.lab, address: {third}}}, {{name: t-04.lab, address: 192.0.2.4}}]}}
  desk: {{profile: cpu, hosts: [left]}}
kubernetes: {{control_plane: {plane}}}
"""


def lab(folder: Path, plane: str, third: str = "192.0.2.3") -> Path:
    path = folder / "cluster.yaml"
    path.write_text(LAB.format(plane=plane, third=third))
    return path


@pytest.mark.parametrize(
    ("plane", "said"),
    [
        ("{metal: ['t-[01-02]'], address: 192.0.2.9}", "the loss of either stops etcd"),
        ("{metal: ['t-[01-03]']}", "3 machines, and no address for the API"),
        ("{metal: ['t-[01-02]', t-02], address: 192.0.2.9}", "t-02 twice"),
        ("{metal: [t-05]}", "did you mean: t-0"),
        ("{metal: ['t-[01-03]'], address: 10.32.0.9}", "lies in kubernetes.pod_cidr"),
        ("{metal: ['t-[01-03]'], address: 10.31.0.9}", "lies in kubernetes.service_cidr"),
        ("{metal: ['t-[01-03]'], address: 192.0.2.2}", "is t-02's own"),
        ("{metal: ['t-[01-03]'], address: 192.0.3.9}", "not in metal.rack.cidr"),
        ("{metal: ['t-[01-03]'], address: 192.0.2.9/24}", "without a prefix"),
        ("{metal: ['t-[01-03]'], address: 192.0.2.300}", "without a prefix"),
        ("{metal: ['t-[01-03]'], address: 'fd00::9'}", "without a prefix"),
        ("{metal: [t-01], count: 1}", "control_plane.count is of instances in AWS"),
        ("{address: 192.0.2.9}", "control_plane.address is of physical machines"),
        ("{count: 1}", "or name a machine of yours: kubernetes: {control_plane: {metal: [t-01]}}"),
    ],
)
def test_what_may_not_be_written_is_said(tmp_path: Path, plane: str, said: str) -> None:
    found = [problem for problem in check(load(lab(tmp_path, plane))) if problem.level == "error"]
    assert any(said in f"{problem.what} {problem.why} {problem.fix}" for problem in found)
    assert all(problem.where.endswith(":7") for problem in found)


def test_machines_behind_one_address_are_no_control_plane(tmp_path: Path) -> None:
    path = lab(tmp_path, "{metal: ['t-[01-03]'], address: 192.0.2.9}", "192.0.2.2, port: 2222")
    assert [problem.rule for problem in check(load(path))] == ["control-plane-address"]


@pytest.mark.parametrize(
    ("plane", "api"),
    [
        ("{metal: [left]}", "left:6443"),
        ("{metal: [t-02.lab]}", "192.0.2.2:6443"),
        ("{metal: ['t-[01-03]'], address: 192.0.2.9}", "192.0.2.9:6443"),
        ("{metal: ['t-[01-03]'], address: kube.lab.internal, schedule: false}", "kube.lab.internal:6443"),
    ],
)
def test_where_the_api_is(tmp_path: Path, plane: str, api: str) -> None:
    loaded = load(lab(tmp_path, plane))
    assert [problem for problem in check(loaded) if problem.level == "error"] == []
    assert loaded.cluster.api == api and loaded.cluster.cloud_plane is None
    assert "control-plane" not in loaded.cluster.profiles


def test_all_machines_of_a_profile_are_told_the_same_of_it(tmp_path: Path) -> None:
    loaded = load(lab(tmp_path, "{metal: ['t-[02-04]'], address: 192.0.2.9}"))
    told = of(loaded, "gpu").attributes["infra"]["kubernetes"]
    assert told["control_plane"] == {"machines": ["192.0.2.2", "192.0.2.3", "192.0.2.4"], "address": "192.0.2.9"}
    assert told["pod_cidr"] == "10.32.0.0/13"
    assert "control_plane" not in of(loaded, "cpu").attributes["infra"]["kubernetes"]
