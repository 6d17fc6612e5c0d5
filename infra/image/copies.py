"""One image in further regions: copied, tagged, waited for. What one region refuses does not touch the others."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from infra.cloud.aws import Session, translated
from infra.errors import CloudError, InfraError, Interrupted
from infra.image import store
from infra.image.ledger import Image
from infra.proc import Cancel

DEADLINE = 2 * 3600.0
AT_ONCE = 8

Say = Callable[[str, dict[str, Any]], None]


@dataclass(frozen=True, slots=True)
class Copied:
    """What came of the regions: the images there, and the error of each that failed."""

    images: tuple[Image, ...]
    failed: dict[str, InfraError]


def copy(session: Session, source: Image, regions: Sequence[str], cancel: Cancel, say: Say) -> Copied:
    """Copy to all regions side by side. A copy that an earlier run began is waited for, not begun again."""

    def one(region: str) -> Image | InfraError:
        try:
            return _copy(session, source, region, cancel, say)
        except InfraError as error:
            say(region, {"type": "bake_copy", "state": "failed", "text": error.problems[0].what})
            return error

    for region in regions:
        session.client("ec2", region)  # clients are made one after the other: botocore loads its data once
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="copy") as pool:
        found = dict(zip(regions, pool.map(one, regions), strict=True))
    return Copied(
        tuple(item for item in found.values() if isinstance(item, Image)),
        {region: item for region, item in found.items() if isinstance(item, InfraError)},
    )


def failure(source: Image, failed: dict[str, InfraError], there: Sequence[Image]) -> InfraError:
    """One error of all regions that failed."""
    if all(isinstance(error, Interrupted) for error in failed.values()):
        kind: type[InfraError] = Interrupted
    else:
        kind = CloudError
    regions = ", ".join(sorted({source.region, *(image.region for image in there)}))
    first = next(iter(failed.values()))
    return kind(
        f"{source.name} could not be copied to {', '.join(sorted(failed))}",
        where=", ".join(sorted(failed)),
        why="; ".join(f"{region}: {error.problems[0].what}" for region, error in sorted(failed.items()))
        + (f" ({first.problems[0].why})" if first.problems[0].why else ""),
        fix=f"it is in {regions} and stays there; run the same command again: it copies only what lacks",
    )


def _copy(session: Session, source: Image, region: str, cancel: Cancel, say: Say) -> Image:
    found = _there(session, source, region)
    if found is not None and found.state == "failed":
        store.deregister(session, found)
        found = None
    if found is None:
        say(region, {"type": "bake_copy", "state": "begun", "text": f"copying from {source.region}"})
        found = _begin(session, source, region)
    store.register(session, found)
    done = _wait(session, found, cancel)
    store.register(session, done)  # its snapshots are there only now
    say(region, {"type": "bake_copy", "state": "done", "text": done.id})
    return done


def _there(session: Session, source: Image, region: str) -> Image | None:
    """The copy by its name, whether it has its tags yet or not."""
    with translated("ec2:DescribeImages", region, session.profile):
        filters = [{"Name": "name", "Values": [source.name]}]
        said = session.client("ec2", region).describe_images(Owners=["self"], Filters=filters)
    return _as(source, region, said["Images"][0]) if said["Images"] else None


def _begin(session: Session, source: Image, region: str) -> Image:
    with translated("ec2:CopyImage", region, session.profile):
        said = session.client("ec2", region).copy_image(
            Name=source.name,
            Description=f"{source.profile} of {source.cluster}, from {source.region}",
            SourceImageId=source.id,
            SourceRegion=source.region,
            Encrypted=True,
        )
    return replace(source, id=said["ImageId"], region=region, snapshots=(), state="pending")


def _wait(session: Session, image: Image, cancel: Cancel) -> Image:
    """Until it is available. Raises CloudError when AWS gives up or the deadline passes, Interrupted on Ctrl-C."""
    began, pause = time.monotonic(), 0.1 if session.local else 15.0
    while True:
        with translated("ec2:DescribeImages", image.region, session.profile):
            said = session.client("ec2", image.region).describe_images(ImageIds=[image.id])["Images"]
        state = said[0]["State"] if said else "gone"
        if state == "available":
            return _as(image, image.region, said[0])
        if state not in ("pending", "transient"):
            why = said[0].get("StateReason", {}).get("Message", "") if said else "somebody deregistered it"
            raise CloudError(
                f"the copy {image.id} is {state}", where=image.region, why=why, fix="run the same command again"
            )
        if cancel.asked:
            raise Interrupted(
                "the copy goes on in AWS", where=image.region, why="Ctrl-C", fix="run the same command again"
            )
        if time.monotonic() - began > DEADLINE:
            raise CloudError(
                f"the copy {image.id} is not done after {DEADLINE / 3600:.0f} h",
                where=image.region,
                why="AWS still says pending",
                fix="it goes on in AWS; run the same command again later: it waits for this very copy",
            )
        time.sleep(pause)


def _as(image: Image, region: str, item: dict[str, Any]) -> Image:
    disks = [disk.get("Ebs", {}) for disk in item.get("BlockDeviceMappings", ())]
    return replace(
        image,
        id=item["ImageId"],
        region=region,
        state=item["State"],
        snapshots=tuple(disk["SnapshotId"] for disk in disks if disk.get("SnapshotId")),
        size=sum(int(disk.get("VolumeSize", 0)) for disk in disks),
        shared_with=(),
    )
