"""What all module sources have in common, and how they are rendered."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.cloud.project import modules
from infra.cloud.project.provider import ProviderLine, online
from infra.cloud.project.terms import tag_of_address
from infra.errors import FileError
from tests import provider_schema

EMBEDDED = ProviderLine(3, "= 3.39.0", "http://127.0.0.1:1")
CONDITION = re.compile(r"^\s*#% (if provider_major (>=|<) 6|else|endif)$")
NETWORKS = {"existing", "group", "link", "network", "security"}
PARTS = {"bucket", "control_plane", "efs", "host", "identity", "pool"} | NETWORKS


@pytest.fixture(scope="module", params=[6, 3])
def major(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture(scope="module")
def parsed(major: int) -> dict[str, provider_schema.Module]:
    return provider_schema.parse(modules.rendered(major))


def resources(parsed: dict[str, provider_schema.Module]) -> Iterator[tuple[str, str, str, Any]]:
    for name, module in parsed.items():
        yield from ((name, type_, label, body) for type_, label, body in module.things("resource"))


def test_every_module_is_there(parsed: dict[str, provider_schema.Module]) -> None:
    assert set(parsed) == PARTS


def test_the_only_template_syntax_is_a_condition_on_the_provider() -> None:
    for path, text in modules.sources().items():
        for line in text.splitlines():
            if "#%" in line or "{{" in line or "{%" in line:
                assert CONDITION.match(line), f"{path}: {line}"


def test_conditions_are_few() -> None:
    """Each one is a difference between providers that a reader must keep in mind: see docs/terraform.md."""
    conditions = sum(text.count("#% if") for text in modules.sources().values())
    assert conditions <= 13


def test_nothing_of_the_template_is_left(major: int) -> None:
    for path, text in modules.rendered(major).items():
        assert "#%" not in text, path
        assert "\n\n\n" not in text, path


def test_variables_and_outputs_say_what_they_are(parsed: dict[str, provider_schema.Module]) -> None:
    for module in parsed.values():
        for name, variable in module.items("variable"):
            assert variable.get("description"), f"{module.name}: var.{name}"
            assert "type" in variable, f"{module.name}: var.{name}"
        for name, output in module.items("output"):
            assert output.get("description"), f"{module.name}: output.{name}"


def test_every_resource_that_can_be_tagged_is_and_names_its_own_address(
    major: int, parsed: dict[str, provider_schema.Module]
) -> None:
    known = provider_schema.schema(major)["resources"]
    checked = 0
    for name, type_, label, body in resources(parsed):
        where = f"{name}: {type_}.{label}"
        if type_ == "aws_autoscaling_group":  # its tags are blocks made from a local
            assert f'"infra:address" = "${{var.address}}.{type_}.{label}' in parsed[name].text, where
            continue
        if "tags" not in known[type_]["arguments"]:
            continue
        key = "/${each.key}" if "for_each" in body else ""
        assert f'"infra:address"="${{var.address}}.{type_}.{label}{key}"' in squeezed(body["tags"]), where
        assert "local." in body["tags"], where
        checked += 1
    assert checked > 20


def squeezed(text: str) -> str:
    return re.sub(r'\\"', '"', re.sub(r"\s*[=:]\s*(?=\")", "=", text))


def test_cluster_tags_are_in_every_module_that_makes_something(parsed: dict[str, provider_schema.Module]) -> None:
    for name in {name for name, *_ in resources(parsed)}:
        text = parsed[name].text
        assert re.search(r'"infra:cluster"\s+= var.cluster', text), name
        assert re.search(r'"infra:managed-by"\s+= "infra"', text), name


def test_machines_are_safe_by_themselves(parsed: dict[str, provider_schema.Module]) -> None:
    found = 0
    for name, type_, label, body in resources(parsed):
        if type_ not in ("aws_instance", "aws_launch_template"):
            continue
        found += 1
        assert body["metadata_options"][0]["http_tokens"] == "required", (name, label)
        disk = body.get("root_block_device") or body["block_device_mappings"][0]["ebs"]
        assert disk[0]["encrypted"] is True, (name, label)
    assert found == 3


def test_a_template_is_never_followed_blindly() -> None:
    for path, text in modules.sources().items():
        assert "$Latest" not in text, path
        assert "$Default" not in text, path
        assert "default_tags" not in text, path


def test_nothing_is_open_to_the_world(parsed: dict[str, provider_schema.Module]) -> None:
    everywhere = [name for name, module in parsed.items() if "0.0.0.0/0" in module.text]
    assert sorted(everywhere) == ["control_plane", "network", "security"]  # two routes out; what machines may reach


@pytest.mark.parametrize("address", ["module.a.aws_vpc.this", 'module.a.aws_subnet.private["us-west-2a"]'])
def test_an_address_as_a_tag_is_what_every_service_takes(address: str) -> None:
    assert re.fullmatch(r"[\w .:/=+@-]{1,256}", tag_of_address(address))


# ---- rendering


def test_rendering_again_touches_nothing(tmp_path: Path) -> None:
    modules.render(EMBEDDED, tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    modules.render(EMBEDDED, tmp_path)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_rendering_mends_and_clears(tmp_path: Path) -> None:
    modules.render(EMBEDDED, tmp_path)
    whole = {path: path.read_text() for path in tmp_path.rglob("*.tf")}
    (tmp_path / "pool" / "main.tf").write_text("damaged")
    (tmp_path / "pool" / "override.tf").write_text("stale")
    (tmp_path / "gone").mkdir()
    (tmp_path / "gone" / "main.tf").write_text("stale")
    (tmp_path / "pool" / "group.tf").unlink()
    modules.render(EMBEDDED, tmp_path)
    assert {path: path.read_text() for path in tmp_path.rglob("*.tf")} == whole
    assert not (tmp_path / "gone").exists()


def test_another_line_is_another_text(tmp_path: Path) -> None:
    modules.render(EMBEDDED, tmp_path)
    assert "aws_efs_backup_policy" not in (tmp_path / "efs" / "main.tf").read_text()
    modules.render(online(), tmp_path)
    assert "aws_efs_backup_policy" in (tmp_path / "efs" / "main.tf").read_text()


def test_the_digest_is_of_every_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = modules.sources_digest()
    for path, text in modules.sources().items():
        target = tmp_path / "modules" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    monkeypatch.setattr("infra.assets.root", lambda name: tmp_path)
    assert modules.sources_digest() == before
    (tmp_path / "modules" / "pool" / "main.tf").write_text("# other\n")
    assert modules.sources_digest() != before


def test_a_folder_that_cannot_be_written_is_an_error_of_ours(tmp_path: Path) -> None:
    (tmp_path / "modules").write_text("a file where the folder should be")
    with pytest.raises(FileError):
        modules.render(EMBEDDED, tmp_path / "modules")
