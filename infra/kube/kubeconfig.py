"""A kubeconfig that others use, too: our context is put in, everything else stays as it is."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from infra import files
from infra.errors import FileError, KubeError, Refused

Raw = dict[str, Any]
PARTS = {"clusters": "cluster", "users": "user", "contexts": "context"}
FIX = "on a machine of the control plane: sudo /usr/local/lib/infra/control-plane --renew --now"


def read(text: str, where: str) -> Raw:
    """One cluster's kubeconfig, as kubeadm writes it. Raises KubeError when it is none."""
    import yaml

    try:
        found = yaml.safe_load(text)
        for part, inner in PARTS.items():
            assert isinstance(found[part][0][inner], dict)
    except (yaml.YAMLError, AssertionError, KeyError, IndexError, TypeError) as error:
        raise KubeError("what is published is no kubeconfig", where=where, why=type(error).__name__, fix=FIX) from error
    return dict(found)


def ours(given: Mapping[str, Any], name: str, server: str = "") -> Raw:
    """The published kubeconfig under our names: context and cluster NAME, user NAME-admin.

    ``server``: another way to the API, such as a forwarded port; the certificate is still that of the real name.
    """
    cluster = dict(given["clusters"][0]["cluster"])
    if server:
        cluster["tls-server-name"] = urlsplit(str(cluster.get("server", ""))).hostname or ""
        cluster["server"] = server
    user = f"{name}-admin"
    return {
        "clusters": [{"name": name, "cluster": cluster}],
        "users": [{"name": user, "user": dict(given["users"][0]["user"])}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": user}}],
    }


def merged(existing: Mapping[str, Any], new: Mapping[str, Any], *, current: bool, force: bool = False) -> Raw:
    """``existing`` with the entries of ``new`` put in their places. Refused when a context of that name is not ours."""
    name = new["contexts"][0]["name"]
    there = next((item for item in existing.get("contexts") or () if item.get("name") == name), None)
    user = (there or {}).get("context", {}).get("user")
    if there is not None and user != f"{name}-admin" and not force:
        raise Refused(
            f"there is a context {name} already, and it is not ours",
            why=f"its user is {user}",
            fix="rename it: kubectl config rename-context; or replace it: --force; or write another file: -o FILE",
        )
    found: Raw = {"apiVersion": "v1", "kind": "Config", "preferences": {}, **existing}
    for part in PARTS:
        mine = new[part][0]
        others = list(existing.get(part) or ())
        place = next((place for place, item in enumerate(others) if item.get("name") == mine["name"]), len(others))
        # Keys that somebody added to our own entry, such as a namespace, stay.
        old = others[place] if place < len(others) else {}
        inner = PARTS[part]
        kept = {**(old.get(inner) or {}), **mine[inner]} if part == "contexts" else mine[inner]
        found[part] = [*others[:place], {**old, "name": mine["name"], inner: kept}, *others[place + 1 :]]
    if current or not found.get("current-context"):
        found["current-context"] = name
    return found


def place(given: Path | None) -> Path:
    """The file to write: the one given, the first of $KUBECONFIG, or ~/.kube/config; a link's target."""
    named = next(filter(None, os.environ.get("KUBECONFIG", "").split(os.pathsep)), "~/.kube/config")
    return (given or Path(named)).expanduser().resolve()


def write(path: Path, new: Mapping[str, Any], *, current: bool, force: bool = False) -> bool:
    """Merge ``new`` into the file, readable by its owner alone; whether it changed. Raises FileError, Refused."""
    with _lock(path):
        existing = _existing(path)
        found = merged(existing, new, current=current, force=force)
        if path.exists() and found == existing and path.stat().st_mode & 0o077 == 0:
            return False
        files.write_text(path, dump(found), 0o600)
        return True


def dump(value: Mapping[str, Any]) -> str:
    import yaml

    return yaml.safe_dump(dict(value), sort_keys=True, default_flow_style=False)


def _existing(path: Path) -> Raw:
    import yaml

    if not path.exists():
        return {}
    try:
        found = yaml.safe_load(files.read_text(path))
    except yaml.YAMLError as error:
        why = " ".join(str(error).split())
        raise FileError(f"{path} is no YAML", where=str(path), why=why, fix="mend it, or write another: -o") from error
    if found is None:
        return {}
    lists = isinstance(found, dict) and all(
        isinstance(found.get(part) or [], list) and all(isinstance(item, dict) for item in found.get(part) or ())
        for part in PARTS
    )
    if not lists:
        raise FileError(f"{path} is no kubeconfig", where=str(path), fix="mend it, or write another: -o FILE")
    return dict(found)


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[None]:
    """As kubectl locks it: a file beside it that only one can make."""
    lock = path.with_name(f"{path.name}.lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(lock, os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError as error:
        why = f"kubectl or another infra has {lock}"
        fix = f"try again; if nobody is at work: rm {lock}"
        raise FileError(f"somebody else is writing {path}", where=str(lock), why=why, fix=fix) from error
    except OSError as error:
        raise files.explain("write", path, error) from error
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)
