"""Objects and buckets in S3, for state, locks and records.

Errors are those of :func:`infra.cloud.aws.translated`; what is not there is None or False, not an error.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from infra.cloud.aws import Session, code_of, translated
from infra.errors import CloudError, Refused

JSON = "application/json"
MISSING = ("NoSuchKey", "NoSuchBucket", "404", "NotFound")
# From before S3 said which region it means: no LocationConstraint.
FIRST_REGION = "us-east-1"


@dataclass(frozen=True, slots=True)
class Stored:
    """An object's content, with the tag that says which version of it this is."""

    body: bytes
    etag: str
    modified: datetime | None = None


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket that is there: where (a region name)."""

    name: str
    region: str


def read(session: Session, region: str, bucket: str, key: str) -> Stored | None:
    """The object, None when it (or the bucket) is not there."""
    from botocore.exceptions import ClientError

    with translated("s3:GetObject", f"s3://{bucket}/{key}", session.profile):
        try:
            said = session.client("s3", region).get_object(Bucket=bucket, Key=key)
            return Stored(said["Body"].read(), said["ETag"], said.get("LastModified"))
        except ClientError as error:
            if code_of(error) in MISSING:
                return None
            raise


def size(session: Session, region: str, bucket: str, key: str) -> int | None:
    """How many bytes the object has, None when it (or the bucket) is not there."""
    from botocore.exceptions import ClientError

    with translated("s3:GetObject", f"s3://{bucket}/{key}", session.profile):
        try:
            return int(session.client("s3", region).head_object(Bucket=bucket, Key=key)["ContentLength"])
        except ClientError as error:
            if code_of(error) in MISSING:
                return None
            raise


def write(
    session: Session, region: str, bucket: str, key: str, body: bytes, *, new: bool = False, kind: str = JSON
) -> str:
    """Store the object, encrypted; its new tag. ``new`` refuses to replace one that is there (Refused)."""
    from botocore.exceptions import ClientError

    only = {"IfNoneMatch": "*"} if new else {}
    with translated("s3:PutObject", f"s3://{bucket}/{key}", session.profile):
        try:
            said = session.client("s3", region).put_object(
                Bucket=bucket,
                Key=key,
                Body=body,
                ServerSideEncryption="AES256",
                ContentType=kind,
                **only,
            )
        except ClientError as error:
            if code_of(error) in ("PreconditionFailed", "ConditionalRequestConflict", "412", "409"):
                raise Refused(
                    "somebody else wrote it first",
                    where=f"s3://{bucket}/{key}",
                    fix="run the same command again",
                ) from error
            raise
    return str(said["ETag"])


def remove(session: Session, region: str, bucket: str, key: str, etag: str) -> bool:
    """Delete the object if it is still the version ``etag``; False when it changed meanwhile or is gone."""
    from botocore.exceptions import ClientError

    with translated("s3:DeleteObject", f"s3://{bucket}/{key}", session.profile):
        client = session.client("s3", region)
        try:
            # A server that does not know If-Match would delete whatever is there: look once more ourselves.
            if client.head_object(Bucket=bucket, Key=key)["ETag"] != etag:
                return False
            client.delete_object(Bucket=bucket, Key=key, IfMatch=etag)
        except ClientError as error:
            if code_of(error) in (*MISSING, "PreconditionFailed", "412"):
                return False
            raise
    return True


def keys(session: Session, region: str, bucket: str, prefix: str) -> list[str]:
    """Every key under a prefix, sorted; [] when the bucket is not there."""
    from botocore.exceptions import ClientError

    with translated("s3:ListBucket", f"s3://{bucket}/{prefix}", session.profile):
        pages = session.client("s3", region).get_paginator("list_objects_v2")
        try:
            found = [
                item["Key"]
                for page in pages.paginate(Bucket=bucket, Prefix=prefix)
                for item in page.get("Contents", ())
            ]
        except ClientError as error:
            if code_of(error) in MISSING:
                return []
            raise
    return sorted(found)


def find(session: Session, region: str, name: str) -> Bucket | None:
    """The bucket, if it is there and ours. Raises Refused when it is somebody else's."""
    from botocore.exceptions import ClientError

    with translated("s3:ListBucket", f"s3://{name}", session.profile):
        client = session.client("s3", region)
        owner = {"ExpectedBucketOwner": session.identity().account}
        try:
            said = client.head_bucket(Bucket=name, **owner)
        except ClientError as error:
            if code_of(error) in MISSING:
                return None
            if code_of(error) in ("403", "AccessDenied", "Forbidden"):
                raise _foreign(name) from error
            if code_of(error) in ("301", "PermanentRedirect", "400", "BadRequest"):
                return Bucket(name, _region_said(error.response))
            raise
        headers = said.get("ResponseMetadata", {}).get("HTTPHeaders", {})
        found = said.get("BucketRegion") or headers.get("x-amz-bucket-region")
        if not found:
            found = client.get_bucket_location(Bucket=name).get("LocationConstraint") or FIRST_REGION
    return Bucket(name, str(found))


