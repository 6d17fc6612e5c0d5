"""Removing images: what may go is looked at again, in AWS, right before each one goes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from infra.cloud.aws import Session
from infra.errors import InfraError, Interrupted
from infra.image import store
from infra.image.ledger import Image
from infra.image.prune import Rules, Selection, held, select
from infra.image.world import World
from infra.plan.words import many
from infra.proc import Cancel

# A snapshot without an image may be that of one which is being made just now.
SETTLED = timedelta(hours=1)

Say = Callable[["Outcome"], None]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one image: ``why`` is "" when it was removed, with the ``snapshots`` that went with it.

    ``failed``: AWS refused; else it stayed because something holds it now.
    """

    image: Image
    why: str = ""
    snapshots: tuple[str, ...] = ()
    failed: bool = False

    @property
    def removed(self) -> bool:
        return not self.why

    def data(self) -> dict[str, Any]:
        return {
            "image": self.image.data(),
            "removed": self.removed,
            "why": self.why,
            "failed": self.failed,
            "snapshots": list(self.snapshots),
        }


def choose(world: World, rules: Rules) -> Selection:
    return select(world.images, world.pointers, world.uses, rules, datetime.now(UTC))


def loose(session: Session, cluster: str, regions: Sequence[str]) -> list[tuple[str, str]]:
    """(region, id) of snapshots that an interrupted prune left: ours, of no image, and not made just now."""
    latest = datetime.now(UTC) - SETTLED
    return [
        (region, item["SnapshotId"])
        for region in regions
        for item in store.loose_snapshots(session, cluster, region)
        if item["StartTime"] < latest
    ]


def remove(
    session: Session, cluster: str, regions: Sequence[str], chosen: Iterable[Image], cancel: Cancel, say: Say
) -> list[Outcome]:
    """Remove the images one by one, each only if nothing holds it now. One that AWS refuses does not stop the others.

    Raises Interrupted between two when ``cancel`` was asked for.
    """
    found: list[Outcome] = []
    for image in chosen:
        if cancel.asked:
            gone = sum(outcome.removed for outcome in found)
            raise Interrupted(
                "stopped by you", why=f"{many(gone, 'image')} removed", fix="run the same command again: it goes on"
            )
        found.append(_one(session, cluster, regions, image))
        say(found[-1])
    return found


def _one(session: Session, cluster: str, regions: Sequence[str], image: Image) -> Outcome:
    try:
        now = store.find(session, image.region, image.id)
        if now is None:
            return Outcome(image, "", tuple(store.delete_snapshots(session, image.region, image.snapshots)))
        if now.cluster != cluster:
            return Outcome(image, f"belongs to the cluster {now.cluster} now")
        everywhere = store.pointers(session, cluster, regions)
        copies = [now, *(item for item in store.images(session, cluster, regions) if item.id != now.id)]
        if why := held(now, copies, everywhere, store.uses(session, [image.region])):
            return Outcome(now, f"{why}, since the list was made")
        return Outcome(now, "", tuple(store.deregister(session, now)))
    except InfraError as error:
        problem = error.problems[0]
        return Outcome(image, f"{problem.what}{f' ({problem.why})' if problem.why else ''}", failed=True)
