"""Where images come from: bakes as trees, each rooted in an image of Canonical's. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from infra.image.ledger import Image, newest


@dataclass(frozen=True, slots=True)
class Node:
    """One bake with its copies, or (``images`` empty) an AMI that is not in the ledger: Canonical's, or a removed one.

    ``id`` is the AMI that children name as their parent; ``base``: it is Canonical's.
    """

    id: str
    base: bool = False
    images: tuple[Image, ...] = ()
    children: tuple[Node, ...] = field(default_factory=tuple)

    @property
    def image(self) -> Image | None:
        """The first of the copies."""
        return self.images[0] if self.images else None

    def data(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "base": self.base,
            "images": [image.data() for image in self.images],
            "children": [child.data() for child in self.children],
        }


def tree(images: Iterable[Image], regions: Sequence[str] = ()) -> list[Node]:
    """The trees, by the id of their root; children oldest first. Of copies, that in the first of ``regions`` is first.

    A parent that is not in the ledger any more stands there as a node without images, below the base that its children
    name. Tags that go round in a circle do not: such a bake hangs on its base.
    """
    bakes = group(images, regions)
    home = {image.id: key for key, copies in bakes.items() for image in copies}
    above: dict[str, list[str]] = {}  # parent's key -> keys, where a key is a bake's first AMI or a foreign AMI
    gone: dict[str, str] = {}
    for key, copies in bakes.items():
        image = copies[0]
        parent = home.get(image.parent, image.parent)
        if not parent or parent == image.base or _circle(key, bakes, home):
            parent = image.base
        elif parent not in bakes:
            gone.setdefault(parent, image.base)
        above.setdefault(parent, []).append(key)
    for parent, base in gone.items():
        above.setdefault(base, []).append(parent)
    children = {key for keys in above.values() for key in keys}
    roots = sorted(key for key in above if key not in children)
    return [_node(key, bakes, above, base=key not in gone) for key in roots]


def group(images: Iterable[Image], regions: Sequence[str] = ()) -> dict[str, list[Image]]:
    """The copies of each bake by the id of the first, in the order of ``regions``; oldest bake first."""
    found: dict[tuple[str, str, str], list[Image]] = {}
    for image in reversed(newest(images)):
        found.setdefault(image.bake, []).append(image)
    place = {region: number for number, region in enumerate(regions)}

    def order(image: Image) -> tuple[int, str, str]:
        return (place.get(image.region, len(place)), image.region, image.id)

    return {copies[0].id: copies for copies in (sorted(item, key=order) for item in found.values())}


def ancestors(image: Image, images: Sequence[Image]) -> list[Image]:
    """The image's parent, its parent, and so on, as far as they are in the ledger."""
    by_id = {item.id: item for item in images}
    found: list[Image] = []
    parent = by_id.get(image.parent)
    while parent is not None and parent.id != image.id and parent not in found:
        found.append(parent)
        parent = by_id.get(parent.parent)
    return found


def children(image: Image, images: Sequence[Image]) -> list[Image]:
    """Images baked on this one or on a copy of it, newest first."""
    copies = {item.id for item in images if item.bake == image.bake} | {image.id}
    return newest(item for item in images if item.parent in copies and item.bake != image.bake)


def _circle(key: str, bakes: dict[str, list[Image]], home: dict[str, str]) -> bool:
    """Whether going up from the bake leads back to it."""
    seen = {key}
    at = home.get(bakes[key][0].parent, "")
    while at and at not in seen:
        seen.add(at)
        at = home.get(bakes[at][0].parent, "")
    return at == key


def _node(key: str, bakes: dict[str, list[Image]], above: dict[str, list[str]], base: bool) -> Node:
    below = tuple(_node(child, bakes, above, base=False) for child in above.get(key, ()))
    return Node(key, base and key not in bakes, tuple(bakes.get(key, ())), below)
