"""One look at everything that decides about images: the images, their pointers, where they are in use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from infra.cloud.aws import Session
from infra.image import store
from infra.image.compare import Side
from infra.image.ledger import Image, Pointer
from infra.image.sbom import read
from infra.image.uses import Use, of_image
from infra.spec.models import Cluster


@dataclass(frozen=True, slots=True)
class World:
    """Of one moment. ``regions`` are those looked at, in order of preference."""

    cluster: str
    regions: tuple[str, ...]
    images: list[Image]
    pointers: dict[tuple[str, str], Pointer]
    uses: list[Use]

    def promoted(self, image: Image) -> str:
        """``promoted``, ``pinned``, or "" for an image that no pointer names."""
        pointer = self.pointers.get((image.region, image.profile))
        if pointer is None or pointer.image != image.id:
            return ""
        return "pinned" if pointer.pinned else "promoted"

    def uses_of(self, image: Image) -> list[Use]:
        return of_image(self.uses, image.region, image.id)

    def copies(self, image: Image) -> list[Image]:
        """The image itself and its copies in other regions, in the order of the regions."""
        place = {region: number for number, region in enumerate(self.regions)}
        found = [item for item in self.images if item.bake == image.bake]
        return sorted(found, key=lambda item: place.get(item.region, len(place)))

    def data(self, image: Image) -> dict[str, Any]:
        """An image with what is known of it beside its tags."""
        return {
            **image.data(),
            "promoted": self.promoted(image),
            "uses": [use.data() for use in self.uses_of(image)],
        }


def look(session: Session, cluster: str, regions: Sequence[str]) -> World:
    """One look at all the regions, side by side."""
    return World(
        cluster,
        tuple(regions),
        store.images(session, cluster, regions, sharing=True),
        store.pointers(session, cluster, regions),
        store.uses(session, regions),
    )


def side(session: Session, cluster: Cluster, image: Image) -> Side:
    """An image with its packages and its policy, as far as they are kept."""
    said = store.get_sbom(session, cluster, image)
    return Side(image, None if said is None else read(said), store.get_policy(session, cluster, image.digest))
