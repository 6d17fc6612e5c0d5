"""State in S3: the bucket, made when it is not there."""

from __future__ import annotations

from collections.abc import Callable

from infra.cloud import aws_s3
from infra.cloud.aws import Session, code_of, translated
from infra.errors import Refused
from infra.spec.models import Cluster, S3State

Say = Callable[[str], None]
NOT_SET = ("NoSuchPublicAccessBlockConfiguration", "NoSuchBucketPolicy", "404")


def ensure_bucket(session: Session, cluster: Cluster, say: Say = lambda text: None) -> bool:
    """Make the state bucket if it is not there; True when it was made now. Does nothing for local state.

    A bucket of the lab's own is used as it is; ``say`` tells what it lacks. Raises Refused for a bucket in another
    region or of another account.
    """
    state = cluster.state.s3
    if state is None:
        return False
    session.guard()
    found = aws_s3.find(session, state.region, state.bucket)
    if found is None:
        aws_s3.create(session, state.region, state.bucket, tags(cluster, state.bucket))
        say(f"made the state bucket s3://{state.bucket} in {state.region}: {_words(session)}")
        return True
    if found.region != state.region:
        raise Refused(
            f"the state bucket {state.bucket} is in {found.region}, not in {state.region}",
            where="state.s3.region",
            why="a bucket cannot be moved",
            fix=f"write region: {found.region} in state.s3, or choose another bucket",
        )
    _complete(session, cluster, state, say)
    return False


def tags(cluster: Cluster, bucket: str) -> dict[str, str]:
    """A state bucket may hold many clusters' states: it does not carry the name of one."""
    return {"Name": bucket, "infra:managed-by": "infra", "infra:use": "terraform-state"}


def lacks(session: Session, state: S3State) -> list[str]:
    """What a bucket for states should have and this one has not."""
    from botocore.exceptions import ClientError

    missing = []
    with translated("s3:GetBucketVersioning", f"s3://{state.bucket}", session.profile):
        client = session.client("s3", state.region)
        if client.get_bucket_versioning(Bucket=state.bucket).get("Status") != "Enabled":
            missing.append("versioning (an overwritten state cannot be brought back)")
        try:
            said = client.get_public_access_block(Bucket=state.bucket)["PublicAccessBlockConfiguration"]
            open_to = not all(said.values())
        except ClientError as error:
            if code_of(error) not in NOT_SET:
                raise
            open_to = True
        if open_to:
            missing.append("the public access block (it can be made public by mistake)")
    return missing


def _complete(session: Session, cluster: Cluster, state: S3State, say: Say) -> None:
    """A bucket that we were killed while making is finished; one that holds anything is only spoken of."""
    missing = lacks(session, state)
    if not missing:
        return
    if not aws_s3.keys(session, state.region, state.bucket, ""):
        aws_s3.protect(session, state.region, state.bucket, tags(cluster, state.bucket))
        say(f"finished the empty state bucket s3://{state.bucket}: {_words(session)}")
    else:
        say(f"warning: the state bucket s3://{state.bucket} lacks {' and '.join(missing)}")


def _words(session: Session) -> str:
    return f"private, encrypted, versioned{', TLS only' if aws_s3.has_tls(session) else ''}"
