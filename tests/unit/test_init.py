"""``infra init`` writes a file that is good as it is, asks nothing, and replaces nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from infra.cli.init import clean
from infra.cli.main import run
from infra.spec.load import read

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFrORCiFghWA5IVhIrl+Sfz3oMUZ5NRhtPQ7MAB7L40P"
KINDS = {"aws": [], "local": ["--local"], "metal": ["--metal-only"]}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "home"
    (folder / ".ssh").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("LOGNAME", "ada")
    monkeypatch.delenv("INFRA_FILE", raising=False)
    work = tmp_path / "my-lab"
    work.mkdir()
    monkeypatch.chdir(work)
    return folder


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("key", ["", f"{KEY} ada@laptop"])
def test_loads_without_a_problem(kind: str, key: str, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if key:
        (home / ".ssh/id_ed25519.pub").write_text(f"{key}\n")
    assert run(["init", *KINDS[kind]]) == 0
    loaded, warnings = read(Path("cluster.yaml"))
    assert warnings == []
    assert loaded.cluster.cluster == "my-lab"
    assert loaded.cluster.local == (kind == "local")
    assert (loaded.cluster.aws is None) == (kind == "metal")
    assert [user.keys for user in loaded.cluster.access.users.values()] == ([[key]] if key else [])
    assert "infra plan" in capsys.readouterr().out
    assert sum(line.lstrip().startswith("#") or "  # " in line for line in loaded.text.splitlines()) >= 9


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_commented_out_is_good_too(kind: str) -> None:
    assert run(["init", *KINDS[kind]]) == 0
    path = Path("cluster.yaml")
    lines = path.read_text().splitlines()[2:]
    text = "\n".join(line.replace("# ", "", 1) if line.lstrip().startswith("# ") else line for line in lines)
    path.write_text(
        text.replace("AAAA… ada", f"{KEY.split()[1]} ada").replace("NAME-UNIQUE-IN-ALL-OF-AWS", "my-results")
    )
    loaded, warnings = read(path)
    assert warnings == []
    assert loaded.cluster.metal and loaded.cluster.access.users and loaded.cluster.storage


def test_refuses_to_replace(capsys: pytest.CaptureFixture[str]) -> None:
    Path("cluster.yaml").write_text("mine")
    assert run(["init"]) == 1
    assert "--force" in capsys.readouterr().err
    assert Path("cluster.yaml").read_text() == "mine"
    assert run(["init", "--force"]) == 0
    assert Path("cluster.yaml").read_text() != "mine"


def test_names_and_other_files(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["init", "--name", "vision", "-f", "deep/prod.yaml", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "cluster": "vision",
        "file": "deep/prod.yaml",
        "kind": "aws",
        "user": None,
    }
    assert read(Path("deep/prod.yaml"))[0].cluster.cluster == "vision"
    assert run(["init", "--name", "My Lab"]) == 1
    assert "did you mean: --name my-lab" in capsys.readouterr().err
    assert run(["init", "--local", "--metal-only"]) == 1
    assert not Path("cluster.yaml").exists()


def test_a_private_or_broken_key_is_not_taken(home: Path) -> None:
    (home / ".ssh/id_ed25519.pub").write_text("-----BEGIN OPENSSH PRIVATE KEY-----\nabc\n")
    (home / ".ssh/id_rsa.pub").write_bytes(b"\xff\xfe")
    assert run(["init"]) == 0
    assert "PRIVATE" not in Path("cluster.yaml").read_text()


NAMES = {"My Lab": "my-lab", "2024_runs": "runs", "---": "lab", "": "lab", "sg-x": "x", "é": "e", "a" * 40: "a" * 24}


@pytest.mark.parametrize("text", NAMES)
def test_names_of_folders(text: str) -> None:
    assert clean(text) == NAMES[text]
