"""What a profile resolves to: run-list, attributes, versions, layers, archive."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import pytest

from infra import assets
from infra.errors import PolicyError, UsageError
from infra.policy import Policy, of, resolve
from infra.policy.attributes import merge
from infra.policy.tar import pack, unpack
from infra.spec.load import Loaded, load
from tests.conftest import LABS
from tests.unit.chef import SPEC, cookbook, role, small


@pytest.fixture
def chef(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small ``chef`` folder in the place of what ships."""
    folder = tmp_path / "assets" / "chef"
    small(folder)
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


def attributes(tmp_path: Path, text: str) -> list[str]:
    return problems(tmp_path, SPEC.replace("    os:", f"    attributes: {text}\n    os:"))


@pytest.mark.parametrize(
    "value",
    [
        "{wandb: {api_key: '0123456789abcdef'}}",
        "{a: [x, 'AKIAIOSFODNN7EXAMPLE']}",
        "{a: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY'}",
        "{a: '-----BEGIN OPENSSH PRIVATE KEY-----'}",
        "{registryPassword: hunter2}",
        "{url: 'https://ada:hunter2@registry.lab/'}",
        "{hf: hf_abcdefghijklmnopqrstuvwxyzABCDEF}",
        "{users: {ada: {hash: '$6$abcdefgh$0123456789'}}}",
    ],
)
def test_a_secret_never_gets_in(chef: Path, tmp_path: Path, value: str) -> None:
    (text,) = attributes(tmp_path, value)
    assert text.startswith(f"error: {tmp_path}/cluster.yaml:")
    assert " looks like " in text and "ssm:" in text
    assert "hunter2" not in text and "AKIAIOS" not in text


def test_names_of_secrets_and_what_only_looks_like_one_are_no_secrets(chef: Path, tmp_path: Path) -> None:
    value = (
        "{a: {password: 'ssm:/lab/registry', token_file: /etc/token, secrets: []}, sha: " + "0a" * 20 + ", "
        "url: 'https://example.org:8080/a@b', passes: 3}"
    )
    policy(tmp_path, SPEC.replace("    os:", f"    attributes: {value}\n    os:"))


def test_a_secret_in_a_cookbook_is_found_with_its_line(chef: Path, tmp_path: Path) -> None:
    folder = chef / "cookbooks" / "base" / "files"
    folder.mkdir()
    (folder / "key").write_text("\n\n-----BEGIN RSA PRIVATE KEY-----\n")
    role(chef, "gpu", "recipe[base]", default_attributes={"infra": {"docker": {"token": "abc"}}})
    first, second = sorted(problems(tmp_path))
    assert first.startswith(f"error: {folder}/key:3: the file holds a private key")
    assert second.startswith(f"error: {chef}/roles/gpu.json: default_attributes.infra.docker.token looks like a secret")


def test_attributes_that_do_not_fit(chef: Path, tmp_path: Path) -> None:
    assert "infra.nvidia of the profile gpu is not a mapping" in attributes(tmp_path, "{infra: {nvidia: no}}")[0]
    assert (
        "infra.cuda.versions of the profile gpu is not a list"
        in attributes(tmp_path, "{infra: {cuda: {versions: 12.9}}}")[0]
    )
    assert (
        "infra.users.ada of the profile gpu is not a mapping" in attributes(tmp_path, "{infra: {users: {ada: x}}}")[0]
    )
    (text,) = attributes(tmp_path, "{run_list: [a]}")
    assert "cluster.yaml:9" in text and "profiles.NAME.run_list" in text


def test_every_fault_is_told_at_once_with_its_line(chef: Path, tmp_path: Path) -> None:
    base = chef / "cookbooks" / "base"
    (base / "metadata.rb").write_text("version '1.0.0'\nname 'bass'\ndepends 'gone'\n")
    (base / "recipes" / "default.rb").write_text("log 'x'\ninclude_recipe 'cuda::extra'\n")
    (base / "files").mkdir()
    (base / "files" / "a.json").write_text('{\n  "a": 1,\n}\n')
    role(chef, "gpu", "recipe[base::defalt]", "role[gpu]", "recipe[]", "recipe[cuda]", colour="red")
    found = {text.split("\n")[0].removeprefix(f"error: {chef}/") for text in problems(tmp_path)}
    assert found == {
        "roles/gpu.json:4: the cookbook base has no recipe 'defalt'",
        "roles/gpu.json:5: the role gpu stands in itself",
        "roles/gpu.json:6: 'recipe[]' is no run-list item",
        "roles/gpu.json:9: the key 'colour' of a role is not known",
        "cookbooks/base/metadata.rb:2: the cookbook says that its name is 'bass'",
        "cookbooks/base/metadata.rb:3: there is no cookbook 'gone'",
        "cookbooks/base/recipes/default.rb:2: recipe cuda::extra is included",
        "cookbooks/base/files/a.json:3: a.json is not valid JSON",
    }


@pytest.mark.parametrize("text", ["{", "[]", "\xff", '{"run_list": 3}', '{"name": "gpu", "run_list": [3]}'])
def test_a_role_that_is_none(chef: Path, tmp_path: Path, text: str) -> None:
    (chef / "roles" / "gpu.json").write_text(text, encoding="latin-1")
    for found in problems(tmp_path):
        assert found.startswith(f"error: {chef}/roles/gpu.json:1") and "fix:" in found


def test_a_role_in_ruby_or_none_at_all(chef: Path, tmp_path: Path) -> None:
    (chef / "roles" / "gpu.json").rename(chef / "roles" / "gpu.rb")
    (text,) = problems(tmp_path)
    assert f"{tmp_path}/cluster.yaml:10: there is no role 'gpu'" in text and "write it as JSON" in text
    (chef / "roles" / "gpu.rb").unlink()
    assert "there are: none; one of your own goes into chef/roles/gpu.json" in problems(tmp_path)[0]


