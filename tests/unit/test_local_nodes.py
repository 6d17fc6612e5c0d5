"""Which machine stands in for which instance of the embedded AWS."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from infra.cli.main import run
from infra.errors import UsageError
from infra.local import moto_ec2_nodes, nodes

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFrORCiFghWA5IVhIrl+Sfz3oMUZ5NRhtPQ7MAB7L40P"


@dataclass
class State:
    name: str = "running"


@dataclass
class Backend:
    instances: dict[str, Any] = field(default_factory=dict)

    def get_instance_by_id(self, ident: str) -> Any:
        return self.instances.get(ident)


class Instance:
    def __init__(self, backend: Backend, ident: str, **tags: str) -> None:
        self.id, self.ec2_backend, self._state = ident, backend, State()
        self._tags = {f"infra:{key}" if key != "Name" else key: value for key, value in tags.items()}
        backend.instances[ident] = self

    def get_tags(self) -> list[dict[str, str]]:
        return [{"key": key, "value": value} for key, value in self._tags.items()]


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INFRA_LOCAL_DIR", str(tmp_path / "aws"))
    monkeypatch.setattr(moto_ec2_nodes._Kept, "taken", {})
    monkeypatch.setattr(moto_ec2_nodes._Kept, "stamp", None)


def seats(value: Any) -> nodes.Seats:
    return nodes.parse(value, "test")


def test_by_name_by_id_and_by_turn() -> None:
    west, east = Backend(), Backend()
    dev = Instance(west, "i-1", cluster="lab", host="dev", Name="lab-dev-1")
    other = Instance(west, "i-2", cluster="lab", host="dev", Name="lab-dev-2")
    pool = [Instance(where, f"i-{n}", cluster="lab", pool="gpu", Name="lab-gpu") for where, n in ((west, 3), (east, 4))]
    extra = Instance(west, "i-5", cluster="lab", pool="gpu", Name="lab-gpu")
    assert moto_ec2_nodes.seat(dev) is None
    nodes.write(
        seats(
            {
                "dev-1": {"address": "192.0.2.1", "host_key": f"{KEY} root@x"},
                "gpu": [{"address": "192.0.2.3"}, {"address": "192.0.2.4"}],
                "i-2": {"address": "192.0.2.9"},
            }
        )
    )
    found = [moto_ec2_nodes.seat(item) for item in (dev, other, *pool, extra)]
    assert [item and item.address for item in found] == ["192.0.2.1", "192.0.2.9", "192.0.2.3", "192.0.2.4", None]
    assert found[0] and found[0].host_key == KEY
    pool[0]._state.name = "terminated"
    assert moto_ec2_nodes.seat(pool[0]) is None
    again = moto_ec2_nodes.seat(extra)
    assert again and again.address == "192.0.2.3", "it is free again"
    kept = moto_ec2_nodes.seat(pool[1])
    assert kept and kept.address == "192.0.2.4", "who has one keeps it"
    nodes.clear()
    assert moto_ec2_nodes.seat(dev) is None


@pytest.mark.parametrize(
    "value",
    [
        [],
        {"a": "192.0.2.1"},
        {"a": {"address": "left"}},
        {"a": {"address": "192.0.2.1", "port": 22}},
        {"a": {"address": "192.0.2.1", "host_key": "nonsense"}},
        {"a": [{"host_key": KEY}]},
    ],
)
def test_wrong(value: Any) -> None:
    with pytest.raises(UsageError) as caught:
        seats(value)
    assert "fix: write: {" in caught.value.text()


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = tmp_path / "machines.json"
    given.write_text(json.dumps({"dev-1": {"address": "192.0.2.1", "host_key": KEY}}))
    assert run(["local", "nodes"]) == 0
    assert "No machine" in capsys.readouterr().out
    assert run(["local", "nodes", str(given)]) == 0
    assert capsys.readouterr().out == "dev-1: 192.0.2.1\n"
    assert run(["local", "nodes", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"machines": {"dev-1": [{"address": "192.0.2.1", "host_key": KEY}]}}
    assert run(["local", "nodes", "--clear"]) == 0
    assert not nodes.file().exists()
