"""What people call an image by: AMI id, AMI name, profile (the promoted one), or the beginning of a digest. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from infra.errors import UsageError
from infra.image.ledger import Image, Pointers, is_ami, newest

SHORTEST = 4  # hex digits of a digest
_HEX = re.compile(rf"^[0-9a-f]{{{SHORTEST},64}}$")
LIST = "infra image list shows all of them"


def resolve(name: str, images: Sequence[Image], pointers: Pointers, regions: Sequence[str]) -> Image:
    """The image that ``name`` means; of copies, that of the first of ``regions`` that has one.

    Raises UsageError when there is none, or when a digest's beginning fits several.
    """
    name = name.strip()
    if is_ami(name):
        return _one(name, [image for image in images if image.id == name])
    named = [image for image in images if image.name == name]
    if named:
        return _preferred(named, regions)
    if any(image.profile == name for image in images) or any(profile == name for _, profile in pointers):
        return _promoted(name, images, pointers, regions)
    if _HEX.match(name.lower()):
        return _by_digest(name.lower(), images, regions)
    raise UsageError(
        f"no image is called {name!r}",
        why="a name is an AMI id, an AMI's name, a profile, or at least 4 digits of a digest",
        fix=LIST,
    )


def _one(name: str, found: Sequence[Image]) -> Image:
    if not found:
        raise UsageError(
            f"there is no image {name} of this cluster",
            why="it is not there, not in the regions looked at, or not made by infra for this cluster",
            fix=LIST,
        )
    return found[0]


def _promoted(profile: str, images: Sequence[Image], pointers: Pointers, regions: Sequence[str]) -> Image:
    by_id = {image.id: image for image in images}
    there = [pointers[region, profile] for region in regions if (region, profile) in pointers]
    for pointer in there:
        if pointer.image in by_id:
            return by_id[pointer.image]
    if there:
        what = there[0].damage or f"the pointer names {there[0].image}, which is not there any more"
        raise UsageError(
            f"no image of {profile} is promoted",
            where=f"{there[0].region}: {profile}",
            why=what,
            fix=f"infra image promote {profile}, or name an AMI",
        )
    raise UsageError(f"no image of {profile} is promoted", fix=f"infra image promote {profile}, or name an AMI")


def _by_digest(start: str, images: Sequence[Image], regions: Sequence[str]) -> Image:
    found = [image for image in newest(images) if image.digest.startswith(start)]
    if not found:
        raise UsageError(f"no image has a digest that begins with {start}", fix=LIST)
    digests = sorted({image.digest for image in found})
    if len(digests) > 1:
        raise UsageError(
            f"{start} is the beginning of {len(digests)} digests",
            why=", ".join(digest[: len(start) + 8] for digest in digests[:5]),
            fix="write more of it",
        )
    return _preferred([image for image in found if image.bake == found[0].bake], regions)


def _preferred(found: Sequence[Image], regions: Sequence[str]) -> Image:
    """The newest bake's copy in the first region that has one."""
    latest = newest(found)[0]
    copies = {image.region: image for image in found if image.bake == latest.bake}
    return next((copies[region] for region in regions if region in copies), latest)