def create(session: Session, region: str, name: str, tags: Mapping[str, str]) -> None:
    """A private, encrypted, versioned bucket that talks TLS only (where there is TLS).

    Safe to repeat after a kill half-way. Raises Refused when the name is somebody else's.
    """
    from botocore.exceptions import ClientError

    with translated("s3:CreateBucket", f"s3://{name}", session.profile):
        client = session.client("s3", region)
        where = {} if region == FIRST_REGION else {"CreateBucketConfiguration": {"LocationConstraint": region}}
        try:
            client.create_bucket(Bucket=name, **where)
        except ClientError as error:
            if code_of(error) == "BucketAlreadyExists":
                raise _foreign(name) from error
            if code_of(error) == "OperationAborted":
                raise CloudError(
                    f"AWS is still at work on the bucket {name}",
                    where=f"s3://{name}",
                    why="it was deleted or made a moment ago",
                    fix="wait a few minutes, then run the same command again",
                ) from error
            if code_of(error) != "BucketAlreadyOwnedByYou":
                raise
    protect(session, region, name, tags)


def protect(session: Session, region: str, name: str, tags: Mapping[str, str]) -> None:
    """Put every protection on the bucket. Locked down first, so that it is never open, not even for a moment."""
    with translated("s3:PutBucketPublicAccessBlock", f"s3://{name}", session.profile):
        client = session.client("s3", region)
        blocked = dict.fromkeys(
            ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True
        )
        client.put_public_access_block(Bucket=name, PublicAccessBlockConfiguration=blocked)
        rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}, "BucketKeyEnabled": True}
        client.put_bucket_encryption(Bucket=name, ServerSideEncryptionConfiguration={"Rules": [rule]})
        client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
        if has_tls(session):
            client.put_bucket_policy(Bucket=name, Policy=json.dumps(tls_only(name, region), sort_keys=True))
        listed = [{"Key": key, "Value": value} for key, value in sorted(tags.items())]
        client.put_bucket_tagging(Bucket=name, Tagging={"TagSet": listed})


def has_tls(session: Session) -> bool:
    """AWS itself always has; of a server of one's own on plain http, a TLS-only bucket would lock us out."""
    return session.endpoint is None or session.endpoint.startswith("https:")


def tls_only(name: str, region: str) -> dict[str, object]:
    """The bucket policy that refuses every request without TLS."""
    partition = "aws-cn" if region.startswith("cn-") else "aws-us-gov" if region.startswith("us-gov-") else "aws"
    arn = f"arn:{partition}:s3:::{name}"
    statement = {
        "Sid": "TlsOnly",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [arn, f"{arn}/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    return {"Version": "2012-10-17", "Statement": [statement]}


def _foreign(name: str) -> Refused:
    # Not the account's number but a short name that is unlikely to be anybody's.
    better = f"{name[:54]}-{hashlib.sha256(name.encode()).hexdigest()[:6]}"
    return Refused(
        f"the bucket {name} is not this account's",
        where=f"s3://{name}",
        why="bucket names are shared by all AWS accounts, and somebody else has this one (or you may not look at it)",
        fix=f"choose another name in cluster.yaml, such as {better}; or use the account that owns it",
    )


def _region_said(answer: Mapping[str, object]) -> str:
    meta = answer.get("ResponseMetadata", {})
    headers = meta.get("HTTPHeaders", {}) if isinstance(meta, Mapping) else {}
    return str(headers.get("x-amz-bucket-region", "another region")) if isinstance(headers, Mapping) else ""
