"""Where the cluster keeps what machines share: policies, what is promoted, reports, bills of materials. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from infra.spec.models import Cluster

LOCAL_ACCOUNT = "123456789012"  # of the embedded AWS


@dataclass(frozen=True, slots=True)
class Place:
    """Where things are put: ``prefix`` is "" or ends in a slash. ``own``: a bucket of the ledger's alone."""

    bucket: str
    region: str
    prefix: str
    own: bool

    def url(self, key: str) -> str:
        return f"s3://{self.bucket}/{self.prefix}{key}"


def place(cluster: Cluster, account: str) -> Place:
    """In ``state.s3`` when the cluster has one, else in a bucket of its own in the home region, named by account."""
    state = cluster.state.s3
    if state is not None:
        parts = (state.prefix.strip("/"), cluster.cluster, "images")
        return Place(state.bucket, state.region, "/".join(part for part in parts if part) + "/", False)
    assert cluster.aws is not None
    return Place(f"{cluster.cluster}-infra-{account}", cluster.aws.home, "", True)


def known(cluster: Cluster) -> Place | None:
    """The same without asking AWS which account this is; None where the file does not tell."""
    if cluster.aws is None:
        return None
    account = LOCAL_ACCOUNT if cluster.local else cluster.aws.account or ""
    return place(cluster, account) if account or cluster.state.s3 else None
