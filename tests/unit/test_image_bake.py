"""Bakes without a machine: Packer's lines, what they mean for a user, the parent, the template, versions, clients."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import hcl2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.errors import FileError, InfraError, SpecError, ToolFailed
from infra.image import bake, builder, clients, parent, refusals, template
from infra.image.build import Built
from infra.image.events import ORDER, PHASES, Event, Story, parse
from infra.image.ledger import Image
from infra.image.packer import _argv, read_version
from infra.image.parent import Base, choose
from infra.local.build_host import Status
from infra.local.build_machine import Machine
from infra.policy import Policy
from infra.spec.load import Loaded, load
from infra.ui import bake_view
from tests.unit.test_json_docs import check as documented

BASE = Base("ami-0000000000000000b", "ubuntu", "/dev/sda1", 8)
SYSTEM, OTHER, RESEARCH = "a" * 64, "b" * 64, "c" * 64


def image(**changed: Any) -> Image:
    values: dict[str, Any] = {
        "id": "ami-00000000000000001",
        "region": "us-west-2",
        "name": "lab-gpu-1",
        "cluster": "lab",
        "profile": "gpu",
        "digest": "d" * 64,
        "layers": {"system": SYSTEM, "research": RESEARCH},
        "base": "ami-0000000000000000a",
        "versions": {"os": "ubuntu-22.04"},
        "created": "2026-11-22T05:00:00Z",
        "smoke": "passed",
    }
    return Image(**{**values, **changed})


def chosen(*images: Image, layers: dict[str, str] | None = None, **changed: Any) -> parent.Parent:
    wanted = {"region": "us-west-2", "architecture": "x86_64", "system": "ubuntu-22.04", **changed}
    return choose(images, BASE, layers or {"system": SYSTEM, "research": OTHER}, **wanted)


def test_the_newest_image_with_the_same_system_is_the_parent() -> None:
    old, new = image(), image(id="ami-00000000000000002", created="2026-11-22T06:00:00Z")
    found = chosen(old, new)
    assert (found.id, found.base) == ("ami-00000000000000002", "ami-0000000000000000a")
    assert "the same system layer" in found.why


@pytest.mark.parametrize(
    "other",
    [
        image(layers={"system": OTHER}),
        image(layers={}),
        image(revoked="a bad driver"),
        image(smoke="failed: docker"),
        image(smoke="rehearsed"),
        image(state="pending"),
        image(region="us-east-1"),
        image(architecture="arm64"),
        image(versions={"os": "ubuntu-24.04"}),
    ],
    ids=lambda item: f"{item.layers}"[:9] + item.revoked[:3] + item.smoke[:6] + item.state[:4] + item.region[:5],
)
def test_what_is_no_parent(other: Image) -> None:
    assert chosen(other).id == BASE.id


def test_a_research_layer_is_not_inherited_by_a_policy_without_one() -> None:
    assert chosen(image(), layers={"system": SYSTEM}).id == BASE.id
    assert chosen(image(layers={"system": SYSTEM}), layers={"system": SYSTEM}).id == image().id


def test_a_rehearsal_may_be_the_parent_of_a_rehearsal() -> None:
    assert chosen(image(smoke="rehearsed"), rehearsal=True).image is not None
    assert chosen(image(), fresh=True).image is None


@given(st.text())
def test_any_line_is_an_event(text: str) -> None:
    story = Story()
    story.hear(parse(text))
    refusals.failure(story, "gpu in us-west-2", log="packer.log")


def test_commas_and_lines_come_back() -> None:
    event = parse("1795323618,,ui,say,==> amazon-ebs.image: one%!(PACKER_COMMA) two\\nthree")
    assert event == Event("ui", ("say", "==> amazon-ebs.image: one, two\nthree"))
    artifact = parse("1,amazon-ebs.image,artifact,0,id,us-west-2:ami-0123456789abcdef0")
    story = Story()
    story.hear(artifact)
    assert story.image == "ami-0123456789abcdef0"


def test_every_phase_has_words() -> None:
    assert {phase for _, phase in PHASES} == set(ORDER) == set(bake_view.PHASES) == set(refusals.PHASES)


def told(*lines: str) -> Story:
    """A story of lines, ``say:`` or ``error:`` before what is not a plain message."""
    story = Story()
    for line in lines:
        level, _, text = line.partition(":") if line.startswith(("say:", "error:")) else ("message", "", line)
        story.hear(Event("ui", (level, f"==> amazon-ebs.image: {text}")))
    return story


STARTED = ("say:Launching a source AWS instance...", "say:Waiting for SSH to become available...")
GONE = ("say:Provisioning step had errors: Running the cleanup", "say:Terminating the source AWS instance...")


def script(name: str) -> str:
    return f"say:Provisioning with shell script: scripts/{name}.sh"


FAILURES = {
    "the base image is gone": (
        "say:Launching a source AWS instance...",
        "error:Error launching source instance: InvalidAMIID.NotFound: The image id '[ami-1]' does not exist",
    ),
    "the builder's account may not use sudo": (
        *STARTED,
        script("prepare"),
        "error:sudo: a password is required",
        *GONE,
    ),
    "the builder's disk is full": (
        *STARTED,
        script("converge"),
        "error:cannot copy extracted data: No space left on device",
        *GONE,
    ),
    "the builder cannot be reached by SSH": (*STARTED, "error:Timeout waiting for SSH.", *GONE),
    "the builder died while it was at work": (
        *STARTED,
        script("converge"),
        "error:Script disconnected unexpectedly. If you expected your script to disconnect",
        *GONE,
    ),
    "converging failed at apt_package[docker-ce]": (
        *STARTED,
        script("converge"),
        "error:converge: failed with exit code 1",
        "error:at: apt_package[docker-ce] (action install) in docker::default, default.rb:4",
        "error:E: Unable to locate package docker-ce",
        *GONE,
    ),
    "the smoke test failed: docker, conda": (
        *STARTED,
        script("smoke"),
        "PASS driver: 580.95",
        "FAIL docker: docker info says no",
        "SKIPPED cuda: no GPU here",
        "FAIL conda: import torch",
        *GONE,
    ),
    "cleaning the machine failed": (*STARTED, script("seal"), "error:rm: cannot remove", *GONE),
}


@pytest.mark.parametrize("what", FAILURES)
def test_what_went_wrong_in_a_users_words(what: str) -> None:
    error = refusals.failure(told(*FAILURES[what]), "gpu in us-west-2", log="/lab/packer.log")
    problem = error.problems[0]
    assert problem.what.startswith(what)
    assert problem.where == "gpu in us-west-2"
    assert problem.fix and "same command" in problem.fix
    assert problem.why.endswith("all of it: /lab/packer.log")
    assert "Terminating" not in problem.why and "amazon-ebs" not in problem.why


def test_a_converge_tells_the_resource_and_its_last_lines() -> None:
    why = refusals.failure(told(*FAILURES["converging failed at apt_package[docker-ce]"]), "x").problems[0].why
    assert "E: Unable to locate package docker-ce" in why and "no image was made" in why


def test_the_smoke_test_is_counted() -> None:
    story = told(*STARTED, script("smoke"), "PASS driver: 580", "SKIPPED cuda: no GPU", "SKIPPED gpu-docker: no GPU")
    assert story.smoke() == "passed, 2 skipped"
    assert told(*STARTED, script("smoke"), "PASS a: b").smoke() == "passed"
    assert image(smoke=story.smoke()).passed


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("Packer v1.6.6\n", (1, 6, 6)),
        ("1795323618,,version,v1.6.6\n1,,version-prelease,\n", (1, 6, 6)),
        ("Packer v1.11.2\n\nYour version of Packer is out of date! The latest version\nis 1.14.0.", (1, 11, 2)),
        ("Packer v1.14.0-dev", (1, 14, 0)),
        ("cracklib packer: 12 words", None),
        ("", None),
    ],
)
def test_versions_of_packer(text: str, version: tuple[int, int, int] | None) -> None:
    assert read_version(text) == version


def test_packer_py_writes_the_command_lines() -> None:
    assert _argv("/p", "version") == ["/p", "version", "-machine-readable"]
    line = _argv("/p", "build", ".", var_file="v.json", on_error="cleanup")
    assert line == ["/p", "build", "-machine-readable", "-var-file=v.json", "-on-error=cleanup", "."]


def project(version: tuple[int, int, int], local: bool, **changed: Any) -> template.Project:
    values: dict[str, Any] = changed.pop("values", {})
    machine = template.Local("key", "secret", "198.18.0.2", 22) if local else None
    endpoint = "http://127.0.0.1:5000" if local else ""
    return template.Project(version, values, b"tar", {}, endpoint=endpoint, local=machine, **changed)


@pytest.mark.parametrize("rehearsal", [False, True])
@pytest.mark.parametrize("local", [False, True])
@pytest.mark.parametrize("version", [(1, 6, 6), (1, 7, 0), (1, 14, 2)])
def test_the_template_is_hcl_for_every_packer(version: tuple[int, int, int], local: bool, rehearsal: bool) -> None:
    texts = template.texts(project(version, local, rehearsal=rehearsal))
    parsed = {name: hcl2.loads(text) for name, text in texts.items()}
    assert ("plugins.pkr.hcl" in parsed) is (version >= (1, 7))
    text = texts["image.pkr.hcl"]
    assert ("metadata_options" in text) is (version >= (1, 7))
    assert ("custom_endpoint_ec2" in text) is local and ("ssh_host " in text) is local
    assert ("rehearse.sh" in text) is rehearsal and ("smoke.sh" in text) is not rehearsal
    assert "<<" not in text and "#%" not in text
    used = {line.split('"')[1] for line in text.splitlines() if line.strip().startswith("script ")}
    assert all(Path(name).stem in template.SCRIPTS for name in used)
    scripts = [f"scripts/{name}.sh" for name in template.SCRIPTS]
    order = [name for name in scripts if name in text]
    assert sorted(order, key=text.index) == order


def test_every_variable_of_the_template_is_declared() -> None:
    texts = template.texts(project((1, 6, 6), True))
    declared = {name.strip('"') for item in hcl2.loads(texts["variables.pkr.hcl"])["variable"] for name in item}
    used = {
        part.split("}")[0].split("\n")[0].split(",")[0].strip() for part in texts["image.pkr.hcl"].split("var.")[1:]
    }
    assert used <= declared


LAB = """\
version: 1
cluster: lab
aws: {{regions: [us-west-2, us-east-1, eu-west-1]{endpoint}}}
profiles:
  gpu: {{os: ubuntu-22.04, nvidia: {{driver: "580"}}}}
  old: {{image: ami-0123456789abcdef0}}
