"""The modules on the real engine: canonical form, ``terraform validate``, their properties with a mocked provider."""

from __future__ import annotations

import itertools
import json
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest

from infra import assets, files
from infra.cloud.project import links, modules, root
from infra.cloud.project.provider import ProviderLine
from infra.cloud.project.terms import address_of_tag, terms
from infra.local import control, endpoint, engine, inventory, mirror
from infra.spec.load import load
from infra.spec.models import State
from tests.e2e import embedded

pytestmark = pytest.mark.engine

LABS = Path(__file__).parents[1] / "labs"
TESTS = sorted((Path(__file__).parent / "modules").glob("*.tftest.hcl"))
EMBEDDED = ProviderLine(3, f"= {mirror.EMBEDDED}", "http://127.0.0.1:1")
ROOTS = [
    (lab, region)
    for lab in ("research-lab", "training-cluster")
    for region in load(LABS / f"{lab}.yaml").cluster.aws.regions  # type: ignore[union-attr]
]


@pytest.fixture(scope="module")
def environment(session_environment: dict[str, str]) -> dict[str, str]:
    patch = pytest.MonkeyPatch()
    patch.setenv("XDG_CACHE_HOME", session_environment["XDG_CACHE_HOME"])
    try:
        return {**session_environment, **engine.engine_environment(mirror.cli_config())}
    finally:
        patch.undo()


