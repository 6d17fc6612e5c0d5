"""The digest of a profile: the same from any place, by anybody; another exactly when its machines would be."""

from __future__ import annotations

import copy
import io
import json
import os
import random
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from infra import assets
from infra.policy import Policy, resolve
from infra.spec.load import load
from infra.spec.models import Cluster
from tests.conftest import LABS
from tests.unit.chef import cookbook, role, small
from tests.unit.render import golden

ROOT = Path(__file__).resolve().parents[2]
FILES = {path.stem: load(path) for path in sorted(LABS.glob("*.yaml"))}
PROFILES = [(lab, name) for lab, loaded in FILES.items() for name in loaded.cluster.profiles]
PRINT = """
import sys
from pathlib import Path
from infra import assets
from infra.policy import of
from infra.spec.load import load
assets.root = lambda name: Path(sys.argv[1])
for path in sys.argv[2:]:
    lab = load(Path(path))
    for name in lab.cluster.profiles:
        print(Path(path).stem, name, of(lab, name).digest)
"""


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``chef/`` as it is at this moment: a copy, so that nothing moves while the tests run."""
    return scattered(ROOT / "chef", tmp_path_factory.mktemp("one") / "chef", random.Random(1))


@pytest.fixture(scope="module", autouse=True)
def _umask() -> Iterator[None]:
    old = os.umask(0o022)
    yield
    os.umask(old)


def scattered(source: Path, target: Path, chance: random.Random) -> Path:
    """A copy made in another order, with other modes and times, and with what tools leave behind."""
    paths = sorted(path for path in source.rglob("*") if path.is_file())
    chance.shuffle(paths)
    for path in paths:
        copied = target / path.relative_to(source)
        os.umask(chance.choice([0o022, 0o077, 0o002]))
        copied.parent.mkdir(parents=True, exist_ok=True)
        copied.write_bytes(path.read_bytes())
        copied.chmod(chance.choice([0o600, 0o644, 0o755, 0o664]))
        os.utime(copied, (moment := chance.randrange(2**31), moment))
        if chance.random() < 0.1:
            (copied.parent / f".{copied.name}.swp").write_text("")
            (copied.parent / ".DS_Store").write_text("")
    return target


def digests(chef: Path) -> dict[tuple[str, str], str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(assets, "root", lambda name: chef)
        return {(lab, name): resolve(FILES[lab].cluster, name).digest for lab, name in PROFILES}


@pytest.fixture(scope="module")
def known(shipped: Path) -> dict[tuple[str, str], str]:
    """The digests of what ships."""
    return digests(shipped)


@settings(max_examples=10)
@given(seed=st.integers(0, 2**32))
def test_the_same_from_any_copy(
    shipped: Path, known: dict[tuple[str, str], str], tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    other = scattered(shipped, tmp_path_factory.mktemp("copy") / "elsewhere", random.Random(seed))
    assert digests(other) == known


@pytest.mark.parametrize(
    "env",
    [
        {"LC_ALL": "C", "TZ": "Pacific/Kiritimati", "PYTHONHASHSEED": "1", "PYTHONUTF8": "0"},
        {"LC_ALL": "C.UTF-8", "TZ": "America/St_Johns", "PYTHONHASHSEED": "4242", "PYTHONOPTIMIZE": "1"},
    ],
)
def test_the_same_for_anybody(
    shipped: Path, known: dict[tuple[str, str], str], tmp_path: Path, env: dict[str, str]
) -> None:
    labs = [str(path) for path in sorted(LABS.glob("*.yaml"))]
    done = subprocess.run(
        [sys.executable, "-c", PRINT, str(shipped), *labs],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **env},
        cwd=tmp_path,
        umask=0o077,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    found = {(lab, name): digest for lab, name, digest in map(str.split, done.stdout.splitlines())}
    assert found == known


def test_what_each_lab_gets() -> None:
    lines = []
    for lab, name in PROFILES:
        policy = resolve(FILES[lab].cluster, name)
        with tarfile.open(fileobj=io.BytesIO(policy.archive())) as archive:
            members = [member.name for member in archive if member.isfile()]
        # Which files a cookbook has is its own affair.
        short = {"/".join(path.split("/")[: {"cookbooks": 2, "bin": 1}.get(path.split("/")[0], 9)]) for path in members}
        lines += [f"{lab} {name}", *(f"  {path}" for path in sorted(short))]
        lines += ["  smoke.conf:", *(f"    {line}" for line in policy.contents["smoke.conf"].decode().splitlines())]
        lines += ["  node.json:", *(f"    {line}" for line in policy.contents["node.json"].decode().splitlines())]
    golden("policies.txt", "\n".join(lines) + "\n")


# What a file says, and what ships: each change alone, and whether the profile gpu has another digest after it.
BASE = yaml.safe_load((LABS / "research-lab.yaml").read_text())
Change = Callable[[dict[str, Any], Path], object]
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOb46tLgvIDLbcOccTZKzkz0CdDHGebQfgyI2BWTnhew x@y"


def put(*path: str, value: Any) -> Change:
    """Set a value of the file."""

    def change(spec: dict[str, Any], chef: Path) -> None:
        for key in path[:-1]:
            spec = spec.setdefault(key, {})
        spec[path[-1]] = value

    return change


def write(path: str, text: str) -> Change:
    """Write a file of what ships."""

    def change(spec: dict[str, Any], chef: Path) -> None:
        (chef / path).parent.mkdir(parents=True, exist_ok=True)
        (chef / path).write_text(text)

    return change


STILL: dict[str, Change] = {
    "another profile": put("profiles", "cpu", "nvidia", value={"driver": "570", "cuda": "12.8"}),
    "a new profile": put("profiles", "spare", value={"os": "ubuntu-24.04"}),
    "size": put("pools", "gpu", "size", value={"min": 1, "max": 3}),
    "regions": put("pools", "gpu", "regions", value=["eu-west-1"]),
    "labels": put("pools", "gpu", "labels", value={"a": "b"}),
    "taints": put("pools", "gpu", "taints", value=[{"key": "a"}]),
    "disk": put("pools", "gpu", "disk", value="1TB"),
    "capacity": put("pools", "gpu", "capacity", value="on-demand"),
    "types of the same kind": put("pools", "gpu", "instance_types", value=["p3.2xlarge"]),
    "hosts": put("hosts", "dev", "count", value=9),
    "more metal": put("metal", "titan", "hosts", value=["titan-[01-99].research.internal"]),
    "network": put("network", "zones", value=2),
    "who may come in from where": put("access", "ssh_from", value=["198.51.100.0/24"]),
    "a CA of host keys": put("access", "ssh_ca", value=[KEY]),
    "throughput": put("storage", "datasets", "efs", value={"throughput": "bursting"}),
    "expiry": put("storage", "results", "s3", "expire_days", value=3),
    "control plane": put("kubernetes", "control_plane", "count", value=1),
    "pods' network": put("kubernetes", "pod_cidr", value="10.24.0.0/13"),
    "unused cookbook": write("cookbooks/unheard/recipes/default.rb", "log 'new'\n"),
    "unused role": write("roles/cpu.json", "{}"),
    "README": write("cookbooks/base/README.md", "# base\n"),
    "spec": write("cookbooks/base/spec/unit/default_spec.rb", "describe 'x'\n"),
    "rubocop": write("cookbooks/base/.rubocop.yml", "AllCops:\n"),
    "an editor's copy": write("cookbooks/base/recipes/default.rb~", "log 'old'\n"),
}
MOVES: dict[str, Change] = {
    "driver": put("profiles", "gpu", "nvidia", "driver", value="570"),
    "cuda": put("profiles", "gpu", "nvidia", "cuda", value="12.8"),
    "docker": put("profiles", "gpu", "docker", value={"version": "27"}),
    "os": put("profiles", "gpu", "os", value="ubuntu-24.04"),
    "attributes": put("profiles", "gpu", "attributes", value={"infra": {"sysctl": {"vm.swappiness": 1}}}),
    "run-list": put("profiles", "gpu", "run_list", value=["role[gpu]", "recipe[other]"]),
    "a user": put("access", "users", "joan", value={"keys": [KEY]}),
    "a CA of users": put("access", "user_ca", value=[KEY]),
    "a user's sudo": put("access", "users", "grace", "sudo", value=True),
    "a mount": put("storage", "home", "mount", value="/nfs"),
    "kubernetes": put("kubernetes", "version", value="1.35"),
    "recipe": write("cookbooks/base/recipes/default.rb", "log 'new'\n"),
    "a new file": write("cookbooks/cuda/files/x", ""),
    "hidden file": write("cookbooks/cuda/files/.profile", "x"),
    "metadata": write("cookbooks/nvidia/metadata.rb", "name 'nvidia'\nversion '1.0.1'\n"),
    "converge": write("bin/converge", "#!/bin/sh\nexit 0\n"),
    "NVSwitch": put("pools", "big", value={"profile": "gpu", "instance_types": ["p4d.24xlarge"], "size": {"max": 1}}),
}


def changed(names: list[str], folder: Path) -> Policy:
    spec = copy.deepcopy(BASE)
    spec["profiles"]["gpu"]["run_list"] = ["role[gpu]"]
    spec["profiles"]["cpu"]["run_list"] = []
    chef = small(folder / "chef")
    for name in names:
        {**STILL, **MOVES, **TOP}[name](spec, chef)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(assets, "root", lambda name: chef)
        return resolve(Cluster.model_validate(spec), "gpu")


@pytest.mark.parametrize("name", MOVES)
def test_it_moves_with_each_of_these(tmp_path: Path, name: str) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    assert changed([name], tmp_path / "a").digest != changed([], tmp_path / "b").digest


@given(
    still=st.lists(st.sampled_from(sorted(STILL)), unique=True),
    moves=st.lists(st.sampled_from(sorted(MOVES)), max_size=2),
)
def test_it_moves_as_it_should(tmp_path_factory: pytest.TempPathFactory, still: list[str], moves: list[str]) -> None:
    one, other = (tmp_path_factory.mktemp("chef") for _ in range(2))
    assert changed(still + moves, one).digest == changed(moves, other).digest


TOP: dict[str, Change] = {
    "a research recipe": write("cookbooks/research/recipes/default.rb", "log 'new'\n"),
    "environments": put("profiles", "gpu", "attributes", value={"infra": {"research": {"environments": {}}}}),
}


def test_layers(tmp_path: Path) -> None:
    def found(name: str = "size") -> tuple[str, str]:
        (tmp_path / name).mkdir()
        policy = changed([name], tmp_path / name)
        return policy.layer("system"), policy.layer("research")

    system, research = found()
    for name in TOP:
        below, above = found(name)
        assert below == system and above != research
    for name in ("driver", "recipe", "a user"):
        below, above = found(name)
        assert below != system and above != research
    assert found("converge") == (system, research)


def test_profiles_can_share_the_lower_layer(tmp_path: Path) -> None:
    chef = small(tmp_path / "chef")
    cookbook(chef, "research", "log 'x'\n")
    role(chef, "gpu", "recipe[base]", "recipe[research]")
    spec = copy.deepcopy(BASE)
    for name in ("gpu", "cpu"):
        spec["profiles"][name] = {"run_list": ["role[gpu]"]}
    spec["profiles"]["cpu"]["attributes"] = {"infra": {"research": {"environments": {"a": {}}}}}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(assets, "root", lambda name: chef)
        gpu, cpu = (resolve(Cluster.model_validate(spec), name) for name in ("gpu", "cpu"))
    assert gpu.layer("system") == cpu.layer("system") and gpu.layer("research") != cpu.layer("research")
    about = json.loads(gpu.contents["policy.json"])
    assert about["layers"] == {layer.name: layer.digest for layer in gpu.layers}
