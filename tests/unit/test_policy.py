"""What a profile resolves to: run-list, attributes, versions, layers, archive."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from infra import assets
from infra.errors import PolicyError, UsageError
from infra.policy import Policy, of, resolve
from infra.policy.attributes import merge
from infra.policy.tar import pack, unpack
from infra.spec.load import Loaded, load
from tests.conftest import LABS

SPEC = """\
version: 1
cluster: lab
aws: {regions: [us-west-2]}
access:
  users:
    ada: {keys: ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFrORCiFghWA5IVhIrl+Sfz3oMUZ5NRhtPQ7MAB7L40P ada@laptop"]}
profiles:
  gpu:
    os: ubuntu-22.04
    run_list: ["role[gpu]"]
    nvidia: {driver: "580", cuda: "12.9"}
pools:
  gpu: {profile: gpu, instance_types: [g4dn.xlarge], size: {max: 2}}
"""


def cookbook(chef: Path, name: str, recipe: str = "", depends: tuple[str, ...] = ()) -> Path:
    """A cookbook with a default recipe."""
    folder = chef / "cookbooks" / name
    (folder / "recipes").mkdir(parents=True, exist_ok=True)
    lines = [f"name '{name}'", "version '1.0.0'", *(f"depends '{other}'" for other in depends)]
    (folder / "metadata.rb").write_text("\n".join(lines) + "\n")
    (folder / "recipes" / "default.rb").write_text(recipe or f"log '{name}'\n")
    return folder


def role(chef: Path, name: str, *items: str, **more: Any) -> Path:
    (chef / "roles").mkdir(parents=True, exist_ok=True)
    path = chef / "roles" / f"{name}.json"
    path.write_text(json.dumps({"name": name, "run_list": list(items), **more}, indent=2))
    return path


@pytest.fixture
def chef(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small ``chef`` folder in the place of what ships."""
    folder = tmp_path / "assets" / "chef"
    for name in ("base", "nvidia", "cuda", "research", "other"):
        cookbook(folder, name)
    role(folder, "gpu", "recipe[base]", "recipe[nvidia]", "recipe[cuda]", "recipe[research]")
    (folder / "bin").mkdir()
    (folder / "bin" / "converge").write_text("#!/bin/sh\n")
    monkeypatch.setattr(assets, "root", lambda name: folder)
    return folder


def loaded(tmp_path: Path, text: str = SPEC) -> Loaded:
    path = tmp_path / "cluster.yaml"
    path.write_text(text)
    return load(path)


def policy(tmp_path: Path, text: str = SPEC) -> Policy:
    return of(loaded(tmp_path, text), "gpu")


def problems(tmp_path: Path, text: str = SPEC) -> list[str]:
    with pytest.raises(PolicyError) as caught:
        policy(tmp_path, text)
    return [problem.text() for problem in caught.value.problems]


def test_what_it_holds(chef: Path, tmp_path: Path) -> None:
    found = policy(tmp_path)
    assert found.run_list == ("role[gpu]",)
    assert found.recipes == ("base::default", "nvidia::default", "cuda::default", "research::default")
    assert found.versions == {"os": "ubuntu-22.04", "nvidia.driver": "580", "nvidia.module": "open", "cuda": "12.9"}
    assert [layer.name for layer in found.layers] == ["system", "research"]
    assert found.cookbooks == ("base", "cuda", "nvidia", "research")
    names = set(unpack(found.archive()))
    assert {"bin/converge", "node.json", "policy.json", "smoke.conf", "roles/gpu.json"} <= names
    assert not [name for name in names if "other" in name]
    infra = json.loads(found.contents["node.json"])["infra"]
    assert infra["nvidia"] == {"driver": "580", "module": "open", "fabric_manager": False}
    assert infra["cuda"] == {"versions": ["12.9"]}
    assert list(infra["users"]) == ["ada"]


def test_every_lab_resolves() -> None:
    for path in sorted(LABS.glob("*.yaml")):
        lab = load(path)
        for name in lab.cluster.profiles:
            found = resolve(lab.cluster, name)
            assert unpack(found.archive()) == found.contents


def test_a_profile_that_is_not_there(chef: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no profile 'gpus'"):
        of(loaded(tmp_path), "gpus")


def test_a_missing_cookbook_is_named_where_it_is_asked_for(chef: Path, tmp_path: Path) -> None:
    path = role(chef, "gpu", "recipe[base]", "recipe[nvidai]")
    (text,) = problems(tmp_path)
    assert text.startswith(f"error: {path}:5: there is no cookbook 'nvidai'")
    assert "did you mean: nvidia" in text


def test_attributes_are_laid_over(chef: Path, tmp_path: Path) -> None:
    text = SPEC.replace(
        "    os:", "    attributes: {infra: {cuda: {versions: ['12.9', '12.4']}}, mine: {a: 1}}\n    os:"
    )
    found = policy(tmp_path, text)
    assert found.versions["cuda"] == "12.9 12.4"
    assert found.attributes["mine"] == {"a": 1}
    assert merge({"a": {"b": 1, "c": 2}}, {"a": {"b": [1]}, "d": 0}) == {"a": {"b": [1], "c": 2}, "d": 0}


def test_the_archive_is_a_plain_ustar() -> None:
    long = "cookbooks/" + "a" * 90 + "/files/" + "b" * 60
    raw = pack({long: b"x" * 513, "bin/run": b"#!/bin/sh\n"})
    with tarfile.open(fileobj=io.BytesIO(raw)) as archive:
        members = {member.name: member for member in archive}
    assert members[long].size == 513 and members[long].mode == 0o644
    assert members["bin/run"].mode == 0o755 and members["bin"].isdir()
    assert {(m.mtime, m.uid, m.gid, m.uname) for m in members.values()} == {(0, 0, 0, "root")}
    with pytest.raises(PolicyError, match="too long"):
        pack({"c" * 101: b""})
