"""What infra itself knows of how machines join: networks, words in a plan, what it hands over, what it removes."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from infra.cloud import parameters
from infra.cloud.project import joining, machines
from infra.errors import NoCredentials
from infra.node.bring.join import Joining
from infra.spec.load import Loaded, load

ROOT = Path(__file__).parents[2]
RESEARCH = ROOT / "tests/labs/research-lab.yaml"


class Store:
    """A session whose SSM holds these parameters."""

    profile = None

    def __init__(self, **values: str) -> None:
        self.values = {f"/infra/research/{key}": value for key, value in values.items()}
        self.calls = 0

    def client(self, _service: str) -> Any:
        return self

    def get_parameter(self, Name: str, WithDecryption: bool) -> dict[str, Any]:
        from botocore.exceptions import ClientError

        assert WithDecryption
        self.calls += 1
        if Name not in self.values:
            raise ClientError({"Error": {"Code": "ParameterNotFound", "Message": ""}}, "GetParameter")
        return {"Parameter": {"Value": self.values[Name]}}

    def get_paginator(self, name: str) -> Any:
        assert name == "get_parameters_by_path"
        return SimpleNamespace(paginate=lambda **_words: [{"Parameters": [{"Name": one} for one in self.values]}])

    def delete_parameters(self, Names: list[str]) -> None:
        assert len(Names) <= 10
        for one in Names:
            del self.values[one]


def test_a_plan_that_makes_the_control_plane_says_what_follows() -> None:
    cluster = load(RESEARCH).cluster
    address = 'module.control_plane.aws_instance.this["control-plane-1"]'
    said = joining.sentences(cluster, [address])
    assert len(said) == 4 and "3 machines make the control plane" in said[0] and "/infra/research/join" in said[0]
    assert "gpu, cpu" in said[1] and "us-west-2, us-east-1, eu-west-1 are joined" in said[2] and "titan" in said[3]
    assert joining.sentences(cluster, ["module.pool_cpu.aws_launch_template.this"]) == []


def test_rules_name_the_networks_that_machines_are_in(tmp_path: Path) -> None:
    text = RESEARCH.read_text().replace("    user: ubuntu\n", "    user: ubuntu\n    cidr: 192.168.7.0/24\n")
    (tmp_path / "cluster.yaml").write_text(text)
    cluster = load(tmp_path / "cluster.yaml").cluster
    assert machines.far_networks(cluster, "us-west-2") == ["10.41.0.0/16", "10.42.0.0/16", "192.168.7.0/24"]
    assert machines.far_networks(cluster, "eu-west-1") == ["10.40.0.0/16", "10.41.0.0/16", "192.168.7.0/24"]
    assert machines.far_networks(cluster.model_copy(update={"kubernetes": None}), "us-west-2") == []


@pytest.mark.parametrize(
    ("store", "why"),
    [
        (Store(join=json.dumps({"token": "abcdef.0123456789abcdef"})), ""),
        (Store(), "the control plane has published nothing (/infra/research/join)"),
        (Store(join="half"), "damaged"),
        (None, "what it needs is in SSM: no credentials"),
    ],
)
def test_what_a_physical_machine_is_handed_is_asked_for_once(
    monkeypatch: pytest.MonkeyPatch, store: Store | None, why: str
) -> None:
    def site(_loaded: Loaded) -> Any:
        if store is None:
            raise NoCredentials("no credentials")
        return SimpleNamespace(session=store)

    monkeypatch.setattr("infra.node.bring.join.look_site", site)
    asked = Joining(load(RESEARCH))
    text, said = asked.invitation()
    assert asked.invitation() == (text, said) and (store is None or store.calls == 1)
    assert why in said and bool(text) is not bool(why)


def test_a_cluster_without_a_cloud_has_no_control_plane_of_ours(tmp_path: Path) -> None:
    (tmp_path / "cluster.yaml").write_text("version: 1\ncluster: lab\nkubernetes: {}\n")
    assert "neither aws:" in Joining(load(tmp_path / "cluster.yaml")).invitation()[1]


def test_only_what_a_control_plane_left_is_removed() -> None:
    left = {f"control-plane/lock/{turn}": "i-1" for turn in range(12)}
    store: Any = Store(join="{}", own="mine", **left)
    assert len(parameters.forget(store, "research")) == 13
    assert list(store.values) == ["/infra/research/own"]
