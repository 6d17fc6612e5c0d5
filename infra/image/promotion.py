"""Moving pointers by hand: which image each region gets, and what may not be promoted. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from infra.errors import Problem, Refused
from infra.image.choose import unusable
from infra.image.ledger import SHORT, Image, Pointer, Pointers, newest


@dataclass(frozen=True, slots=True)
class Promotion:
    """One pointer's move. ``before`` is None where there was none."""

    image: Image
    after: Pointer
    before: Pointer | None = None

    @property
    def same(self) -> bool:
        """The pointer says just this already; who and when do not count."""
        said = self.before
        return said is not None and (said.image, said.digest, said.pinned) == (
            self.after.image,
            self.after.digest,
            self.after.pinned,
        )

    def data(self) -> dict[str, Any]:
        return {
            "region": self.after.region,
            "before": self.before.data() if self.before else None,
            "after": self.after.data(),
            "moved": not self.same,
        }


@dataclass(frozen=True, slots=True)
class Wish:
    """``file``: the digest that the file's profile has now, "" when it cannot be made. ``who`` and ``when`` are noted.

    ``to``: the image asked for (its copies are, too); None: the newest good one of the file's digest.
    ``architecture``: of the profile's machines, "" for any.
    """

    profile: str
    file: str
    who: str
    when: str
    to: Image | None = None
    architecture: str = ""


def promotions(wish: Wish, images: Sequence[Image], pointers: Pointers, regions: Sequence[str]) -> list[Promotion]:
    """What each region's pointer becomes. Raises Refused, with every region that has no image fit for it."""
    problems: list[Problem] = []
    found = []
    for region in regions:
        image = _candidate(wish, images, region)
        problem = _problem(wish, image, images, region)
        if problem is not None or image is None:
            problems += [problem] if problem else []
            continue
        after = Pointer(region, wish.profile, image.id, image.digest, image.digest != wish.file, wish.who, wish.when)
        found.append(Promotion(image, after, pointers.get((region, wish.profile))))
    if problems:
        raise Refused(problems[0].what, problems=problems)
    return found


def _candidate(wish: Wish, images: Sequence[Image], region: str) -> Image | None:
    here = [image for image in newest(images) if image.region == region]
    if wish.to is not None:
        copies = [image for image in here if image.bake == wish.to.bake]
        return next((image for image in copies if image.id == wish.to.id), copies[0] if copies else None)
    fitting = [image for image in here if (image.profile, image.digest) == (wish.profile, wish.file)]
    fitting = [image for image in fitting if wish.architecture in ("", image.architecture)]
    return next((image for image in fitting if image.usable), fitting[0] if fitting else None)


def _problem(wish: Wish, image: Image | None, images: Sequence[Image], region: str) -> Problem | None:
    profile = wish.profile
    if wish.to is not None and wish.to.profile != profile:
        return Problem(
            f"{wish.to.id} is an image of {wish.to.profile}, not of {profile}",
            where=region,
            fix=f"infra image promote {wish.to.profile} --to {wish.to.id}, or name an image of {profile}",
        )
    if image is None:
        digest = wish.to.digest if wish.to else wish.file
        elsewhere = sorted({item.region for item in images if item.digest == digest and item.usable})
        bake = f"bake it: infra image bake {profile}"
        return Problem(
            f"no image of {profile} with the digest {digest[:SHORT]} is there",
            where=region,
            why=f"there is one in {', '.join(elsewhere)}" if elsewhere else "none was baked",
            fix=f"{bake} (it copies what a region lacks)" if elsewhere and digest == wish.file else bake,
        )
    if wish.architecture not in ("", image.architecture):
        return Problem(
            f"{image.id} is for {image.architecture}, and machines of {profile} are {wish.architecture}",
            where=region,
            fix=f"name another image; infra image list shows those of {profile}",
        )
    why = unusable(image)
    if not why:
        return None
    fix = (
        f"promote another one: infra image promote {profile} --to AMI; or bake anew: infra image bake {profile} --force"
    )
    if image.revoked:
        fix += f"; or take it back: infra image revoke {image.id} --undo"
    return Problem(f"{image.id} {why}", where=region, why="no machine may start from it", fix=fix)
