"""The ledger in AWS: images by their tags, pointers in Systems Manager. Nothing is kept anywhere else.

Every listing goes over its regions side by side. Errors are those of :func:`infra.cloud.aws.translated`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, TypeVar

from infra.cloud.aws import Session, code_of, translated
from infra.image import ledger
from infra.image.ledger import MANAGED, OF, PUBLIC, Image, Pointer
from infra.image.shelf import get_policy, get_sbom, put_policy, put_sbom
from infra.image.uses import uses

__all__ = [
    "delete_snapshots",
    "deregister",
    "find",
    "get_policy",
    "get_sbom",
    "images",
    "loose_snapshots",
    "parameter",
    "pointers",
    "promote",
    "put_policy",
    "put_sbom",
    "register",
    "revoke",
    "snapshots_in_use",
    "uses",
]

AT_ONCE = 8
GONE = ("InvalidAMIID.NotFound", "InvalidAMIID.Unavailable")
T = TypeVar("T")


def images(session: Session, cluster: str, regions: Sequence[str], *, sharing: bool = False) -> list[Image]:
    """Every image of the cluster in these regions, newest first; also those that are pending or failed.

    With whom each is shared takes a call an image: ``shared_with`` is empty without ``sharing``.
    """
    mine = [{"Name": f"tag:{OF}", "Values": [cluster]}]

    def look(region: str) -> list[Image]:
        with translated("ec2:DescribeImages", region, session.profile):
            return _described(session, region, sharing, Owners=["self"], Filters=mine)

    return ledger.newest(image for found in _each(session, regions, look) for image in found)


def find(session: Session, region: str, ident: str) -> Image | None:
    """One image by its AMI id, as it is now; None when it is not there or not one of infra's."""
    from botocore.exceptions import ClientError

    with translated("ec2:DescribeImages", ident, session.profile):
        try:
            found = _described(session, region, True, ImageIds=[ident])
        except ClientError as error:
            if code_of(error) in (*GONE, "InvalidAMIID.Malformed"):
                return None
            raise
    return found[0] if found else None


def register(session: Session, image: Image) -> None:
    """Write the image's tags on it and on its snapshots: from then on it is in the ledger."""
    with translated("ec2:CreateTags", image.id, session.profile):
        session.client("ec2", image.region).create_tags(
            Resources=[image.id, *image.snapshots], Tags=_pairs(ledger.tags(image))
        )


def revoke(session: Session, image: Image, why: str) -> Image:
    """Mark the image as not to be started from, or with ``why`` "" as good again; how it is then."""
    now = replace(image, revoked=why)
    wanted = ledger.tags(now)
    stale = [{"Key": key} for key in ledger.tags(image) if key not in wanted]
    with translated("ec2:CreateTags", image.id, session.profile):
        client = session.client("ec2", image.region)
        if why:
            marks = {key: value for key, value in wanted.items() if key.startswith("infra:revoked")}
            client.create_tags(Resources=[image.id], Tags=_pairs(marks))
        if stale:
            client.delete_tags(Resources=[image.id], Tags=stale)
    return now


def pointers(session: Session, cluster: str, regions: Sequence[str]) -> dict[tuple[str, str], Pointer]:
    """What each profile's machines start from, by (region, profile). A damaged one is there, too, and says so."""
    return {
        (pointer.region, pointer.profile): pointer
        for found in _each(session, regions, lambda region: _pointers(session, cluster, region))
        for pointer in found
    }


def promote(session: Session, cluster: str, pointer: Pointer) -> None:
    """Write a pointer: from now on plans of its region give its image to the profile's machines."""
    from botocore.exceptions import ClientError

    name = parameter(cluster, pointer.profile)
    client = session.client("ssm", pointer.region)
    with translated("ssm:PutParameter", f"{pointer.region}:{name}", session.profile):
        try:  # tags cannot be given when one is overwritten
            marks = _pairs({OF: cluster, MANAGED: "infra"})
            client.put_parameter(Name=name, Value=pointer.text(), Type="String", Tags=marks)
        except ClientError as error:
            if code_of(error) != "ParameterAlreadyExists":
                raise
            client.put_parameter(Name=name, Value=pointer.text(), Type="String", Overwrite=True)


def deregister(session: Session, image: Image) -> list[str]:
    """Remove the image, then those of its snapshots that no other image uses; the ids of the snapshots removed.

    What is gone already is no error. Whether it may go is the caller's matter: see :mod:`infra.image.prune`.
    """
    from botocore.exceptions import ClientError

    with translated("ec2:DeregisterImage", image.id, session.profile):
        try:
            session.client("ec2", image.region).deregister_image(ImageId=image.id)
        except ClientError as error:
            if code_of(error) not in GONE:
                raise
    return delete_snapshots(session, image.region, image.snapshots)