pools:
  gpu: {{profile: gpu, instance_types: [p3.8xlarge], regions: [eu-west-1, us-west-2], size: {{max: 2}}}}
hosts:
  dev: {{profile: gpu, instance_type: g4dn.xlarge, region: us-east-1}}
  arm: {{profile: old, instance_type: m6g.large}}
{chef}
"""


def lab(folder: Path, chef: str = "", local: bool = False) -> Loaded:
    path = folder / "cluster.yaml"
    path.write_text(LAB.format(chef=chef, endpoint=", endpoint: local" if local else ""))
    return load(path)


def test_where_and_on_what_a_profile_is_baked(tmp_path: Path) -> None:
    cluster = lab(tmp_path).cluster
    assert builder.regions_of(cluster, "gpu") == ["us-west-2", "us-east-1", "eu-west-1"]
    assert builder.builder_type(cluster, "gpu") == "g4dn.xlarge"
    assert builder.builder_type(cluster, "old") == "m6g.xlarge"


def test_a_profile_with_an_image_of_its_own_is_not_baked(tmp_path: Path) -> None:
    with pytest.raises(InfraError, match="is not baked") as caught:
        bake.prepare(lab(tmp_path), "old")
    assert caught.value.problems[0].where.endswith("cluster.yaml:6")


def test_a_package_without_its_digest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError) as caught:
        clients.client(lab(tmp_path), "gpu", "x86_64")
    problem = caught.value.problems[0]
    assert "sha256" in problem.what and "cinc_18.5.0-1_amd64.deb" in problem.fix
    with pytest.raises(SpecError, match="where the chef client's package comes from"):
        clients.client(lab(tmp_path, "chef: {client: chef, version: 18.5.0}"), "gpu", "x86_64")


def test_a_package_of_the_lab_is_taken_when_its_digest_is_right(tmp_path: Path) -> None:
    package = tmp_path / "cinc.deb"
    package.write_bytes(b"a package")
    good = hashlib.sha256(b"a package").hexdigest()
    found = clients.client(lab(tmp_path, f"chef: {{url: cinc.deb, sha256: {good}}}"), "gpu", "x86_64")
    assert (found.kind, found.package, found.sha256, found.rehearsal) == ("cinc", package, good, False)
    each = f"chef: {{url: cinc.deb, sha256: {{arm64: {good}}}}}"
    assert clients.client(lab(tmp_path, each), "gpu", "arm64").sha256 == good
    with pytest.raises(ToolFailed, match="is not the one"):
        clients.client(lab(tmp_path, f"chef: {{url: cinc.deb, sha256: {'0' * 64}}}"), "gpu", "x86_64")
    with pytest.raises(FileError, match="cannot be read"):
        clients.client(lab(tmp_path, f"chef: {{url: none.deb, sha256: {good}}}"), "gpu", "x86_64")


def test_without_a_client_the_embedded_aws_rehearses_loudly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    found = clients.client(lab(tmp_path, local=True), "gpu", "x86_64")
    assert found.rehearsal and "REHEARSAL" in found.note and "Nothing is converged" in found.note


def test_a_rendered_project_is_whole(tmp_path: Path) -> None:
    values = {"name": "x"}
    folder = tmp_path / "project"
    (folder / "out").mkdir(parents=True)
    (folder / "out/packages.tsv").write_text("of a former bake")
    template.render(project((1, 6, 6), True, values=values), folder)
    assert json.loads((folder / template.VALUES).read_text()) == values
    assert (folder / "policy.tar").read_bytes() == b"tar"
    assert not (folder / "out/packages.tsv").exists()
    assert {path.stem for path in (folder / "scripts").iterdir()} == set(template.SCRIPTS)


def test_what_is_said_where_there_is_no_terminal() -> None:
    assert bake_view.line({"type": "bake_phase", "phase": "converge", "text": "x"}) == "converging"
    assert bake_view.line({"type": "bake_line", "phase": "smoke", "text": "SKIPPED cuda: no GPU"}).strip() != ""
    assert bake_view.line({"type": "bake_line", "phase": "converge", "text": "a line of many"}) == ""
    assert bake_view.line({"type": "bake_copy", "state": "failed", "text": "no"}) == "FAILED: no"
    assert bake_view.line({"type": "something else"}) == ""


def test_what_is_printed_as_json_is_documented() -> None:
    policy = Policy("gpu", (), (), {}, {}, (), {"node.json": b"{}"}, {})
    client = clients.Client("cinc")
    built = Built(image(), chosen(image()), client, tuple(told(*STARTED, script("smoke"), "PASS a: b").checks))
    result = bake.Result(policy, [image()], built, ["us-east-1"], 12.3, {"packer": 10.0})
    documented({**result.data(), "promoted": ["us-west-2"]}, "infra image bake", "bake")
    nothing = bake.Result(policy, [image()])
    documented({**nothing.data(), "promoted": []}, "infra image bake", "nothing")
    assert nothing.nothing and not result.nothing
    machine = Machine("bake-1", 1, 2, "198.18.0.2", 22, "ubuntu", "ssh-ed25519 A", "/x", "systemd", 3)
    status = json.loads(json.dumps(asdict(Status(True, "/root", "", (machine,)))))
    documented(status, "infra local build-host", "status")
