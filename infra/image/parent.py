"""What an image is baked on: the newest of our own that has the same lower layers, else Canonical's. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from infra.image.ledger import REHEARSED, SHORT, Image, newest

SYSTEM, RESEARCH = "system", "research"


@dataclass(frozen=True, slots=True)
class Base:
    """An image of Canonical's, as EC2 describes it. ``size`` is GB of its root disk."""

    id: str
    name: str
    root_device: str
    size: int


@dataclass(frozen=True, slots=True)
class Parent:
    """``image`` is ours, or None for Canonical's alone. ``base`` is the AMI at the root of the lineage."""

    id: str
    base: str
    image: Image | None
    why: str


def choose(
    images: Iterable[Image],
    base: Base,
    layers: Mapping[str, str],
    *,
    region: str,
    architecture: str,
    system: str,
    fresh: bool = False,
    rehearsal: bool = False,
) -> Parent:
    """The parent for a policy with these layers.

    ``system`` is the OS as in the policy's versions. ``fresh`` wants Canonical's whatever there is. A rehearsed image
    is a parent for rehearsals alone: nothing of its layers is really on it.
    """
    from_canonical = Parent(base.id, base.id, None, "no image of ours has the same system layer")
    if fresh:
        return Parent(base.id, base.id, None, "a fresh start was asked for")
    for image in newest(images):
        if (
            image.usable
            and (image.region, image.architecture) == (region, architecture)
            and image.versions.get("os", system) == system
            and _fits(image.layers, layers)
            and (rehearsal or image.smoke != REHEARSED)
        ):
            why = f"{image.name} has the same system layer ({layers[SYSTEM][:SHORT]})"
            return Parent(image.id, image.base or base.id, image, why)
    return from_canonical


def _fits(below: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    """Only a policy with a research layer of its own takes away what another's left behind."""
    if not wanted.get(SYSTEM) or below.get(SYSTEM) != wanted[SYSTEM]:
        return False
    return RESEARCH not in below or RESEARCH in wanted