def delete_snapshots(session: Session, region: str, idents: Iterable[str]) -> list[str]:
    """Delete those that no image uses; AWS's own refusal (an image was registered meanwhile) is respected."""
    from botocore.exceptions import ClientError

    wanted = list(idents)
    if not wanted:
        return []
    used = snapshots_in_use(session, region)
    gone = []
    for ident in wanted:
        if ident in used:
            continue
        with translated("ec2:DeleteSnapshot", ident, session.profile):
            try:
                session.client("ec2", region).delete_snapshot(SnapshotId=ident)
            except ClientError as error:
                if code_of(error) == "InvalidSnapshot.InUse":
                    continue
                if code_of(error) != "InvalidSnapshot.NotFound":
                    raise
        gone.append(ident)
    return gone


def snapshots_in_use(session: Session, region: str) -> set[str]:
    """Every snapshot that any image of this account is made of."""
    with translated("ec2:DescribeImages", region, session.profile):
        return {ident for item in _items(session, region, Owners=["self"]) for ident in _snapshots(item)}


def loose_snapshots(session: Session, cluster: str, region: str) -> list[Mapping[str, Any]]:
    """Snapshots of images of the cluster that are not there any more, as EC2 describes them."""
    mine = [{"Name": f"tag:{OF}", "Values": [cluster]}]
    with translated("ec2:DescribeSnapshots", region, session.profile):
        pages = session.client("ec2", region).get_paginator("describe_snapshots")
        found = [item for page in pages.paginate(OwnerIds=["self"], Filters=mine) for item in page["Snapshots"]]
    used = snapshots_in_use(session, region) if found else set()
    return [item for item in found if item["SnapshotId"] not in used]


def parameter(cluster: str, profile: str) -> str:
    return f"{_folder(cluster)}/{profile}"


def _folder(cluster: str) -> str:
    return f"/infra/{cluster}/images"


def _pointers(session: Session, cluster: str, region: str) -> list[Pointer]:
    with translated("ssm:GetParametersByPath", f"{region}:{_folder(cluster)}", session.profile):
        pages = session.client("ssm", region).get_paginator("get_parameters_by_path")
        found = [item for page in pages.paginate(Path=_folder(cluster)) for item in page["Parameters"]]
    return [ledger.read_pointer(region, item["Name"].rpartition("/")[2], item["Value"]) for item in found]


def _described(session: Session, region: str, sharing: bool, **how: Any) -> list[Image]:
    found = [image for item in _items(session, region, **how) if (image := _image(region, item))]
    if not sharing:
        return found

    def told(image: Image) -> Image:
        return replace(image, shared_with=tuple(sorted(_shared(session, region, image.id))))

    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="shared") as pool:
        return list(pool.map(told, found))


def _items(session: Session, region: str, **how: Any) -> list[Mapping[str, Any]]:
    pages = session.client("ec2", region).get_paginator("describe_images")
    return [item for page in pages.paginate(**how) for item in page["Images"]]


def _image(region: str, item: Mapping[str, Any]) -> Image | None:
    marks = {pair["Key"]: pair["Value"] for pair in item.get("Tags", ())}
    return ledger.from_tags(
        marks,
        id=item["ImageId"],
        region=region,
        name=item.get("Name", ""),
        snapshots=_snapshots(item),
        shared_with=[PUBLIC] if item.get("Public") else [],
        size=sum(disk.get("Ebs", {}).get("VolumeSize", 0) for disk in item.get("BlockDeviceMappings", ())),
        state=item.get("State", ""),
        architecture=item.get("Architecture", ""),
    )


def _shared(session: Session, region: str, ident: str) -> list[str]:
    """Accounts, organizations and their units that may start from the image."""
    from botocore.exceptions import ClientError

    try:
        said = session.client("ec2", region).describe_image_attribute(ImageId=ident, Attribute="launchPermission")
    except ClientError as error:
        if code_of(error) in GONE:
            return []
        raise
    found = []
    for permission in said.get("LaunchPermissions", ()):
        group = permission.get("Group")
        other = permission.get("UserId") or permission.get("OrganizationArn") or permission.get("OrganizationalUnitArn")
        found += [PUBLIC if group == "all" else str(group or other)]
    return found


def _snapshots(item: Mapping[str, Any]) -> list[str]:
    disks = (disk.get("Ebs", {}).get("SnapshotId", "") for disk in item.get("BlockDeviceMappings", ()))
    return [ident for ident in disks if ident]


def _each(session: Session, regions: Sequence[str], look: Callable[[str], T]) -> list[T]:
    """Every region's answer, in order, asked side by side."""
    with contextlib.suppress(IndexError):
        session.client("ec2", regions[0])  # loads botocore once, before the threads would all do so
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="image") as pool:
        return list(pool.map(look, regions))


def _pairs(said: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in said.items()]
