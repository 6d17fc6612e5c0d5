"""A kubeconfig that others use: ours goes in, theirs stays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.errors import FileError, KubeError, Refused
from infra.kube import kubeconfig

ADMIN = """\
apiVersion: v1
kind: Config
clusters:
- {name: kubernetes, cluster: {server: "https://api.internal:6443", certificate-authority-data: QQ==}}
users:
- {name: kubernetes-admin, user: {client-certificate-data: QQ==, client-key-data: QQ==}}
contexts:
- {name: kubernetes-admin@kubernetes, context: {cluster: kubernetes, user: kubernetes-admin}}
current-context: kubernetes-admin@kubernetes
"""


def new(name: str = "research", server: str = "") -> dict[str, Any]:
    return kubeconfig.ours(kubeconfig.read(ADMIN, "SSM"), name, server)


def other(name: str) -> dict[str, Any]:
    return {
        "clusters": [{"name": name, "cluster": {"server": "https://other"}}],
        "users": [{"name": name, "user": {"token": "x"}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name, "namespace": "mine"}}],
        "current-context": name,
        "extensions": [{"name": "kept"}],
    }


def test_into_a_file_that_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "config"
    assert kubeconfig.write(path, new(), current=True)
    assert path.stat().st_mode & 0o777 == 0o600
    found = yaml.safe_load(path.read_text())
    assert found["current-context"] == "research"
    assert found["contexts"] == [{"name": "research", "context": {"cluster": "research", "user": "research-admin"}}]
    assert not kubeconfig.write(path, new(), current=True), "a second time changes nothing"
    assert [item.name for item in path.parent.iterdir()] == ["config"], "no lock, no half file"
    path.chmod(0o644)
    assert kubeconfig.write(path, new(), current=True) and path.stat().st_mode & 0o777 == 0o600


def test_others_stay(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text(yaml.safe_dump(other("work")))
    kubeconfig.write(path, new(), current=False)
    found = yaml.safe_load(path.read_text())
    assert found["current-context"] == "work" and found["extensions"] == [{"name": "kept"}]
    assert found["contexts"][0] == other("work")["contexts"][0]
    assert [item["name"] for item in found["users"]] == ["work", "research-admin"]
    found["contexts"][1]["context"]["namespace"] = "lab"
    path.write_text(yaml.safe_dump(found))
    kubeconfig.write(path, new(server="https://127.0.0.1:7443"), current=True)
    found = yaml.safe_load(path.read_text())
    assert found["contexts"][1]["context"]["namespace"] == "lab", "what somebody added to ours stays"
    cluster = found["clusters"][1]["cluster"]
    assert (cluster["server"], cluster["tls-server-name"]) == ("https://127.0.0.1:7443", "api.internal")


def test_a_link_stays_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "real").write_text("")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    monkeypatch.setenv("KUBECONFIG", f"{tmp_path / 'link'}:{tmp_path / 'second'}")
    kubeconfig.write(kubeconfig.place(None), new(), current=True)
    assert (tmp_path / "link").is_symlink() and "research" in (tmp_path / "real").read_text()


def test_what_cannot_be_written_says_why(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text(yaml.safe_dump(other("research")))
    with pytest.raises(Refused, match="not ours"):
        kubeconfig.write(path, new(), current=True)
    assert yaml.safe_load(path.read_text()) == other("research")
    assert kubeconfig.write(path, new(), current=True, force=True)
    for text in ("[1, 2]", "a: [", "contexts: {a: b}", "contexts: [a]"):
        path.write_text(text)
        with pytest.raises(FileError):
            kubeconfig.write(path, new(), current=True)
        assert path.read_text() == text
    (tmp_path / "config.lock").touch()
    with pytest.raises(FileError, match="somebody else"):
        kubeconfig.write(path, new(), current=True)
    assert (tmp_path / "config.lock").exists(), "that of another is not taken away"
    for text in ("", "a", "clusters: []", "{"):
        with pytest.raises(KubeError, match="no kubeconfig"):
            kubeconfig.read(text, "SSM")


NAMES = st.text("abc", min_size=1, max_size=2)


@settings(max_examples=25)
@given(st.lists(NAMES, unique=True, max_size=4), NAMES, st.booleans())
def test_nobody_elses_entry_is_ever_lost(names: list[str], ours: str, current: bool) -> None:
    existing: dict[str, Any] = {"clusters": [], "users": [], "contexts": []}
    for name in names:
        for part in existing:
            existing[part] += other(name)[part]
    found = kubeconfig.merged(existing, new(ours), current=current, force=True)
    for part in existing:
        called = [item["name"] for item in found[part]]
        assert len(set(called)) == len(called)
        mine = new(ours)[part][0]["name"]
        assert [item for item in found[part] if item["name"] != mine] == [
            item for item in existing[part] if item["name"] != mine
        ]
        assert mine in called
    again = kubeconfig.merged(found, new(ours), current=current)
    assert again == found
