"""What is different between two images: packages, versions, layers, and the attributes of their policies. Pure."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from infra.image.ledger import Image
from infra.image.sbom import Package

ATTRIBUTES = "node.json"


@dataclass(frozen=True, slots=True)
class Move:
    """Something with another value: ``before`` or ``after`` is "" for what is not there."""

    name: str
    before: str
    after: str

    @property
    def action(self) -> str:
        return "added" if not self.before else "changed" if self.after else "removed"

    def data(self) -> dict[str, str]:
        return {"name": self.name, "before": self.before, "after": self.after, "action": self.action}


@dataclass(frozen=True, slots=True)
class PackageMove(Move):
    """``where``: the manager and its environment, such as ``dpkg`` or ``conda tf``."""

    where: str = ""

    def data(self) -> dict[str, str]:
        return {**Move.data(self), "where": self.where}


@dataclass(frozen=True, slots=True)
class Comparison:
    """``notes`` are sentences on what could not be compared: only what both sides have was."""

    before: Image
    after: Image
    packages: tuple[PackageMove, ...] = ()
    versions: tuple[Move, ...] = ()
    layers: tuple[Move, ...] = ()
    attributes: tuple[Move, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        return not (self.packages or self.versions or self.layers or self.attributes)

    def data(self) -> dict[str, Any]:
        return {
            "before": self.before.data(),
            "after": self.after.data(),
            "different": not self.empty,
            "packages": [move.data() for move in self.packages],
            "versions": [move.data() for move in self.versions],
            "layers": [move.data() for move in self.layers],
            "attributes": [move.data() for move in self.attributes],
            "notes": list(self.notes),
        }


@dataclass(frozen=True, slots=True)
class Side:
    """One image and what is known of its inside; None: not known."""

    image: Image
    packages: Sequence[Package] | None = None
    policy: bytes | None = None


def compare(before: Side, after: Side) -> Comparison:
    """Everything that is different. Raises nothing: what is not known on one side is a note."""
    notes = []
    for side in (before, after):
        if side.packages is None:
            notes.append(f"packages not compared: {side.image.id} has no SBOM")
        if side.policy is None:
            notes.append(f"attributes not compared: the policy {side.image.short} of {side.image.id} is not kept")
    moved: tuple[PackageMove, ...] = ()
    if before.packages is not None and after.packages is not None:
        moved = tuple(packages(before.packages, after.packages))
    told: tuple[Move, ...] = ()
    if before.policy is not None and after.policy is not None:
        told = tuple(moves(attributes(before.policy), attributes(after.policy)))
    return Comparison(
        before.image,
        after.image,
        moved,
        tuple(moves(before.image.versions, after.image.versions)),
        tuple(moves(before.image.layers, after.image.layers)),
        told,
        tuple(dict.fromkeys(notes)),
    )


def packages(before: Iterable[Package], after: Iterable[Package]) -> list[PackageMove]:
    """Added, removed and changed packages, by manager, environment and name.

    Of a name that several versions of are installed (kernels), all are named together.
    """
    old, new = _by_key(before), _by_key(after)
    found = []
    for key in sorted(set(old) | set(new)):
        was, now = old.get(key, ""), new.get(key, "")
        if was != now:
            manager, environment, name, _ = key
            found.append(PackageMove(name, was, now, f"{manager} {environment}".strip()))
    return found


def moves(before: Mapping[str, str], after: Mapping[str, str]) -> list[Move]:
    """What is different between two maps of texts, by name."""
    names = sorted(set(before) | set(after))
    pairs = ((name, before.get(name, ""), after.get(name, "")) for name in names)
    return [Move(name, was, now) for name, was, now in pairs if was != now]


def attributes(archive: bytes) -> dict[str, str]:
    """A policy's attributes, flat: ``infra.cuda.versions`` -> ``["12.9"]``. {} when the archive has none."""
    try:
        with tarfile.open(fileobj=io.BytesIO(archive)) as held:
            member = held.extractfile(ATTRIBUTES)
            said = json.load(member) if member else {}
    except (tarfile.TarError, KeyError, ValueError):
        return {}
    return dict(_flat(said)) if isinstance(said, Mapping) else {}


def _flat(value: Mapping[str, Any], path: str = "") -> Iterable[tuple[str, str]]:
    for key, item in value.items():
        name = f"{path}.{key}" if path else str(key)
        if isinstance(item, Mapping) and item:
            yield from _flat(item, name)
        else:
            yield name, item if isinstance(item, str) else json.dumps(item, sort_keys=True, ensure_ascii=False)


def _by_key(found: Iterable[Package]) -> dict[tuple[str, str, str, str], str]:
    versions: dict[tuple[str, str, str, str], list[str]] = {}
    for package in sorted(set(found)):
        versions.setdefault(package.key, []).append(package.version)
    return {key: ", ".join(each) for key, each in versions.items()}
