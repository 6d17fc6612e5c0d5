"""What is in a bucket: counted without reading it, and deleted with all its versions when that was asked for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from infra.cloud.aws import Session, code_of, translated
from infra.cloud.aws_s3 import MISSING
from infra.errors import CloudError, Interrupted
from infra.proc import Cancel

COUNTED = 10_000  # objects; beyond, "more than" is said
AT_ONCE = 1_000  # as many as S3 deletes in one call


@dataclass(frozen=True, slots=True)
class Count:
    """Objects, older versions and delete markers together; ``more`` when the counting was given up."""

    objects: int = 0
    bytes: int = 0
    more: bool = False


def count(session: Session, region: str, bucket: str) -> Count:
    """How much is in the bucket; nothing when it is not there."""
    objects, size = 0, 0
    for item in _versions(session, region, bucket):
        objects += 1
        size += int(item.get("Size", 0))
        if objects >= COUNTED:
            return Count(objects, size, True)
    return Count(objects, size)


def empty(session: Session, region: str, bucket: str, cancel: Cancel | None = None) -> int:
    """Delete every object, version and unfinished upload; how many. Raises CloudError when S3 keeps some of them."""
    _abort_uploads(session, region, bucket)
    client = session.client("s3", region)
    deleted = 0
    batch: list[dict[str, str]] = []

    def send() -> None:
        nonlocal deleted
        if cancel is not None and cancel.asked:
            raise Interrupted(
                f"stopped while emptying the bucket {bucket}",
                why=f"{deleted} objects and versions are deleted",
                fix="run the same command again: it goes on",
            )
        with translated("s3:DeleteObjects", f"s3://{bucket}", session.profile):
            said = client.delete_objects(Bucket=bucket, Delete={"Objects": batch, "Quiet": True})
        if kept := said.get("Errors"):
            raise CloudError(
                f"S3 keeps {len(kept)} of {len(batch)} objects of {bucket}",
                where=f"s3://{bucket}/{kept[0].get('Key', '')}",
                why=f"{kept[0].get('Code', '')}: {kept[0].get('Message', '')}",
                fix="a lock or a hold may be on them; take it away, then run the same command again",
            )
        deleted += len(batch)

    # The listing goes on by key, so that deleting what was listed does not disturb it.
    for item in _versions(session, region, bucket):
        batch.append({"Key": item["Key"], "VersionId": item["VersionId"]})
        if len(batch) == AT_ONCE:
            send()
            batch = []
    if batch:
        send()
    return deleted


def _versions(session: Session, region: str, bucket: str) -> Iterator[dict[str, Any]]:
    from botocore.exceptions import ClientError

    with translated("s3:ListBucketVersions", f"s3://{bucket}", session.profile):
        pages = session.client("s3", region).get_paginator("list_object_versions")
        try:
            for page in pages.paginate(Bucket=bucket):
                yield from page.get("Versions", [])
                yield from page.get("DeleteMarkers", [])
        except ClientError as error:
            if code_of(error) not in MISSING:
                raise


def _abort_uploads(session: Session, region: str, bucket: str) -> None:
    from botocore.exceptions import ClientError

    with translated("s3:AbortMultipartUpload", f"s3://{bucket}", session.profile):
        client = session.client("s3", region)
        try:
            for page in client.get_paginator("list_multipart_uploads").paginate(Bucket=bucket):
                for item in page.get("Uploads", []):
                    client.abort_multipart_upload(Bucket=bucket, Key=item["Key"], UploadId=item["UploadId"])
        except ClientError as error:
            if code_of(error) not in MISSING:
                raise