def test_no_metadata_and_links(chef: Path, tmp_path: Path) -> None:
    (chef / "cookbooks" / "base" / "metadata.rb").unlink()
    (chef / "cookbooks" / "cuda" / "files").mkdir()
    (chef / "cookbooks" / "cuda" / "files" / "loop").symlink_to(chef)
    first, second = problems(tmp_path)
    assert "cookbooks/base/metadata.rb: the cookbook base has no metadata.rb" in first
    assert "cookbooks/cuda/files/loop: loop is neither a file nor a folder" in second


def test_compiled_metadata(chef: Path, tmp_path: Path) -> None:
    base = chef / "cookbooks" / "base"
    (base / "metadata.rb").unlink()
    (base / "metadata.json").write_text('{"name": "base", "dependencies": {"other": ">= 0.0.0"}}')
    assert "other" in policy(tmp_path).cookbooks


def test_the_labs_own_cookbooks_are_found_first(chef: Path, tmp_path: Path) -> None:
    before = policy(tmp_path)
    own = tmp_path / "chef"
    cookbook(own, "cuda", "log 'ours'\n")
    found = policy(tmp_path)
    assert found.contents["cookbooks/cuda/recipes/default.rb"] == b"log 'ours'\n"
    assert found.own(tmp_path) == {"cuda"} and before.own(tmp_path) == set()
    assert found.layer("system") != before.layer("system")


@pytest.mark.parametrize(
    ("kind", "driver", "module", "fabric"),
    [
        ("p3.8xlarge", "580", "proprietary", False),
        ("g4dn.xlarge", "580", "open", False),
        ("g4dn.xlarge", "470", "proprietary", False),
        ("p4d.24xlarge", "580", "open", True),
        ("p5.48xlarge", "580", "open", True),
        ("p5.4xlarge", "580", "open", False),
        ("p6-b200.48xlarge", "580", "open", True),
        ("m5.large", "580", "open", False),
        ("none.such", "580", "open", False),
    ],
)
def test_module_and_fabric_manager(
    chef: Path, tmp_path: Path, kind: str, driver: str, module: str, fabric: bool
) -> None:
    text = SPEC.replace("g4dn.xlarge", kind).replace('"580"', f'"{driver}"')
    nvidia = policy(tmp_path, text).attributes["infra"]["nvidia"]
    assert (nvidia["module"], nvidia["fabric_manager"]) == (module, fabric)


def test_one_old_machine_decides_the_module_of_all(chef: Path, tmp_path: Path) -> None:
    metal = "metal: {desk: {profile: gpu, hosts: [a], gpus: {model: titan-x-pascal, count: 4}}}\n"
    assert policy(tmp_path, SPEC + metal).versions["nvidia.module"] == "proprietary"
    own = SPEC.replace("    os:", "    image: ami-0123456789abcdef0\n    os:").replace("g4dn.xlarge", "p3.2xlarge")
    assert policy(tmp_path, own).versions["nvidia.module"] == "open"  # those machines never see the policy
    assert policy(tmp_path, SPEC.replace("driver:", "module: open, driver:")).versions["nvidia.module"] == "open"
    eight = SPEC + "metal: {box: {profile: gpu, hosts: [a], gpus: {model: h100, count: 8}}}\n"
    assert policy(tmp_path, eight).attributes["infra"]["nvidia"]["fabric_manager"] is True


def test_what_the_smoke_test_expects(chef: Path, tmp_path: Path) -> None:
    storage = "storage: {home: {nfs: {host: h, export: /e}, mount: /home}, data: {efs: {}, mount: /data}}\n"
    cookbook(chef, "storage")
    role(chef, "gpu", "recipe[base]", "recipe[nvidia]", "recipe[storage]")
    text = policy(tmp_path, SPEC + storage).contents["smoke.conf"].decode()
    lines = dict(line.split("=", 1) for line in text.splitlines())
    assert lines["NVIDIA_DRIVER"] == "580" and lines["NVIDIA_MODULE"] == "open"
    assert lines["MOUNTS"] == "'efs:/data nfs:/home'" and lines["USERS"] == "ada"
    assert lines["CUDA_VERSIONS"] == "''"  # nothing in the run-list installs it


def test_a_profile_without_a_run_list_installs_nothing(chef: Path, tmp_path: Path) -> None:
    found = policy(tmp_path, SPEC.replace('    run_list: ["role[gpu]"]\n', ""))
    assert found.recipes == () and found.cookbooks == () and found.versions == {"os": "ubuntu-22.04"}
    assert [layer.name for layer in found.layers] == ["system"]


def test_null_takes_away(chef: Path, tmp_path: Path) -> None:
    value = "{infra: {users: {ada: null}, nvidia: null, research: {environments: {torch: null}}}}"
    infra = policy(tmp_path, SPEC.replace("    os:", f"    attributes: {value}\n    os:")).attributes["infra"]
    assert infra["users"] == {} and "nvidia" not in infra
    assert infra["research"] == {"environments": {"torch": None}}  # a default of the cookbook


def test_it_is_made_once_for_a_file(chef: Path, tmp_path: Path) -> None:
    file = loaded(tmp_path)
    found = of(file, "gpu")
    cookbook(chef, "nvidia", "log 'another'\n")
    assert of(file, "gpu") is found
    assert of(load(file.path), "gpu").digest != found.digest
    with pytest.raises(UsageError):
        of(file, "none")
