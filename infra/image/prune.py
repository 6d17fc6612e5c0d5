"""Which images may go. Pure: the deleting, and the looking again right before it, is :mod:`infra.image.pruning`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

from infra.image.ledger import Image, Pointers, newest

KEEP = 3


class Use(Protocol):
    """One use of an image, such as :class:`infra.image.uses.Use`."""

    @property
    def image(self) -> str: ...

    @property
    def region(self) -> str: ...

    @property
    def text(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Rules:
    """``keep`` usable images per profile, architecture and region stay, newest first; ``older_than`` is in days."""

    keep: int = KEEP
    older_than: int = 0


@dataclass(frozen=True, slots=True)
class Verdict:
    """``keep``, and the reason for either."""

    image: Image
    keep: bool
    reason: str

    def data(self) -> dict[str, Any]:
        return {"image": self.image.data(), "reason": self.reason}


@dataclass(frozen=True, slots=True)
class Selection:
    verdicts: tuple[Verdict, ...] = field(default_factory=tuple)

    @property
    def removed(self) -> list[Verdict]:
        return [verdict for verdict in self.verdicts if not verdict.keep]

    def within(self, regions: Iterable[str]) -> Selection:
        """The verdicts on images in these regions alone."""
        wanted = set(regions)
        return Selection(tuple(verdict for verdict in self.verdicts if verdict.image.region in wanted))

    @property
    def kept(self) -> list[Verdict]:
        return [verdict for verdict in self.verdicts if verdict.keep]


def select(images: Sequence[Image], pointers: Pointers, uses: Iterable[Use], rules: Rules, now: datetime) -> Selection:
    """A verdict on every image, newest first.

    Stays: what is promoted or pinned (in any region: its copies stay with it), in use, shared, being made; the direct
    parent of any of these; the newest ``keep``; what is not older than ``older_than`` days. All else goes. An AMI needs
    none of its ancestors: grandparents may go.
    """
    used = _used(uses)
    firm = {image.id: reason for image in images if (reason := _firm(image, images, pointers, used))}
    parents = {image.parent: image.id for image in newest(images) if image.id in firm and image.parent}
    by_id = {image.id: image for image in images}
    wanted = {by_id[parent].bake: child for parent, child in parents.items() if parent in by_id}
    recent = _recent(images, rules.keep)
    found = []
    for image in newest(images):
        reason = firm.get(image.id, "")
        if not reason and image.bake in wanted:
            reason = f"the parent of {wanted[image.bake]}, which is {firm[wanted[image.bake]]}"
        if not reason and image.id in recent:
            reason = f"of the newest {rules.keep} of {image.profile} in {image.region}"
        if not reason and rules.older_than and age(image, now) < rules.older_than:
            reason = f"not older than {rules.older_than} days"
        found.append(Verdict(image, bool(reason), reason or _why_not(image, rules)))
    return Selection(tuple(found))


def held(image: Image, images: Sequence[Image], pointers: Pointers, uses: Iterable[Use]) -> str:
    """Why the image must stay whatever the rules say; "" when nothing holds it. To be asked again before it goes."""
    return _firm(image, images, pointers, _used(uses))


def age(image: Image, now: datetime) -> float:
    """Days; 0 when it is not known."""
    try:
        born = datetime.fromisoformat(image.created.replace("Z", "+00:00"))
    except ValueError:
        return 0.0
    if born.tzinfo is None:
        born = born.replace(tzinfo=UTC)
    return max((now - born).total_seconds() / 86_400, 0.0)


def _used(uses: Iterable[Use]) -> dict[tuple[str, str], list[str]]:
    found: dict[tuple[str, str], list[str]] = {}
    for use in uses:
        found.setdefault((use.region, use.image), []).append(use.text)
    return found


def _firm(image: Image, images: Sequence[Image], pointers: Pointers, used: dict[tuple[str, str], list[str]]) -> str:
    if image.state == "pending":
        return "being made"
    for pointer in pointers.values():
        if pointer.image == image.id:
            return f"{'pinned' if pointer.pinned else 'promoted'} in {pointer.region}"
    damaged = [item for item in pointers.values() if item.damage and item.profile == image.profile]
    if damaged:
        return f"perhaps promoted: the pointer in {damaged[0].region} is damaged"
    if found := used.get((image.region, image.id)):
        return f"in use: {', '.join(found[:2])}{', …' if len(found) > 2 else ''}"
    if image.shared:
        return f"shared with {', '.join(image.shared_with[:2])}{', …' if len(image.shared_with) > 2 else ''}"
    promoted = {pointer.image: pointer.region for pointer in pointers.values()}
    for other in images:
        if other.bake == image.bake and other.id in promoted:
            return f"a copy of {other.id}, promoted in {promoted[other.id]}"
    return ""


def _recent(images: Iterable[Image], keep: int) -> set[str]:
    """The newest usable ones: a revoked image takes no good one's place."""
    counts: dict[tuple[str, str, str], int] = {}
    found = set()
    for image in newest(images):
        if image.usable:
            key = (image.profile, image.architecture, image.region)
            counts[key] = counts.get(key, 0) + 1
            if counts[key] <= keep:
                found.add(image.id)
    return found


def _why_not(image: Image, rules: Rules) -> str:
    if image.revoked:
        return f"revoked: {image.revoked}"
    if not image.usable:
        return "never good for a machine"
    return f"not of the newest {rules.keep}, and nothing needs it"