def terraform(environment: dict[str, str], folder: Path, *args: str) -> str:
    done = subprocess.run(
        [*engine.terraform_command(), *args],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("major", [0, 3, 6])
def test_canonical_form(major: int, tmp_path: Path, environment: dict[str, str]) -> None:
    """``terraform fmt`` has nothing to say, neither on the sources (major 0) nor on what is rendered from them."""
    if major:
        modules.render(ProviderLine(major, ""), tmp_path)
    folder = tmp_path if major else assets.root("terraform")
    assert terraform(environment, folder, "fmt", "-check", "-diff", "-recursive", "-no-color") == ""


@pytest.mark.parametrize(("lab", "region"), ROOTS)
def test_the_provider_accepts_the_roots(lab: str, region: str, tmp_path: Path, environment: dict[str, str]) -> None:
    cluster = load(LABS / f"{lab}.yaml").cluster
    modules.render(EMBEDDED, tmp_path / modules.FOLDER)
    files.write_json(tmp_path / "main.tf.json", root.build(cluster, region, EMBEDDED))
    terraform(environment, tmp_path, "init", "-backend=false", "-input=false")
    assert "Success" in terraform(environment, tmp_path, "validate", "-no-color")


def test_texts_of_the_file_reach_terraform_unchanged(tmp_path: Path, environment: dict[str, str]) -> None:
    """Every short text of the characters that begin a template, as a value and as a key."""
    alphabet = itertools.chain.from_iterable(itertools.product("${%a", repeat=length) for length in range(1, 5))
    texts = ["".join(letters) for letters in alphabet]
    values = {"value": {"value": terms(texts)}, "keys": {"value": terms(dict.fromkeys(texts, 1))}}
    files.write_json(tmp_path / "main.tf.json", {"output": values})
    terraform(environment, tmp_path, "apply", "-auto-approve", "-input=false")
    found = json.loads(terraform(environment, tmp_path, "output", "-json"))
    assert found["value"]["value"] == texts
    assert set(found["keys"]["value"]) == set(texts)


@pytest.mark.parametrize("test", TESTS, ids=lambda path: path.name.partition(".")[0])
def test_properties(test: Path, tmp_path: Path, environment: dict[str, str]) -> None:
    modules.render(EMBEDDED, tmp_path)
    folder = tmp_path / test.name.partition(".")[0]
    shutil.copy(test, folder)
    terraform(environment, folder, "init", "-backend=false", "-input=false")
    assert ", 0 failed." in terraform(environment, folder, "test", "-no-color")


# ---- applied


@dataclass(frozen=True)
class Project:
    """One region of a lab, as a Terraform project on the embedded AWS."""

    folder: Path
    environment: dict[str, str]
    region: str
    url: str
    grown: list[str] = field(default_factory=list)

    def __call__(self, *args: str) -> str:
        return terraform(self.environment, self.folder, *args)

    def apply_and_look(self) -> dict[str, Any]:
        """Create everything; a second plan must be empty, also when an autoscaler has bought machines meanwhile.

        The state as Terraform shows it.
        """
        self("init", "-input=false")
        self("apply", "-auto-approve", "-input=false", "-no-color")
        self.autoscale()
        self("plan", "-detailed-exitcode", "-input=false", "-no-color")  # exit code 2 when there is a difference
        shown: dict[str, Any] = json.loads(self("show", "-json"))
        return shown

    def autoscale(self) -> None:
        """A machine more in every group that is the autoscaler's."""
        scaling = boto3.client("autoscaling", **endpoint.session_arguments(self.region, self.url))
        for group in scaling.describe_auto_scaling_groups()["AutoScalingGroups"]:
            if any(tag["Key"] == "k8s.io/cluster-autoscaler/enabled" for tag in group["Tags"]):
                name, desired = group["AutoScalingGroupName"], group["DesiredCapacity"] + 1
                scaling.set_desired_capacity(AutoScalingGroupName=name, DesiredCapacity=desired)
                self.grown.append(name)


def project(lab: str, region: str, folder: Path, environment: dict[str, str], url: str) -> Project:
    line = ProviderLine(3, EMBEDDED.constraint, url)
    cluster = load(LABS / f"{lab}.yaml").cluster.model_copy(update={"state": State()})
    modules.render(line, folder / modules.FOLDER)
    files.write_json(folder / "main.tf.json", root.build(cluster, region, line))
    return Project(folder, {**environment, **endpoint.credentials(region, url)}, region, url)


def resources(module: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield from (one for one in module.get("resources", []) if one["mode"] == "managed")
    for child in module.get("child_modules", []):
        yield from resources(child)


def address_tag(resource: dict[str, Any]) -> str | None:
    """The value of ``infra:address``; None for what cannot be tagged. A group's tags are blocks."""
    values = resource["values"]
    blocks = {one["key"]: one["value"] for one in values.get("tag", [])}
    tags = values.get("tags") or blocks
    return tags.get("infra:address") if "tags" in values or blocks else None


def between(projects: list[Project], states: list[dict[str, Any]], folder: Path) -> None:
    """The VPCs of the research lab's three regions are joined, a second plan is empty, and all of it goes again."""
    cluster = load(LABS / "research-lab.yaml").cluster.model_copy(update={"state": State()})
    ends: dict[str, dict[str, str]] = {}
    for (lab, region), state in zip(ROOTS, states, strict=True):
        for one in resources(state["values"]["root_module"]) if lab == "research-lab" else ():
            if name := links.end(one["address"]):
                ends.setdefault(region, {})[name] = one["values"]["id"]
    assert {region: len(things) for region, things in ends.items()} == dict.fromkeys(links.linked(cluster), 5)
    line = ProviderLine(3, EMBEDDED.constraint, projects[0].url)
    modules.render(line, folder / modules.FOLDER)
    files.write_json(folder / "main.tf.json", links.build(cluster, ends, line))
    joined = Project(folder, projects[0].environment, projects[0].region, projects[0].url)
    joined("init", "-input=false")
    joined("apply", "-auto-approve", "-input=false", "-no-color")
    joined("plan", "-detailed-exitcode", "-input=false", "-no-color")
    made = list(resources(json.loads(joined("show", "-json"))["values"]["root_module"]))
    assert len(made) == 3 * (1 + 1 + 4 + 4)  # each two regions: a peering, its acceptance, the tables of both
    for one in made:
        tag = address_tag(one)
        assert tag is None or address_of_tag(tag) == one["address"], one["address"]
    joined("destroy", "-auto-approve", "-input=false", "-no-color")


def test_the_labs_are_made_whole_and_leave_nothing(
    tmp_path: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every region of both labs at once: created, unchanged by a second plan, findable by tag, destroyed."""
    monkeypatch.setenv("INFRA_LOCAL_DIR", str(tmp_path / "aws"))
    url = embedded.start({**environment, "INFRA_LOCAL_DIR": str(tmp_path / "aws")})
    try:
        projects = [project(lab, region, tmp_path / lab / region, environment, url) for lab, region in ROOTS]
        with ThreadPoolExecutor(len(projects)) as pool:
            states = list(pool.map(Project.apply_and_look, projects))
            grown = {name for one in projects for name in one.grown}
            assert {"research-gpu.p3.16xlarge.us-east-1c", "research-cpu.c5.9xlarge.eu-west-1a"} <= grown
            made = [one for state in states for one in resources(state["values"]["root_module"])]
            assert {"aws_placement_group", "aws_lb", "aws_efs_file_system", "aws_s3_bucket"} <= {
                o["type"] for o in made
            }
            for one in made:
                tag = address_tag(one)
                assert tag is None or address_of_tag(tag) == one["address"], one["address"]
            between(projects, states, tmp_path / "links")
            assert inventory.resources()
            list(pool.map(lambda one: one("destroy", "-auto-approve", "-input=false", "-no-color"), projects))
        assert inventory.resources() == []
    finally:
        control.down()
