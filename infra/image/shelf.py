"""The ledger's bucket: policy archives by digest, and the SBOM of each image.

``state.s3.bucket`` under its prefix and the cluster's name when the cluster has one, else a bucket of its own in the
home region, ``<cluster>-infra-<account>``, made when something is first put there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from infra import files
from infra.cloud import aws_s3
from infra.cloud.aws import Session
from infra.errors import CloudError, Refused
from infra.image.ledger import MANAGED, OF, Image
from infra.spec import ledger as places
from infra.spec.ledger import Place as Shelf
from infra.spec.models import Cluster

TAR = "application/x-tar"
CYCLONEDX = "application/vnd.cyclonedx+json"


def shelf(session: Session, cluster: Cluster) -> Shelf:
    """The cluster's shelf, whether it is there yet or not. Asks AWS which account this is."""
    return places.place(cluster, "" if cluster.state.s3 else session.identity().account)


def ensure(session: Session, cluster: Cluster) -> Shelf:
    """The shelf, made if it is not there. Raises Refused when its bucket is somebody else's or elsewhere."""
    from infra.cloud import remote_state

    place = shelf(session, cluster)
    if not place.own:
        remote_state.ensure_bucket(session, cluster)
        return place
    found = aws_s3.find(session, place.region, place.bucket)
    if found is None:
        session.guard()
        marks = {"Name": place.bucket, MANAGED: "infra", OF: cluster.cluster, "infra:use": "images"}
        aws_s3.create(session, place.region, place.bucket, marks)
    elif found.region != place.region:
        raise Refused(
            f"the bucket {place.bucket} is in {found.region}, not in {place.region}",
            where=f"s3://{place.bucket}",
            why="it was made when another region was home, and a bucket cannot be moved",
            fix=f"make {found.region} the first of aws.regions again, or give the cluster a bucket: state.s3",
        )
    return place


def put_policy(session: Session, cluster: Cluster, digest: str, archive: bytes) -> str:
    """Keep a policy's archive; its s3:// URL. Writing the same one again changes nothing."""
    if files.digest(archive) != digest:
        raise Refused(f"the archive is not that of the policy {digest[:12]}", why="its sha256 is another")
    place = ensure(session, cluster)
    key = f"policies/{digest}.tar"
    if aws_s3.size(session, place.region, place.bucket, place.prefix + key) != len(archive):
        aws_s3.write(session, place.region, place.bucket, place.prefix + key, archive, kind=TAR)
    return place.url(key)


def get_policy(session: Session, cluster: Cluster, digest: str) -> bytes | None:
    """A policy's archive, checked against its digest; None when it was never put there."""
    place = shelf(session, cluster)
    key = f"policies/{digest}.tar"
    found = aws_s3.read(session, place.region, place.bucket, place.prefix + key)
    if found is not None and files.digest(found.body) != digest:
        raise CloudError(
            f"the archive of the policy {digest[:12]} is damaged",
            where=place.url(key),
            why="its sha256 is not its name",
            fix="bring an older version of the object back, or delete it: the next bake writes it again",
        )
    return found.body if found else None


def put_sbom(session: Session, cluster: Cluster, image: Image, text: str) -> str:
    """Keep an image's SBOM (CycloneDX JSON); its s3:// URL, for the image's tag. Copies of an image share one."""
    place = ensure(session, cluster)
    moment = "".join(filter(str.isalnum, image.created))
    key = f"sboms/{image.digest}-{moment}.cdx.json"
    aws_s3.write(session, place.region, place.bucket, place.prefix + key, text.encode(), kind=CYCLONEDX)
    return place.url(key)


def get_sbom(session: Session, cluster: Cluster, image: Image) -> Mapping[str, Any] | None:
    """An image's SBOM; None when it has none. Raises CloudError when it cannot be read as one."""
    bucket, _, key = image.sbom.removeprefix("s3://").partition("/")
    if not key:
        return None
    found = aws_s3.read(session, shelf(session, cluster).region, bucket, key)
    if found is None:
        return None
    try:
        said = json.loads(found.body)
    except ValueError:
        said = None
    if not isinstance(said, dict) or said.get("bomFormat") != "CycloneDX":
        raise CloudError(
            f"the SBOM of {image.id} cannot be read",
            where=image.sbom,
            why="it is not CycloneDX JSON",
            fix="bring an older version of the object back, or bake anew: infra image bake --force",
        )
    return said
