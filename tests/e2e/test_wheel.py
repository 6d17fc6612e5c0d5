"""An installed wheel works outside a checkout: modules, data and templates are in it."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.conftest import LABS, SLICE, Infra

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What git tracks (and what it does not ignore), so that a stray file cannot hide a missing one."""
    source = tmp_path_factory.mktemp("source")
    names = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\0")
    for name in filter(None, names):
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    return source


@pytest.fixture(scope="module")
def wheel(clone: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    argv = [sys.executable, "-m", "build", "--wheel", "--outdir", str(out), str(clone)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return next(out.glob("*.whl"))


def test_the_wheel_holds_modules_and_data(clone: Path, wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    sources = {str(path.relative_to(ROOT / "terraform")) for path in (ROOT / "terraform" / "modules").rglob("*.tf")}
    assert {f"infra/_assets/terraform/{name}" for name in sources} <= names
    assert {"infra/data/prices.json", "infra/data/instances.json.gz", "infra/py.typed"} <= names
    assert not [name for name in names if name.startswith("tests")]
    chef = {str(path.relative_to(clone)) for path in (clone / "chef").rglob("*") if path.is_file()}
    assert chef and {f"infra/_assets/{name}" for name in chef} <= names


def test_a_policy_of_the_installed_wheel_is_that_of_the_clone(clone: Path, wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    labs = sorted(LABS.glob("*.yaml"))
    code = "import sys; sys.path.insert(0, sys.argv.pop(1)); from infra.cli.main import main; main()"

    def digests(place: Path) -> list[tuple[str, str]]:
        found = []
        for lab in labs:
            (tmp_path / "cluster.yaml").write_bytes(lab.read_bytes())
            argv = [sys.executable, "-P", "-c", code, str(place), "policy", "show", "--json"]
            done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True)
            found += [(item["profile"], item["digest"]) for item in json.loads(done.stdout)["policies"]]
        return found

    assert digests(tmp_path / "site") == digests(clone)


@pytest.mark.engine
def test_the_installed_wheel_plans_outside_the_checkout(wheel: Path, infra: Infra, tmp_path: Path) -> None:
    site = tmp_path / "site"
    argv = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(site), str(wheel)]
    subprocess.run(argv, check=True, timeout=300)
    infra.write(SLICE)
    # -P and an own first entry of the path: the checkout's package cannot be what is imported.
    code = f"import sys; sys.path.insert(0, {str(site)!r}); from infra.cli.main import main; main()"

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-P", "-c", code, *arguments]
        env = {**infra.env, "PYTHONPATH": str(site)}
        return subprocess.run(argv, cwd=infra.folder, env=env, capture_output=True, text=True, timeout=300, check=False)

    planned = run("plan")
    assert planned.returncode == 2, planned.stdout + planned.stderr
    assert "pool cpu: Auto Scaling group" in planned.stdout
    modules = infra.folder / ".infra" / "demo@local" / "us-west-2" / "modules"
    assert (modules / "network").is_dir()
