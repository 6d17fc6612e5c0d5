"""Manifests and a cluster: what differs, and making it as they say. By server-side apply, so that the API server itself
says what would change, defaults and all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from infra.kube.manifests import bundle
from infra.kube.manifests.objects import MANAGED

Raw = dict[str, Any]
State = Literal["create", "change", "remove", "same"]
MANAGER = "infra"
AT_ONCE = 8
SHOWN = 60  # characters of a value


class Applier(Protocol):
    """What of ``infra.kube.api.Api`` is used here."""

    def get(self, path: str) -> Raw | None: ...
    def list(self, path: str) -> list[Raw]: ...
    def apply(self, path: str, body: Raw, manager: str, *, dry: bool = False) -> Raw: ...
    def delete(self, path: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Item:
    """One object. ``changes``: ``spec.replicas: 1 → 2``; none where it is new, goes, or stays."""

    title: str
    path: str
    state: State
    body: Raw
    changes: tuple[str, ...] = ()

    def data(self) -> dict[str, Any]:
        return {
            "title": self.title,
            "path": self.path,
            "state": self.state,
            "changes": list(self.changes),
            "manifest": self.body,
        }


def compare(kube: Applier, objects: Sequence[Raw]) -> list[Item]:
    """What applying would do, object by object; at the end those of ours that no manifest has any more."""
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="manifests") as pool:
        found = list(pool.map(lambda body: _one(kube, body), objects))
        kept = {item.path for item in found}
        lists = list(pool.map(lambda kind: _ours(kube, kind), bundle.PATHS))
    gone = [item for items in lists for item in items if item.path not in kept]
    return [*found, *sorted(gone, key=lambda item: item.title)]


def put(kube: Applier, items: Sequence[Item]) -> None:
    """Make the cluster as ``compare`` said, in order: nothing comes before what it needs. Again does no harm."""
    for item in items:
        if item.state in ("create", "change"):
            kube.apply(item.path, item.body, MANAGER)
    for item in reversed(items):
        if item.state == "remove":
            kube.delete(item.path)


def _one(kube: Applier, body: Raw) -> Item:
    path, title = bundle.path(body), bundle.title(body)
    live = kube.get(path)
    if live is None:
        return Item(title, path, "create", body)
    after = kube.apply(path, body, MANAGER, dry=True)
    changes = tuple(differences(_plain(live), _plain(after)))
    return Item(title, path, "change" if changes else "same", body, changes)


def _ours(kube: Applier, kind: str) -> list[Item]:
    """Objects of a kind with our label that we applied: a label alone may be anybody's."""
    group, plural = bundle.PATHS[kind]
    label = "%2C".join(f"{key}%3D{value}" for key, value in MANAGED.items())
    found = []
    for raw in kube.list(f"/{group}/{plural}?labelSelector={label}"):
        if any(item.get("manager") == MANAGER for item in raw["metadata"].get("managedFields") or ()):
            body = {**raw, "kind": kind}
            found.append(Item(bundle.title(body), bundle.path(body), "remove", {}))
    return found


def _plain(raw: Mapping[str, Any]) -> Raw:
    """The object without what the server keeps about it."""
    meta = {
        key: value
        for key, value in raw["metadata"].items()
        if key not in ("managedFields", "resourceVersion", "generation")
    }
    return {key: value for key, value in raw.items() if key != "status"} | {"metadata": meta}


def differences(before: Any, after: Any, at: str = "") -> list[str]:
    """Every place where two values differ: ``spec.replicas: 1 → 2``."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        keys = sorted({*before, *after})
        return [
            line
            for key in keys
            for line in differences(before.get(key), after.get(key), f"{at}.{key}" if at else str(key))
        ]
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        pairs = enumerate(zip(before, after, strict=True))
        return [line for place, (old, new) in pairs for line in differences(old, new, f"{at}[{place}]")]
    return [] if before == after else [f"{at}: {_short(before)} → {_short(after)}"]


def _short(value: Any) -> str:
    if value is None:
        return "nothing"
    text = " ".join(str(value).split())
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"
